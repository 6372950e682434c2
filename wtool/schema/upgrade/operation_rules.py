"""What TensorFlow's operations on values are in Keras 3: element by element, of pairs, along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wtool.dtypes import is_floating
from wtool.schema.layers import PartialShape
from wtool.schema.upgrade.operation_call import Cannot, OperationCall, spec_of
from wtool.schema.upgrade.specs import Spec, Tensor

Rule = Callable[[OperationCall], "Tensor | list[Tensor]"]

_EACH = {
    "relu": "nn.Relu", "relu6": "nn.Relu6", "elu": "nn.Elu", "selu": "nn.Selu", "sigmoid": "nn.Sigmoid",
    "softplus": "nn.Softplus", "softsign": "nn.Softsign", "log_sigmoid": "nn.LogSigmoid", "tanh": "numpy.Tanh",
    "exp": "numpy.Exp", "expm1": "numpy.Expm1", "log": "numpy.Log", "log1p": "numpy.Log1p", "sqrt": "numpy.Sqrt",
    "rsqrt": "math.Rsqrt", "square": "numpy.Square", "abs": "numpy.Absolute", "negative": "numpy.Negative",
    "neg": "numpy.Negative", "sign": "numpy.Sign", "floor": "numpy.Floor", "ceil": "numpy.Ceil",
    "round": "numpy.Round", "sin": "numpy.Sin", "cos": "numpy.Cos", "tan": "numpy.Tan", "asin": "numpy.Arcsin",
    "acos": "numpy.Arccos", "atan": "numpy.Arctan", "sinh": "numpy.Sinh", "cosh": "numpy.Cosh",
    "asinh": "numpy.Arcsinh", "acosh": "numpy.Arccosh", "atanh": "numpy.Arctanh", "erf": "math.Erf",
    "reciprocal": "numpy.Reciprocal", "stop_gradient": "core.StopGradient", "logical_not": "numpy.LogicalNot",
}  # fmt: skip

_TOLD = {"is_nan": "numpy.Isnan", "is_inf": "numpy.Isinf", "is_finite": "numpy.Isfinite"}

_PAIRS = {
    "add": "numpy.Add", "subtract": "numpy.Subtract", "sub": "numpy.Subtract", "multiply": "numpy.Multiply",
    "mul": "numpy.Multiply", "maximum": "numpy.Maximum", "minimum": "numpy.Minimum", "pow": "numpy.Power",
    "floordiv": "numpy.FloorDivide", "floor_div": "numpy.FloorDivide", "floormod": "numpy.Mod", "mod": "numpy.Mod",
    "atan2": "numpy.Arctan2", "divide_no_nan": "numpy.DivideNoNan",
}  # fmt: skip

_COMPARISONS = {
    "greater": "numpy.Greater", "greater_equal": "numpy.GreaterEqual", "less": "numpy.Less",
    "less_equal": "numpy.LessEqual", "equal": "numpy.Equal", "not_equal": "numpy.NotEqual",
    "eq": "numpy.Equal", "ne": "numpy.NotEqual",
    "logical_and": "numpy.LogicalAnd", "logical_or": "numpy.LogicalOr", "logical_xor": "numpy.LogicalXor",
}  # fmt: skip

_REDUCTIONS = {
    "reduce_mean": "numpy.Mean", "reduce_sum": "numpy.Sum", "reduce_max": "numpy.Max", "reduce_min": "numpy.Min",
    "reduce_prod": "numpy.Prod", "reduce_std": "numpy.Std", "reduce_variance": "numpy.Var",
    "reduce_logsumexp": "math.Logsumexp", "reduce_any": "numpy.Any", "reduce_all": "numpy.All",
}  # fmt: skip

_SMALL = ("int8", "int16", "uint8", "uint16", "bool")
"""Dtypes whose sums Keras makes of a larger dtype than TensorFlow does."""


def _each(kind: str) -> Rule:
    return lambda at: at.each(kind, at.x)


def _told(kind: str) -> Rule:
    return lambda at: at.each(kind, at.x, "bool")


def _pair(kind: str) -> Rule:
    return lambda at: at.pair(kind, at.first, _second(at))


def _comparison(kind: str) -> Rule:
    return lambda at: at.pair(kind, at.first, _second(at), "bool")


def _second(at: OperationCall) -> Any:
    value = at.get("y", "x")  # the first argument of atan2 is y
    if value is None:
        raise Cannot("was saved without its second operand")
    return value


def _divided(at: OperationCall) -> Tensor:
    a, b = at.first, _second(at)
    whole = dict.fromkeys(("int8", "int16", "uint8", "uint16"), "float32")  # others are divided as float64
    tensors = [each for each in (a, b) if isinstance(each, Tensor) and each.key is not None]
    dtype = tensors[0].spec.dtype if tensors else None
    if dtype is not None and not is_floating(dtype):
        a, b = (converted(at, each, whole.get(dtype, "float64")) if each in tensors else each for each in (a, b))
    return at.pair("numpy.TrueDivide", a, b)


def _lost(_: OperationCall) -> Tensor:
    raise Cannot("was saved without its tensors: Keras 2 keeps only the first argument of this operation")


def _squared_difference(at: OperationCall) -> Tensor:
    return at.each("numpy.Square", at.pair("numpy.Subtract", at.first, _second(at)))


def _summed(at: OperationCall) -> Tensor:
    first, *others = at.first if isinstance(at.first, list) and at.first else [at.first]
    if not others:
        return _same(at, at.tensor(first))
    for other in others:
        first = at.pair("numpy.Add", first, other)
    return at.tensor(first)


def _same(at: OperationCall, x: Tensor) -> Tensor:
    """Puts an operation that changes nothing into the graph: the layer's name stays."""
    return converted(at, x, x.spec.dtype or "float32")


def _identity(at: OperationCall) -> Tensor:
    return _same(at, at.x)


def _cast(at: OperationCall) -> Tensor:
    return _to(at, at.x, at.get("dtype"))


def _to(at: OperationCall, x: Tensor, dtype: Any) -> Tensor:
    """Puts a cast to the dtype that an argument names into the graph. Returns its output."""
    if not isinstance(dtype, str) or not (is_floating(dtype) or dtype in _WHOLE):
        raise Cannot(f"casts to {dtype!r:.40}")
    return converted(at, x, dtype)


def converted(at: OperationCall, x: Tensor, dtype: str) -> Tensor:
    """Puts a cast into the graph. Returns its output."""
    return at.op("core.Cast", x, spec=Spec(x.spec.shape, dtype, x.spec.batch), dtype=dtype)


_WHOLE = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def _alike(kind: str) -> Rule:
    def rule(at: OperationCall) -> Tensor:
        dtype = at.get("dtype", default=at.x.spec.dtype)
        made = at.each(kind, at.x)
        return made if dtype == at.x.spec.dtype else _to(at, made, dtype)

    return rule


def _reduction(kind: str) -> Rule:
    def rule(at: OperationCall) -> Tensor:
        dtype = at.x.spec.dtype
        if kind in ("numpy.Mean", "numpy.Std", "numpy.Var", "math.Logsumexp") and not is_floating(dtype or "float32"):
            raise Cannot(f"rounds a mean of {dtype} to whole numbers, which Keras 3 does not")
        if kind in ("numpy.Sum", "numpy.Prod") and dtype in _SMALL:
            raise Cannot(f"sums {dtype} up in {dtype}, which Keras 3 does not")
        return reduced(at, kind, at.x, at.get("axis", "reduction_indices"), at.get("keepdims", "keep_dims"))

    return rule


def reduced(at: OperationCall, kind: str, x: Tensor, axis: Any, keepdims: Any) -> Tensor:
    """Puts a reduction into the graph. Returns its output."""
    shape = x.spec.shape
    axes = at.axes(axis, None if shape is None else len(shape))
    keep = bool(keepdims)
    left = None if shape is None else _left(shape, axes, keep)
    batch = x.spec.batch and axes is not None and 0 not in axes and all(each >= 0 for each in axes)
    return at.op(kind, x, spec=Spec(left, x.spec.dtype, batch), axis=axes, keepdims=keep)


def _left(shape: PartialShape, axes: list[int] | None, keep: bool) -> PartialShape:
    gone = range(len(shape)) if axes is None else axes
    return tuple(1 if at in gone else size for at, size in enumerate(shape) if keep or at not in gone)


def _norm(at: OperationCall) -> Tensor:
    order, axis, keep = at.get("ord", default="euclidean"), at.get("axis"), at.get("keepdims", "keep_dims")
    if order in ("euclidean", "fro", 2, 2.0) and not (order in (2, 2.0) and isinstance(axis, list) and len(axis) > 1):
        return at.each("numpy.Sqrt", reduced(at, "numpy.Sum", at.each("numpy.Square", at.x), axis, keep))
    if order in (1, 1.0) and not isinstance(axis, list):
        return reduced(at, "numpy.Sum", at.each("numpy.Absolute", at.x), axis, keep)
    raise Cannot(f"takes the norm {order!r:.40} along {axis!r:.40}")


def _l2_normalized(at: OperationCall) -> Tensor:
    x, epsilon = at.x, at.get("epsilon", default=1e-12)
    total = reduced(at, "numpy.Sum", at.each("numpy.Square", x), at.get("axis", "dim"), True)
    return at.pair("numpy.Multiply", x, at.each("math.Rsqrt", at.pair("numpy.Maximum", total, epsilon)))


def _softmax(kind: str) -> Rule:
    return lambda at: at.each(kind, at.x, axis=at.whole(at.get("axis", "dim", default=-1)))


def _silu(at: OperationCall) -> Tensor:
    beta = at.get("beta", default=1.0)
    if beta == 1.0:
        return at.each("nn.Silu", at.x)
    return at.pair("numpy.Multiply", at.x, at.each("nn.Sigmoid", at.pair("numpy.Multiply", at.x, beta)))


def _leaky(at: OperationCall) -> Tensor:
    return at.each("nn.LeakyRelu", at.x, negative_slope=at.known(at.get("alpha", default=0.2)))


def _gelu(at: OperationCall) -> Tensor:
    return at.each("nn.Gelu", at.x, approximate=bool(at.get("approximate", default=False)))


def _both_signs(at: OperationCall) -> Tensor:
    axis = at.axis(at.get("axis", default=-1), None if at.x.spec.shape is None else len(at.x.spec.shape))
    parts = [at.each("nn.Relu", at.x), at.each("nn.Relu", at.each("numpy.Negative", at.x))]
    shape = at.x.spec.shape
    grown = None if shape is None else tuple(
        size if place != axis or size is None else 2 * size for place, size in enumerate(shape)
    )  # fmt: skip
    return at.op("numpy.Concatenate", parts, spec=Spec(grown, at.x.spec.dtype, at.x.spec.batch and axis > 0), axis=axis)


def _hard_sigmoid(at: OperationCall) -> Tensor:
    line = at.pair("numpy.Add", at.pair("numpy.Multiply", at.x, 0.2), 0.5)
    return at.each("numpy.Clip", line, x_min=0.0, x_max=1.0)


def _clipped(at: OperationCall) -> Tensor:
    low, high = at.get("clip_value_min"), at.get("clip_value_max")
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        return at.each("numpy.Clip", at.x, x_min=low, x_max=high)
    return at.pair("numpy.Maximum", at.pair("numpy.Minimum", at.x, high), low)


def _where(at: OperationCall) -> Tensor:
    x, y = at.get("x"), at.get("y")
    if x is None or y is None:
        raise Cannot("gives positions, whose number is known only when the model runs")
    like = next((each for each in (x, y) if isinstance(each, Tensor) and each.key is not None), None)
    if like is None:
        dtype = "float32" if isinstance(x, float) or isinstance(y, float) else "int32"
        like = Tensor(("", 0, 0), Spec((), dtype))
        x, y = ([each] if isinstance(each, (int, float)) else each for each in (x, y))  # an array has a dtype
    condition, x, y = at.x, at.operand(x, like), at.operand(y, like)
    return at.op("numpy.Where", condition, x, y, spec=spec_of(condition, x, y, dtype=like.spec.dtype))


def _bias_added(at: OperationCall) -> Tensor:
    if str(at.get("data_format", default="")).startswith("NC"):
        raise Cannot("adds a bias to channels that stand first")
    return at.pair("numpy.Add", at.first, at.get("bias"))


def _cumulative(kind: str) -> Rule:
    def rule(at: OperationCall) -> Tensor:
        at.only(exclusive=False)
        x = at.x
        axis = at.axis(at.get("axis", default=0), None if x.spec.shape is None else len(x.spec.shape))
        if not at.get("reverse"):
            return at.each(kind, x, axis=axis)
        return at.each("numpy.Flip", at.each(kind, at.each("numpy.Flip", x, axis=axis), axis=axis), axis=axis)

    return rule


RULES: dict[str, Rule] = {
    **{name: _each(kind) for name, kind in _EACH.items()},
    **{name: _told(kind) for name, kind in _TOLD.items()},
    **{name: _pair(kind) for name, kind in _PAIRS.items()},
    **{name: _comparison(kind) for name, kind in _COMPARISONS.items()},
    **{name: _reduction(kind) for name, kind in _REDUCTIONS.items()},
    **dict.fromkeys(("truediv", "divide", "realdiv"), _divided),
    **dict.fromkeys(("norm", "reduce_euclidean_norm"), _norm),
    **dict.fromkeys(("silu", "swish"), _silu),
    "squared_difference": _squared_difference,
    "einsum": _lost,
    "add_n": _summed,
    "identity": _identity,
    "cast": _cast,
    "ones_like": _alike("numpy.OnesLike"),
    "zeros_like": _alike("numpy.ZerosLike"),
    "l2_normalize": _l2_normalized,
    "softmax": _softmax("nn.Softmax"),
    "log_softmax": _softmax("nn.LogSoftmax"),
    "leaky_relu": _leaky,
    "gelu": _gelu,
    "crelu": _both_signs,
    "hard_sigmoid": _hard_sigmoid,
    "clip_by_value": _clipped,
    "where": _where,
    "bias_add": _bias_added,
    "cumsum": _cumulative("numpy.Cumsum"),
    "cumprod": _cumulative("numpy.Cumprod"),
}
"""Last part of the name of an operation of TensorFlow -> the rule that puts operations of Keras 3 in its place."""
