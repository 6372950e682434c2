"""The parser of `inbound_nodes`, by nodes as Keras writes them; tests/fuzz_orders.py and the zoo hold it to Keras."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.errors import Refused
from wtool.schema.calls import layer_order
from wtool.schema.graph import read
from wtool.schema.inbound_nodes import arguments_of, refs_of, refs_of_node


def tensor(name: str) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": [name, 0, 0]}}


NODES: list[tuple[Any, list[tuple[str, Any]]]] = [
    ([["a", 0, 0, {}]], [("a", 0)]),
    (["a", 0, 0, {"y": 2.0}], [("a", 0)]),
    ([["a", 0, 0, {"mask": ["m", 0, 0], "initial_state": [["s", 0, 0], ["t", 0, 1]]}], ["b", 0, 0, {}]],
     [("a", 0), ("s", "initial_state"), ("t", "initial_state"), ("m", "mask"), ("b", 0)]),
    ([["_CONSTANT_VALUE", -1, 1.0, {"y": ["a", 0, 0]}]], [("a", "y")]),
    ({"right": ["b", 0, 0], "left": ["a", 0, 0]}, [("a", 0), ("b", 0)]),
    ({"args": [[tensor("b"), tensor("a")]], "kwargs": {}}, [("b", 0), ("a", 0)]),
    ({"args": [tensor("q"), tensor("v")], "kwargs": {"mask": None, "key": tensor("k")}},
     [("q", 0), ("v", 1), ("k", "key")]),
    ({"args": [tensor("a"), ["b", 0, 0]], "kwargs": {}}, [("a", 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("node", "tensors"), NODES)
def test_tensors_of_a_call(node: Any, tensors: list[tuple[str, Any]]) -> None:
    assert [(ref.key[0], ref.word) for ref in refs_of_node(node)] == tensors


def test_a_reference_is_the_list_of_the_configuration() -> None:
    """So that to point it elsewhere is to edit the configuration."""
    node = {"args": [tensor("a")], "kwargs": {}}
    (ref,) = refs_of_node(node)
    ref.point(("b", 1, 2))
    assert node["args"][0]["config"]["keras_history"] == ["b", 1, 2]
    outputs: list[Any] = [["a", 0, 0]]
    next(refs_of(outputs)).point(("c", 0, 0))
    assert outputs == [["c", 0, 0]]


def test_other_arguments_of_keras_2() -> None:
    assert arguments_of([["a", 0, 0, {"axis": -1}]]) == {"axis": -1}
    assert arguments_of(["_CONSTANT_VALUE", -1, 2.5, {"y": ["a", 0, 0]}]) == {0: 2.5, "y": ["a", 0, 0]}


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([[["a"]]], "no reference to a tensor"),
        ([{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": 3}}], "kwargs": {}}], "history 3"),
        ({"a": 1}, "no list"),
        ([{"args": [["x", 0, 0]], "kwargs": {}}], "without a tensor"),
    ],
)
def test_nodes_that_keras_does_not_write(nodes: Any, words: str) -> None:
    """Graphs are edited only if they are understood; files whose graph is not are read in the configuration's order."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x"}, "name": "x", "inbound_nodes": []},
        {"class_name": "Dense", "config": {"name": "d"}, "name": "d", "inbound_nodes": nodes},
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    with pytest.raises(Refused, match=words):
        read({"class_name": "Functional", "config": config})
    if words != "without a tensor":
        assert layer_order(config) is None
