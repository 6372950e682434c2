"""Operations of Keras 2 up to TensorFlow 2.3, which are nodes of graphs: by which name and arguments they are called.

A `TensorFlowOpLayer` holds a node with attributes, and those inputs that are constants. What the node does is looked up
under the name that later versions give it. Source: `TensorFlowOpLayer` of tf_keras/src/engine/base_layer.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.node_def import OperationNode, Unreadable, read_node
from wtool.schema.upgrade.operation_call import Cannot
from wtool.schema.upgrade.specs import Tensor

FIRST, REST = "", "*"
"""Stand for the first argument, and for all inputs that no other place takes, as a list."""

Signature = tuple[str, tuple[str, ...], Mapping[str, str]]


def _of(function: str, *inputs: str, **attributes: str) -> Signature:
    return function, inputs or (FIRST,), attributes


_EACH = (
    "Relu Relu6 Elu Selu Sigmoid Tanh Softplus Softsign Exp Expm1 Log Log1p Sqrt Rsqrt Square Abs Sign Floor Ceil "
    "Round Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Erf Reciprocal Identity Softmax"
)
_NAMED_OTHERWISE = {
    "Neg": "negative", "LogSoftmax": "log_softmax", "StopGradient": "stop_gradient", "LogicalNot": "logical_not",
    "OnesLike": "ones_like", "ZerosLike": "zeros_like", "IsNan": "is_nan", "IsInf": "is_inf",
    "IsFinite": "is_finite", "Rank": "rank",
}  # fmt: skip
_PAIRS = {
    "Add": "add", "AddV2": "add", "Sub": "subtract", "Mul": "multiply", "RealDiv": "truediv", "Maximum": "maximum",
    "Minimum": "minimum", "Pow": "pow", "FloorDiv": "floordiv", "FloorMod": "floormod", "Atan2": "atan2",
    "DivNoNan": "divide_no_nan", "SquaredDifference": "squared_difference", "Greater": "greater",
    "GreaterEqual": "greater_equal", "Less": "less", "LessEqual": "less_equal", "Equal": "equal",
    "NotEqual": "not_equal", "LogicalAnd": "logical_and", "LogicalOr": "logical_or",
}  # fmt: skip
_REDUCTIONS = {
    "Mean": "reduce_mean", "Sum": "reduce_sum", "Max": "reduce_max", "Min": "reduce_min", "Prod": "reduce_prod",
    "Any": "reduce_any", "All": "reduce_all",
}  # fmt: skip

SIGNATURES: dict[str, Signature] = {
    **{name: _of(name.lower()) for name in _EACH.split()},
    **{name: _of(function) for name, function in _NAMED_OTHERWISE.items()},
    **{name: _of(function, FIRST, "y") for name, function in _PAIRS.items()},
    **{name: _of(function, FIRST, "axis", keep_dims="keepdims") for name, function in _REDUCTIONS.items()},
    "LeakyRelu": _of("leaky_relu", alpha="alpha"),
    "BiasAdd": _of("bias_add", FIRST, "bias", data_format="data_format"),
    "AddN": _of("add_n", REST),
    "Cast": _of("cast", DstT="dtype", Truncate="Truncate"),
    "SelectV2": _of("where", FIRST, "x", "y"),
    "ClipByValue": _of("clip_by_value", FIRST, "clip_value_min", "clip_value_max"),
    "Cumsum": _of("cumsum", FIRST, "axis", exclusive="exclusive", reverse="reverse"),
    "Cumprod": _of("cumprod", FIRST, "axis", exclusive="exclusive", reverse="reverse"),
    "Reshape": _of("reshape", FIRST, "shape"),
    "ExpandDims": _of("expand_dims", FIRST, "axis"),
    "Squeeze": _of("squeeze", squeeze_dims="axis"),
    "Transpose": _of("transpose", FIRST, "perm"),
    "ConcatV2": _of("concat", REST, "axis"),
    "Pack": _of("stack", REST, axis="axis"),
    "Unpack": _of("unstack", axis="axis", num="num"),
    "Split": _of("split", "axis", FIRST, num_split="num_or_size_splits"),
    "SplitV": _of("split", FIRST, "num_or_size_splits", "axis"),
    "Tile": _of("tile", FIRST, "multiples"),
    "Pad": _of("pad", FIRST, "paddings"),
    "PadV2": _of("pad", FIRST, "paddings", "constant_values"),
    "MirrorPad": _of("pad", FIRST, "paddings", mode="mode"),
    "ReverseV2": _of("reverse", FIRST, "axis"),
    "Roll": _of("roll", FIRST, "shift", "axis"),
    "Slice": _of("slice", FIRST, "begin", "size"),
    "GatherV2": _of("gather", FIRST, "indices", "axis", batch_dims="batch_dims"),
    "OneHot": _of("one_hot", FIRST, "depth", "on_value", "off_value", axis="axis", T="dtype"),
    "ArgMax": _of("argmax", FIRST, "axis", output_type="output_type"),
    "ArgMin": _of("argmin", FIRST, "axis", output_type="output_type"),
    "TopKV2": _of("top_k", FIRST, "k", sorted="sorted"),
    "BroadcastTo": _of("broadcast_to", FIRST, "shape"),
    "MatMul": _of("matmul", FIRST, "b", transpose_a="transpose_a", transpose_b="transpose_b"),
    "BatchMatMul": _of("matmul", FIRST, "b", adj_x="adjoint_a", adj_y="adjoint_b"),
    "BatchMatMulV2": _of("matmul", FIRST, "b", adj_x="adjoint_a", adj_y="adjoint_b"),
    "MaxPool": _of("max_pool", ksize="ksize", strides="strides", padding="padding", data_format="data_format"),
    "AvgPool": _of("avg_pool", ksize="ksize", strides="strides", padding="padding", data_format="data_format"),
    "DepthToSpace": _of("depth_to_space", block_size="block_size", data_format="data_format"),
    "SpaceToDepth": _of("space_to_depth", block_size="block_size", data_format="data_format"),
    "Shape": _of("shape", out_type="out_type"),
    "Size": _of("size", out_type="out_type"),
}
"""TensorFlow's name of a node -> the last part of the function's name, its inputs, its attributes by their names."""

_RESIZING = {"ResizeBilinear": "bilinear", "ResizeNearestNeighbor": "nearest", "ResizeBicubic": "bicubic"}

_OF_TYPES = (
    "T", "Tidx", "Tperm", "Tshape", "Tdim", "Tdims", "Tlen", "Tpaddings", "Tmultiples", "Tshift", "Taxis", "Tindices",
    "Tparams", "SrcT", "TI", "Tk", "N", "Index", "num_split", "_cloned", "_output_shapes", "incompatible_shape_error",
)  # fmt: skip
"""Attributes that say nothing but dtypes, shapes and numbers of inputs."""


def call_of_node(settings: Mapping[str, Any], first: Any) -> tuple[str, Any, dict[str, Any]]:
    """Returns the last part of the function's name, the first argument and the others for a node of a graph.

    Args:
        settings: of the `TensorFlowOpLayer`.
        first: the tensors of the graph that the layer takes.

    Raises:
        Cannot: no function is known for the node.
    """
    try:
        node = read_node(settings.get("node_def"))
    except Unreadable as error:
        raise Cannot(f"is a node of a graph that cannot be read ({error})") from None
    inputs = _inputs(settings.get("constants"), first)
    if node.op == "StridedSlice":
        return _strided(node, inputs)
    if node.op in _RESIZING:
        return _resizing(node, inputs)
    if node.op not in SIGNATURES:
        raise Cannot(f"is TensorFlow's {node.op}, and no operation of Keras 3 is known to do the same")
    function, names, attributes = SIGNATURES[node.op]
    found = _by_name(node.op, names, inputs)
    for word, value in node.attributes.items():
        if word in attributes:
            found[attributes[word]] = value
        elif word not in _OF_TYPES and value not in (None, False, []):
            found[word] = value  # a rule that does not know the word refuses the call
    if found.get("axis") == [] and node.op == "Squeeze":
        del found["axis"]
    if "Truncate" in found and not found["Truncate"]:
        del found["Truncate"]
    return function, found.pop(FIRST), found


def _inputs(constants: Any, first: Any) -> list[Any]:
    """Returns all inputs of a node: the tensors of the graph, with the constants at their places among them."""
    inputs = list(first) if isinstance(first, list) else [first]
    for place, value in constants.items() if isinstance(constants, Mapping) else ():
        if not str(place).isdecimal() or int(place) > len(inputs):
            raise Cannot(f"has a constant at the place {place!r:.20}")
        inputs.insert(int(place), _plain(value))
    return inputs


def _plain(value: Any) -> Any:
    """Returns a constant as numbers in nested lists; newer Kerases write arrays as objects."""
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        return value["config"].get("value")
    return value


def _by_name(op: str, names: tuple[str, ...], inputs: list[Any]) -> dict[str, Any]:
    """Returns the inputs of a node by the names of the arguments that they are."""
    if REST in names:
        behind = len(names) - 1
        many = len(inputs) - behind
        if many < 1:
            raise Cannot(f"is a {op} of {len(inputs)} inputs")
        inputs = [inputs[:many], *inputs[many:]]
        names = tuple(FIRST if name == REST else name for name in names)
    if len(inputs) != len(names):
        raise Cannot(f"is a {op} of {len(inputs)} inputs")
    return dict(zip(names, inputs, strict=True))


def _strided(node: OperationNode, inputs: list[Any]) -> tuple[str, Any, dict[str, Any]]:
    """Returns the call for a part of a tensor, whose masks say what the numbers mean."""
    if len(inputs) != 4:
        raise Cannot(f"is a {node.op} of {len(inputs)} inputs")
    x, *bounds = inputs
    begin, end, step = (_listed(each) for each in bounds)
    if not len(begin) == len(end) == len(step):
        raise Cannot("takes a part of a tensor by bounds of different lengths")

    def is_marked(mask: str, place: int) -> bool:
        return bool(int(node.attributes.get(f"{mask}_mask") or 0) >> place & 1)

    parts: list[Any] = []
    for place, (start, stop, every) in enumerate(zip(begin, end, step, strict=True)):
        if is_marked("ellipsis", place):
            parts.append({"class_name": "__ellipsis__"})
        elif is_marked("new_axis", place):
            parts.append(None)
        elif is_marked("shrink_axis", place):
            parts.append(start)
        else:
            start = None if is_marked("begin", place) else start
            parts.append({"start": start, "stop": None if is_marked("end", place) else stop, "step": every})
    return "getitem", x, {"slice_spec": parts}


def _listed(value: Any) -> list[Any]:
    """Returns bounds of a part as a list, also where they are worked out from shapes."""
    if isinstance(value, Tensor):
        value = list(value.spec.value) if isinstance(value.spec.value, tuple) else None
    if not isinstance(value, list):
        raise Cannot("takes a part of a tensor by bounds that are not known")
    return value


def _resizing(node: OperationNode, inputs: list[Any]) -> tuple[str, Any, dict[str, Any]]:
    if len(inputs) != 2:
        raise Cannot(f"is a {node.op} of {len(inputs)} inputs")
    if node.attributes.get("align_corners") or not node.attributes.get("half_pixel_centers"):
        raise Cannot(f"is a {node.op} that measures from the corners of pixels, which Keras 3 does not")
    return "resize", inputs[0], {"size": inputs[1], "method": _RESIZING[node.op]}
