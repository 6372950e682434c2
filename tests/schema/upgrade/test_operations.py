"""TensorFlow's operations as data: what they become, and that no argument whatever breaks the reader."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schema.upgrade.test_nodes import Entry, functional, layer, nodes_of, source, told, up
from wtool.errors import Refused
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.operation_nodes import SIGNATURES
from wtool.schema.upgrade.operation_sizes import OF_SIZES, OF_TENSORS
from wtool.schema.upgrade.operations import TABLE
from wtool.schema.upgrade.upgraded import Upgraded, Wishes


def operation(name: str, function: str, *nodes: Any, **config: Any) -> Entry:
    return layer(name, *nodes, kind="TFOpLambda", function=function, **config)


def model(*layers: Entry, shape: tuple[int | None, ...] = (5, 4)) -> Entry:
    return functional(source("x", *shape), *layers, inputs=[["x", 0, 0]], outputs=[[layers[-1]["name"], 0, 0]])


def texts(found: Upgraded) -> list[str]:
    return [f"{each.layer}: {each.text}" for each in found.refused]


def test_an_operation_keeps_the_name_of_its_layer() -> None:
    found = up(model(operation("sum", "math.reduce_sum", ["x", 0, 0, {"axis": [-1], "keepdims": True}])))
    assert not found.refused
    entry = found.config["config"]["layers"][1]
    assert entry == {
        "module": "keras.src.ops.numpy", "class_name": "Sum", "registered_name": "Sum", "name": "sum",
        "config": {"name": "sum", "axis": [2], "keepdims": True},
        "inbound_nodes": [{"args": [told(["x", 0, 0], 5, 4)], "kwargs": {}}],
    }  # fmt: skip
    assert [(each.layer, each.text) for each in found.changes if each.rule == "operation"] == [
        ("sum", "It becomes Sum.")
    ]


def test_names_that_older_kerases_refuse_are_left_out_where_nothing_needs_them() -> None:
    inner = operation("inner", "math.reduce_max", ["x", 0, 0, {"axis": 1, "keepdims": True}])
    clash = operation("clash", "math.reduce_min", ["inner", 0, 0, {"axis": 1, "keepdims": True}])
    plain = operation("plain", "math.exp", ["clash", 0, 0, {}])
    end = operation("end", "math.reduce_sum", ["min_3", 0, 0, {"axis": 1}])
    entries = up(model(inner, clash, plain, layer("min_3", [["plain", 0, 0, {}]]), end)).config["config"]["layers"]
    assert [entry["config"].get("name") for entry in entries] == ["x", None, "clash", "plain", "min_3", "end"]


@pytest.mark.parametrize(("batch", "told"), [(-1, None), (2**64 - 1, 2**64 - 3)])
def test_sizes_below_zero_are_not_known_and_large_ones_are_counted(batch: int, told: int | None) -> None:
    part = {"start": 2, "stop": None, "step": None}
    entry = model(
        layer("cut", ["x", 0, 0, {"slice_spec": [part]}], kind="SlicingOpLambda", function="getitem"), layer("d")
    )
    entry["config"]["layers"][0]["config"]["batch_input_shape"] = [batch, 5, 4]
    entry["config"]["layers"][2]["inbound_nodes"] = [[["cut", 0, 0, {}]]]
    (node,) = nodes_of(up(entry))["d"]
    assert node["args"][0]["config"]["shape"] == ([None] if told is None else [told, 5, 4])


def test_several_operations_stand_behind_each_other() -> None:
    found = up(model(operation("norm", "compat.v1.norm", ["x", 0, 0, {"ord": "euclidean", "axis": -1}])))
    classes = [entry["class_name"] for entry in found.config["config"]["layers"]]
    assert classes == ["InputLayer", "Square", "Sum", "Sqrt"]
    assert list(nodes_of(found)) == ["x", "norm_square", "norm_sum", "norm"]
    assert nodes_of(found)["norm"][0]["args"] == [told(["norm_sum", 0, 0], 5)]


def test_each_call_of_an_operation_becomes_operations_of_its_own() -> None:
    shared = operation("twice", "math.multiply", ["x", 0, 0, {"y": 2.0}], ["twice", 0, 0, {"y": ["x", 0, 0]}])
    end = layer("end", [["twice", 1, 0, {}]])
    nodes = nodes_of(up(model(shared, end)))
    assert list(nodes) == ["x", "twice", "twice_1", "end"]
    assert nodes["twice_1"][0]["args"] == [told(["twice", 0, 0], 5, 4), told(["x", 0, 0], 5, 4)]
    assert nodes["end"][0]["args"] == [told(["twice_1", 0, 0], 5, 4)]


def test_constants_have_the_dtype_of_what_they_meet() -> None:
    half = operation("half", "cast", ["x", 0, 0, {"dtype": "float16"}])
    found = nodes_of(up(model(half, operation("sum", "math.add", ["half", 0, 0, {"y": [1, 2, 3, 4]}]))))
    array = {"class_name": "__numpy__", "config": {"value": [1, 2, 3, 4], "dtype": "float16"}}
    assert found["sum"][0]["args"] == [told(["half", 0, 0], 5, 4, dtype="float16"), array]


def test_sizes_are_worked_out_and_leave_no_trace() -> None:
    sizes = operation("sizes", "compat.v1.shape", ["x", 0, 0, {"out_type": "int32"}])
    batch = layer("batch", ["sizes", 0, 0, {"slice_spec": 0}], kind="SlicingOpLambda", function="__operators__.getitem")
    steps = layer("steps", ["sizes", 0, 0, {"slice_spec": 1}], kind="SlicingOpLambda", function="__operators__.getitem")
    twice = operation("twice", "math.multiply", ["steps", 0, 0, {"y": 2}])
    target = {"shape": [["batch", 0, 0], ["twice", 0, 0], -1]}
    found = up(model(sizes, batch, steps, twice, operation("end", "reshape", ["x", 0, 0, target])))
    assert list(nodes_of(found)) == ["x", "end"]
    assert found.config["config"]["layers"][1]["config"] == {"name": "end", "newshape": [-1, 10, 2]}


def test_the_user_may_name_what_stands_for_an_operation() -> None:
    wishes = Wishes({"drop": {"class_name": "Dropout", "config": {"rate": 0.5}}})
    entry = model(operation("drop", "nn.dropout", ["x", 0, 0, {"rate": 0.5}]))
    found = upgrade(entry, None, "2.15.0", {}, wishes)
    assert not found.refused
    assert nodes_of(found)["drop"] == [{"args": [told(["x", 0, 0], 5, 4)], "kwargs": {}}]


REFUSED = {
    "nn.dropout": ({"rate": 0.5}, "is TensorFlow's nn.dropout"),
    "keras.activations.relu": ({"max_value": 6.0}, "is TensorFlow's keras.activations.relu"),
    "image.transpose": ({}, "is TensorFlow's image.transpose"),
    "io.read_file": ({}, "is TensorFlow's io.read_file"),
    "math.add": ({}, "saved without its second operand"),
    "nn.relu": ({"surprise": 7}, "is called with surprise=7"),
    "math.reduce_sum": ({"axis": 5}, "has an axis 5 that its input has not"),
    "reshape": ({"shape": [-1, ["sizes", 0, 0]]}, "several sizes"),
    "math.multiply": ({"y": [[1, 2], [3]]}, "rows differ in length"),
    "linalg.tensordot": ({"b": [1, 2, 3, 4], "axes": [[1]]}, "along the axes"),
    "linalg.matmul": ({"b": ["x", 0, 0], "a_is_sparse": True}, "a_is_sparse=True"),
}


@pytest.mark.parametrize("function", REFUSED)
def test_what_is_not_known_is_refused(function: str) -> None:
    arguments, reason = REFUSED[function]
    sizes = operation("sizes", "compat.v1.size", ["x", 0, 0, {}])
    found = texts(up(model(sizes, operation("odd", function, ["x", 0, 0, arguments]))))
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize("kind", ["ClassMethod", "InstanceMethod", "InstanceProperty"])
def test_methods_of_tensors_are_refused_by_name(kind: str) -> None:
    config = {"cls_symbol": "RaggedTensor", "method_name": "from_row_splits", "attr_name": "values"}
    (found,) = texts(up(model(layer("odd", ["x", 0, 0, {}], kind=kind, **config))))
    assert ("RaggedTensor.from_row_splits" if kind == "ClassMethod" else "values") in found


WORDS = """
    y x axis keepdims shape perm multiples paddings mode constant_values num_or_size_splits slice_spec size method begin
    indices depth dtype k alpha approximate beta clip_value_min clip_value_max b transpose_a transpose_b axes repeats
    shift ksize strides padding ord epsilon limit delta num batch_dims exclusive reverse output_type squeeze_dims bias
""".split()  # noqa: SIM905
KEYS = st.sampled_from([["x", 0, 0], ["sizes", 0, 0], ["one", 0, 0]])
NUMBERS = st.none() | st.booleans() | st.integers(-3, 7) | st.sampled_from([2**70, 0.5, -1e300])
PARTS = st.sampled_from(["start", "stop", "step", "class_name"])
VALUES = st.recursive(
    NUMBERS | KEYS | st.sampled_from(["float32", "same", "REFLECT"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARTS, inner, max_size=3),
    max_leaves=6,
)
FUNCTIONS = sorted({*TABLE, *OF_SIZES, *OF_TENSORS})
ATTRIBUTES = "axis keep_dims ksize strides padding begin_mask shrink_axis_mask num num_split T DstT mode".split()  # noqa: SIM905


def try_out(odd: Entry, shape: tuple[int | None, ...] = (5, 4)) -> None:
    """Upgrades a model in which a layer stands behind two that give sizes; the model may be refused."""
    sizes, one = operation("sizes", "shape", ["x", 0, 0, {}]), operation("one", "size", ["x", 0, 0, {}])
    with suppress(Refused):
        up(model(sizes, one, odd, shape=shape))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_arguments_break_a_rule(data: Any) -> None:
    function = data.draw(st.sampled_from(FUNCTIONS))
    arguments = data.draw(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4))
    first = data.draw(KEYS) if data.draw(st.booleans()) else ["_CONSTANT_VALUE", -1, data.draw(VALUES)]
    node = [*first, arguments]
    node = [node] if data.draw(st.booleans()) else node
    try_out(operation("odd", f"math.{function}", node), data.draw(st.sampled_from([(5, 4), (None, 4), (), (4, 4, 1)])))


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_node_breaks_a_rule(data: Any) -> None:
    op = data.draw(st.sampled_from([*sorted(SIGNATURES), "StridedSlice", "ResizeBilinear", "Unknown"]))
    kinds = st.fixed_dictionaries({}, optional={"i": VALUES, "b": VALUES, "s": st.just("U0FNRQ=="), "type": VALUES})
    node = {"name": "n", "op": op, "attr": data.draw(st.dictionaries(st.sampled_from(ATTRIBUTES), kinds, max_size=3))}
    constants = data.draw(VALUES | st.dictionaries(st.sampled_from(["0", "1", "2", "3", "-1"]), VALUES, max_size=3))
    inputs = [[*data.draw(KEYS), {}] for _ in range(data.draw(st.integers(1, 3)))]
    try_out(layer("odd", inputs, kind="TensorFlowOpLayer", node_def=node, constants=constants))
