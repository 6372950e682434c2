"""TensorFlow's operations in graphs of Keras 2: what they are called, and the shapes that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.schema.layers import PartialShape

TENSORFLOW = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
"""Classes of layers that are an operation."""

_MODULES = ("", "math", "nn", "__operators__", "keras.activations", "linalg", "image")

ACTIVATIONS = frozenset(("relu", "relu6", "leaky_relu", "elu", "selu", "silu", "swish", "gelu", "sigmoid", "tanh"))

EACH = ACTIVATIONS | frozenset(
    """
    abs atan cast ceil clip_by_value cos erf floor hard_sigmoid identity negative neg ones_like round sign sin softplus
    softsign square stop_gradient zeros_like
    """.split()  # noqa: SIM905
)
"""Operations on each value alone, whose results are finite for every finite value."""

PAIRED = frozenset(("add", "sub", "subtract", "mul", "multiply", "maximum", "minimum"))
"""Operations on the values of two tensors, or of one and a number, whose results are finite for finite values."""

DIVIDING = frozenset(("truediv", "divide", "div"))

_COMPARING = frozenset(("equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "pow", "floordiv"))
_ALIKE = EACH | frozenset(("exp", "log", "log1p", "sqrt", "rsqrt", "softmax", "log_softmax", "reciprocal", "cumsum"))
REDUCING = frozenset(("reduce_mean", "reduce_sum", "reduce_max", "reduce_min"))
_ALL_REDUCING = REDUCING | frozenset(("reduce_prod", "reduce_std", "reduce_variance", "reduce_logsumexp", "argmax"))

Arguments = Mapping[Any, Any]


def function_of(config: Mapping[str, Any]) -> str:
    """The last part of the operation's name, `reduce_max` of `math.reduce_max`; empty for what is not known."""
    name = str(config.get("function", "")).removeprefix("compat.v1.").removeprefix("compat.v2.")
    module, _, last = name.rpartition(".")
    return last if module in _MODULES else ""


def shapes_behind(
    config: Mapping[str, Any], arguments: Arguments, inputs: Sequence[PartialShape | None]
) -> list[PartialShape | None]:
    """The shapes of an operation's outputs; None for those that are not known.

    Args:
        config: of the operation.
        arguments: of its call, tensors included.
        inputs: shapes of the tensors that it takes.
    """
    function = function_of(config)
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) < len(inputs):
        return [None]
    if function == "split":
        return _split(known[0], arguments)
    rule = _RULES.get(function)
    return [None if rule is None else rule(known[0], arguments, known)]


def numbers(value: Any) -> list[int] | None:
    """A number or a list of whole numbers as a list; None for anything else."""
    value = value if isinstance(value, list) else [value]
    return value if all(type(each) is int for each in value) else None


def axes_of(value: Any, rank: int) -> list[int] | None:
    """Axes counted from the first one, in order; None where they are not known."""
    found = numbers(value)
    if found is None or any(not -rank <= axis < rank for axis in found):
        return None
    return sorted(axis % rank for axis in found)


def is_number(value: Any) -> bool:
    """Whether a constant is the same for all values of a tensor: a number, or a list that holds only one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return isinstance(value, (int, float))


def kept_axes(spec: Any, rank: int) -> list[tuple[int | None, Any]] | None:
    """What `x[spec]` gives: for each axis of the result the axis of x (None for a new one) and its slice.

    None where indices are tensors, or too many.
    """
    parts = spec if isinstance(spec, list) else [spec]
    left_out = rank - sum(each is not None and not _is_ellipsis(each) for each in parts)
    if left_out < 0 or sum(map(_is_ellipsis, parts)) > 1:
        return None
    if not any(map(_is_ellipsis, parts)):
        parts = [*parts, "Ellipsis"]
    found: list[tuple[int | None, Any]] = []
    axis = 0
    for part in parts:
        if _is_ellipsis(part):
            found += [(axis + number, slice(None)) for number in range(left_out)]
            axis += left_out
        elif part is None:
            found.append((None, None))
        elif type(part) is int:
            axis += 1
        elif isinstance(part, Mapping) and set(part) == {"start", "stop", "step"}:
            cut = slice(part["start"], part["stop"], part["step"])
            if cut.step == 0 or not all(each is None or type(each) is int for each in (cut.start, cut.stop, cut.step)):
                return None
            found.append((axis, cut))
            axis += 1
        else:
            return None
    return found


def _is_ellipsis(part: Any) -> bool:
    return part == "Ellipsis" or (isinstance(part, Mapping) and part.get("class_name") == "__ellipsis__")


def _sliced(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    kept = kept_axes(arguments.get("slice_spec"), len(shape))
    if kept is None:
        return None
    return tuple(1 if axis is None else _cut(shape[axis], cut) for axis, cut in kept)


def _cut(size: int | None, cut: slice) -> int | None:
    if cut == slice(None) or size is None:
        return size if cut == slice(None) else None
    return len(range(*cut.indices(size)))


def _alike(shape: PartialShape, _: Arguments, __: Any) -> PartialShape:
    return shape


def _broadcast(_: PartialShape, arguments: Arguments, shapes: Sequence[PartialShape]) -> PartialShape | None:
    constant = next((arguments[word] for word in (0, "x", "y") if isinstance(arguments.get(word), list)), None)
    each = [*shapes, *([] if constant is None or len(shapes) > 1 else [shape_of_constant(constant)])]
    rank = max(map(len, each))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in each]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*aligned, strict=True))


def shape_of_constant(value: Any) -> PartialShape:
    """The shape of nested lists of numbers; `()` for a number."""
    found: list[int] = []
    while isinstance(value, list) and value:
        found.append(len(value))
        value = value[0]
    return tuple(found)


def _reduced(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    axes = axes_of(arguments.get("axis"), len(shape))
    if axes is None:
        return None
    keep = arguments.get("keepdims") or arguments.get("keep_dims")
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes)


def _concatenated(shape: PartialShape, arguments: Arguments, shapes: Sequence[PartialShape]) -> PartialShape | None:
    axes = axes_of(arguments.get("axis"), len(shape))
    if not axes or any(len(each) != len(shape) for each in shapes):
        return None
    sizes = [each[axes[0]] for each in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return (*shape[: axes[0]], total, *shape[axes[0] + 1 :])


def _stacked(shape: PartialShape, arguments: Arguments, shapes: Sequence[PartialShape]) -> PartialShape | None:
    axes = axes_of(arguments.get("axis", 0), len(shape) + 1)
    return None if not axes else (*shape[: axes[0]], len(shapes), *shape[axes[0] :])


def _expanded(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    axes = axes_of(arguments.get("axis"), len(shape) + 1)
    return None if not axes else (*shape[: axes[0]], 1, *shape[axes[0] :])


def _squeezed(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    axes = axes_of(arguments.get("axis"), len(shape))
    return None if not axes else tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _transposed(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    order = numbers(arguments.get("perm"))
    if order is None or sorted(order) != list(range(len(shape))):
        return None
    return tuple(shape[axis] for axis in order)


def _reshaped(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    target = arguments.get("shape")
    if not isinstance(target, list):
        return None
    return tuple(size if type(size) is int and size >= 0 else None for size in target)  # the batch is one of the others


def _multiplied(shape: PartialShape, arguments: Arguments, shapes: Sequence[PartialShape]) -> PartialShape | None:
    plain = not any(arguments.get(word) for word in ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b"))
    return (*shape[:-1], shapes[1][-1]) if plain and len(shapes) == 2 and shapes[1] else None


def _resized(shape: PartialShape, arguments: Arguments, _: Any) -> PartialShape | None:
    size = numbers(arguments.get("size"))
    return None if size is None or len(size) != 2 or len(shape) != 4 else (shape[0], *size, shape[3])


def _split(shape: PartialShape, arguments: Arguments) -> list[PartialShape | None]:
    axes, count = axes_of(arguments.get("axis", 0), len(shape)), arguments.get("num_or_size_splits")
    if not axes or type(count) is not int or not 0 < count <= 1000:
        return [None]
    size = shape[axes[0]]
    part = None if size is None else size // count
    return [(*shape[: axes[0]], part, *shape[axes[0] + 1 :])] * count


_RULES: dict[str, Callable[[PartialShape, Arguments, Sequence[PartialShape]], PartialShape | None]] = {
    **dict.fromkeys(_ALIKE, _alike),
    **dict.fromkeys(PAIRED | DIVIDING | _COMPARING, _broadcast),
    **dict.fromkeys(_ALL_REDUCING, _reduced),
    "getitem": _sliced,
    "concat": _concatenated,
    "stack": _stacked,
    "expand_dims": _expanded,
    "squeeze": _squeezed,
    "transpose": _transposed,
    "reshape": _reshaped,
    "matmul": _multiplied,
    "resize": _resized,
}

PRODUCTLESS = frozenset(_RULES) - {"matmul"} | {"split"}
"""Operations that multiply no values of tensors with each other to add them up."""
