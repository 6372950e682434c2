"""Functional graphs of Keras 2 as data: calls, names, shapes; what contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.errors import Refused
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.upgraded import Upgraded, Wishes

Entry = dict[str, Any]


def source(name: str, *shape: int | None) -> Entry:
    config = {"name": name, "batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False}
    return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}


def layer(name: str, *nodes: Any, kind: str = "Activation", **config: Any) -> Entry:
    config = {"name": name, "dtype": "float32", **({"activation": "tanh"} if kind == "Activation" else {}), **config}
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": list(nodes)}


def functional(*layers: Entry, inputs: Any, outputs: Any, name: str = "model") -> Entry:
    config = {"name": name, "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "name": name, "config": config}


def up(entry: Entry) -> Upgraded:
    return upgrade(entry, None, "2.15.0", {}, Wishes())


def told(key: list[Any], *shape: int | None, dtype: str = "float32") -> Entry:
    config = {"shape": [None, *shape], "dtype": dtype, "keras_history": key}
    return {"class_name": "__keras_tensor__", "config": config}


def nodes_of(found: Upgraded) -> dict[str, Any]:
    return {entry["name"]: entry["inbound_nodes"] for entry in found.config["config"]["layers"]}


def block() -> Entry:
    return functional(source("y", 4), layer("h", [["y", 0, 0, {}]]), inputs=[["y", 0, 0]], outputs=[["h", 0, 0]])


def called(*nodes: Any) -> Entry:
    return {**block(), "name": "inner", "config": {**block()["config"], "name": "inner"}, "inbound_nodes": list(nodes)}


def test_a_call_is_noted_with_shape_and_dtype() -> None:
    nodes = nodes_of(up(block()))
    assert nodes == {"y": [], "h": [{"args": [told(["y", 0, 0], 4)], "kwargs": {}}]}


@pytest.mark.parametrize("first", [0, 1])
def test_calls_of_models_are_counted_from_0_inside_and_from_1_at_the_ends(first: int) -> None:
    inner = called([["x", 0, 0, {}]], [["inner", first, 0, {}]])
    model = functional(source("x", 4), inner, inputs=[["x", 0, 0]], outputs=[["inner", first + 1, 0]])
    found = up(model)
    assert [node["args"] for node in nodes_of(found)["inner"]] == [[told(["x", 0, 0], 4)], [told(["inner", 0, 0], 4)]]
    assert found.config["config"]["output_layers"] == ["inner", 2, 0]


def test_calls_keep_their_order_whatever_depends_on_what() -> None:
    shared = layer("s", [["h", 0, 0, {}]], [["x", 0, 0, {}]])
    model = functional(
        source("x", 4), layer("h", [["s", 1, 0, {}]]), shared, inputs=[["x", 0, 0]], outputs=[["s", 0, 0]]
    )
    histories = [node["args"][0]["config"]["keras_history"] for node in nodes_of(up(model))["s"]]
    assert histories == [["h", 0, 0], ["x", 0, 0]]


def test_other_arguments_are_kept_and_nothing_is_left_out_but_what_is_not_said() -> None:
    others = {"value": ["y", 0, 0], "training": None, "mask": None, "use_causal_mask": True}
    model = functional(
        source("x", 5, 4), source("y", 3, 4), layer("a", [["x", 0, 0, others]], kind="MultiHeadAttention"),
        inputs=[["x", 0, 0], ["y", 0, 0]], outputs=[["a", 0, 0]],
    )  # fmt: skip
    (node,) = nodes_of(up(model))["a"]
    assert node["args"] == [told(["x", 0, 0], 5, 4)]
    assert node["kwargs"] == {"value": told(["y", 0, 0], 3, 4), "use_causal_mask": True}


def test_initial_states_stand_beside_the_sequences() -> None:
    node = [["x", 0, 0, {}], ["h", 0, 0, {}], ["c", 0, 0, {}]]
    model = functional(
        source("x", 5, 4), source("h", 3), source("c", 3), layer("l", node, kind="LSTM", units=3, activation="tanh"),
        inputs=[["x", 0, 0], ["h", 0, 0], ["c", 0, 0]], outputs=[["l", 0, 0]],
    )  # fmt: skip
    (found,) = nodes_of(up(model))["l"]
    assert found["args"] == [told(["x", 0, 0], 5, 4)]
    assert found["kwargs"] == {"initial_state": [told(["h", 0, 0], 3), told(["c", 0, 0], 3)]}


def test_inputs_and_outputs_keep_their_structure() -> None:
    model = functional(
        source("x", 4), layer("h", [["x", 0, 0, {}]]),
        inputs={"left": ["x", 0, 0]}, outputs=[["h", 0, 0], [["x", 0, 0], {"deep": ["h", 0, 0]}]],
    )  # fmt: skip
    config = up(model).config["config"]
    assert config["input_layers"] == {"left": ["x", 0, 0]}
    assert config["output_layers"] == [["h", 0, 0], [["x", 0, 0], {"deep": ["h", 0, 0]}]]


REFUSED = {
    "depends on itself": [layer("a", [["b", 0, 0, {}]]), layer("b", [["a", 0, 0, {}]])],
    "which no layer makes": [layer("a", [["nobody", 0, 0, {}]])],
    "two layers of the model have the same name": [layer("a", [["x", 0, 0, {}]]), layer("a", [["x", 0, 0, {}]])],
    "no reference to a tensor": [layer("a", [["x", "0", 0, {}]])],
    "is called without a tensor": [layer("a", [])],
    "which is no list": [{**layer("a"), "inbound_nodes": 7}],
    "takes the tensor": [layer("a", [["x", 0, -1, {}]])],
    "no list of entries": [7],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_graph_that_contradicts_itself_is_refused(reason: str) -> None:
    model = functional(source("x", 4), *REFUSED[reason], inputs=[["x", 0, 0]], outputs=[["a", 0, 0]])  # type: ignore[arg-type]
    with pytest.raises(Refused, match=reason):
        up(model)


def test_models_in_models_that_are_called_twice_each_take_no_time() -> None:
    model = block()
    for number in range(30):
        twice = [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]
        inner = {**model, "name": "inner", "inbound_nodes": twice, "config": {**model["config"], "name": "inner"}}
        model = functional(
            source("x", *([4] if number % 2 else [None])), inner, inputs=[["x", 0, 0]], outputs=[["inner", 2, 0]]
        )
    assert up(model).config["config"]["output_layers"] == ["inner", 2, 0]


def test_many_names_with_slashes_take_no_time() -> None:
    layers = [layer("/" * (n % 20 + 1) + "_" * (20 - n % 20) + str(n // 20), [["x", 0, 0, {}]]) for n in range(2000)]
    found = up(functional(source("x", 4), *layers, inputs=[["x", 0, 0]], outputs=[[layers[0]["name"], 0, 0]]))
    names = [entry["name"] for entry in found.config["config"]["layers"]]
    assert len(set(names)) == 2001
    assert not any("/" in name for name in names)
    assert len(found.moved) == 2000


def attending(*scores: bool) -> Entry:
    """A model that calls attention several times, with scores or without."""
    nodes = [
        [["x", 0, 0, {"return_attention_scores": True} if each else {}], ["x", 0, 0, {}]] for each in scores
    ]  # fmt: skip
    outputs = [["a", number, int(each)] for number, each in enumerate(scores)]
    return functional(
        source("x", 5, 4), layer("a", *nodes, kind="Attention"), inputs=[["x", 0, 0]], outputs=outputs
    )  # fmt: skip


@pytest.mark.parametrize(("scores", "late"), [((False, True), True), ((True, False), False), ((True, True), False)])
def test_scores_that_the_first_call_does_not_give_are_refused(scores: tuple[bool, ...], late: bool) -> None:
    assert [change.rule for change in up(attending(*scores)).refused] == ["late scores"] * late


CLASHES = {
    "variable 'kernel' in layer 'h'": [layer("h", [["x", 0, 0, {}]], kind="Dense", units=4), "h/kernel"],
    "layer 'h' in layer 'inner'": [called([["x", 0, 0, {}]]), "inner/h"],
    "layer 'lstm_cell' in layer 'l'": [layer("l", [["x", 0, 0, {}]], kind="LSTM", units=4), "l/lstm_cell"],
}


@pytest.mark.parametrize("told", CLASHES)
def test_a_name_that_is_the_path_of_something_else_is_refused(told: str) -> None:
    owner, name = CLASHES[told]
    model = functional(
        source("x", 4), owner, layer(name, [["x", 0, 0, {}]]), inputs=[["x", 0, 0]], outputs=[[name, 0, 0]]  # type: ignore[arg-type]
    )  # fmt: skip
    found = upgrade(model, None, "2.15.0", {"h/kernel": (4, 4)}, Wishes())
    assert [(change.layer, change.rule) for change in found.refused] == [(name, "equal names")]
    assert told in found.refused[0].text


def test_a_name_that_only_begins_as_another_is_kept() -> None:
    model = functional(
        source("x", 4), layer("h", [["x", 0, 0, {}]]), layer("h/bn", [["h", 0, 0, {}]]),
        inputs=[["x", 0, 0]], outputs=[["h/bn", 0, 0]],
    )  # fmt: skip
    assert not up(model).refused


def test_an_output_of_no_layer_is_refused() -> None:
    with pytest.raises(Refused, match="which no layer makes"):
        up(functional(source("x", 4), inputs=[["x", 0, 0]], outputs=[["nobody", 0, 1]]))
