"""Attributes of nodes of TensorFlow's graphs, in each of the three forms in which Keras 2 stored nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wtool.schema.node_def import read_node

ATTRIBUTES = {
    "keep_dims": {"b": False}, "N": {"i": "3"}, "axis": {"i": "-1"}, "alpha": {"f": 0.5}, "mode": {"s": "UkVGTEVDVA=="},
    "T": {"type": "DT_HALF"}, "ksize": {"list": {"i": ["1", "2", "-1"]}}, "none": {"list": {}}, "shape": {"shape": {}},
}  # fmt: skip
VALUES = {
    "keep_dims": False, "N": 3, "axis": -1, "alpha": 0.5, "mode": "REFLECT", "T": "float16", "ksize": [1, 2, -1],
    "none": [], "shape": None,
}  # fmt: skip


def test_attributes_in_json() -> None:
    node = {"name": "x", "op": "Mean", "attr": ATTRIBUTES}
    assert read_node(node).attributes == VALUES
    assert read_node(json.dumps(node)).attributes == VALUES


@pytest.mark.parametrize("value", [{"i": "many"}, {"f": []}, {"list": {"i": 7}}, {"list": {"i": ["a"]}}, {}])
def test_attributes_that_are_no_values_are_nothing(value: Any) -> None:
    assert read_node({"op": "Mean", "attr": {"axis": value}}).attributes["axis"] in (None, [None])


@pytest.mark.tensorflow
def test_attributes_in_a_message() -> None:
    tf = pytest.importorskip("tensorflow")
    json_format = pytest.importorskip("google.protobuf.json_format")
    known = {name: value for name, value in ATTRIBUTES.items() if name not in ("axis", "ksize")}  # -1 is no UTF-8
    node = json_format.ParseDict({"name": "x", "op": "Mean", "attr": known}, tf.compat.v1.NodeDef())
    assert read_node(node.SerializeToString().decode()).attributes == {name: VALUES[name] for name in known}
