"""Sizes of tensors in graphs: Keras 3 has no operation that gives them, so they are worked out from the shapes.

What is made of sizes is worked out, too, as far as it is numbers: parts, sums, products, roots. The number of examples
stays open until an operation takes it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from wtool.schema.operations import kept_axes
from wtool.schema.upgrade.operation_call import Cannot, OperationCall
from wtool.schema.upgrade.specs import BATCH, Spec, Tensor

MAX_NUMBERS = 256
"""So many numbers at most are worked out for one tensor: more than any shape has."""


def _shape(at: OperationCall) -> Any:
    at.get("out_type", "optimize")  # neither changes the numbers
    shape = at.x.spec.shape
    if shape is None:
        raise Cannot("asks for a shape that the configuration does not tell")
    first = tuple(BATCH if size is None and at.x.spec.batch else size for size in shape[:1])
    return (*first, *shape[1:])


def _rank(at: OperationCall) -> Any:
    return len(_shape(at))


def _count(at: OperationCall) -> Any:
    sizes = _shape(at)
    return math.prod(sizes) if all(type(size) is int for size in sizes) else None


OF_TENSORS: dict[str, Callable[[OperationCall], Any]] = {
    "shape": _shape, "shape_v2": _shape, "rank": _rank, "size": _count, "size_v2": _count,
}  # fmt: skip
"""Operations that give sizes of a tensor -> the rule for the value."""


def _part(at: OperationCall) -> Any:
    value, spec = _vector(at), at.get("slice_spec")
    spec = spec[0] if isinstance(spec, list) and len(spec) == 1 else spec
    if isinstance(spec, Tensor) or type(spec) is int:
        where = at.whole(spec)
        if not -len(value) <= where < len(value):
            raise Cannot("takes a size that is not there")
        return value[where]
    kept = kept_axes(at.sizes(spec) if isinstance(spec, list) else spec, 1)
    if kept is None or len(kept) != 1 or kept[0][0] is None:
        raise Cannot("takes a part of a shape that is not known")
    return value[kept[0][1]]


def _vector(at: OperationCall) -> tuple[Any, ...]:
    value = at.first.spec.value if isinstance(at.first, Tensor) else None
    if not isinstance(value, tuple):
        raise Cannot("takes a part of a size")
    return value


def _parts(at: OperationCall) -> Any:
    return _vector(at)


def _joined(at: OperationCall) -> Any:
    at.only(axis=0)
    found: list[Any] = []
    for each in at.first if isinstance(at.first, list) else [at.first]:
        value = at.sizes(each)
        found += value if isinstance(value, list) else [value]
        _refuse_many(len(found))
    return tuple(found)


def _stacked(at: OperationCall) -> Any:
    at.only(axis=0)
    first = at.first if isinstance(at.first, list) else [at.first]
    _refuse_many(len(first))
    values = at.sizes(first)
    if any(isinstance(value, list) for value in values):
        raise Cannot("makes a matrix of sizes")
    return tuple(values)


def _refuse_many(count: int) -> None:
    if count > MAX_NUMBERS:
        raise Cannot(f"makes more than {MAX_NUMBERS} numbers of sizes")


def _same(at: OperationCall) -> Any:
    return _tuples(at.sizes(at.first))


def _range(at: OperationCall) -> Any:
    given = [at.first, *(at.get(word) for word in ("limit", "delta"))]
    numbers = [at.whole(each) for each in given if each is not None]
    if len(numbers) == 3 and numbers[2] == 0:
        raise Cannot("counts in steps of 0")
    _refuse_many(len(range(*numbers)))
    return tuple(range(*numbers))


def _product(at: OperationCall) -> Any:
    sizes = at.sizes(at.first)
    sizes = sizes if isinstance(sizes, list) else [sizes]
    return math.prod(sizes) if all(isinstance(size, (int, float)) for size in sizes) else None


def _one(function: Callable[[Any], Any]) -> Callable[[OperationCall], Any]:
    return lambda at: _on_each(function, _tuples(at.sizes(at.first)))


def _two(function: Callable[[Any, Any], Any]) -> Callable[[OperationCall], Any]:
    return lambda at: _on_pairs(function, _tuples(at.sizes(at.first)), _tuples(at.sizes(at.get("y"))))


def _power(a: Any, b: Any) -> Any:
    if abs(b) > 64:
        raise Cannot("calculates with numbers that are too large")
    return a**b


def _on_each(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_on_each(function, each) for each in value)
    return function(value) if isinstance(value, (int, float)) else None


def _on_pairs(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if isinstance(a, tuple) or isinstance(b, tuple):
        many = a if isinstance(a, tuple) else b
        left = a if isinstance(a, tuple) else (a,) * len(many)
        right = b if isinstance(b, tuple) else (b,) * len(many)
        if len(left) != len(right):
            raise Cannot("takes shapes of different lengths together")
        return tuple(_on_pairs(function, x, y) for x, y in zip(left, right, strict=True))
    if not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        return None
    return function(a, b)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, (list, tuple)) else value


OF_SIZES: dict[str, Callable[[OperationCall], Any]] = {
    "getitem": _part, "unstack": _parts, "concat": _joined, "stack": _stacked, "range": _range,
    "reduce_prod": _product, **dict.fromkeys(("identity", "cast", "squeeze", "stop_gradient"), _same),
    "sqrt": _one(math.sqrt), "rsqrt": _one(lambda a: 1 / math.sqrt(a)), "negative": _one(operator.neg),
    "square": _one(lambda a: a * a), "add": _two(operator.add), "subtract": _two(operator.sub),
    "multiply": _two(operator.mul), "maximum": _two(max), "minimum": _two(min), "pow": _two(_power),
    **dict.fromkeys(("floordiv", "floor_div"), _two(operator.floordiv)),
    **dict.fromkeys(("truediv", "divide"), _two(operator.truediv)),
    **dict.fromkeys(("mod", "floormod"), _two(operator.mod)),
}  # fmt: skip
"""Operations on sizes -> the rule for the value."""


def worked_out(at: OperationCall) -> list[Tensor] | None:
    """Returns what an operation gives where it is worked out from shapes; None where it has to be in the graph.

    Raises:
        Cannot: the operation asks for what is not known.
    """
    if at.function in OF_TENSORS and isinstance(at.first, Tensor) and at.first.key is not None:
        return [_made(OF_TENSORS[at.function](at), "int32")]
    if at.function not in OF_SIZES or not _is_of_sizes(at):
        return None
    try:
        value = OF_SIZES[at.function](at)
    except (ArithmeticError, ValueError):
        raise Cannot("calculates with sizes what cannot be calculated") from None
    if at.function == "unstack":
        return [_made(each, "int32") for each in value]
    dtype = at.get("dtype") if at.function == "cast" else None
    return [_made(value, dtype if isinstance(dtype, str) else "int32")]


def _is_of_sizes(at: OperationCall) -> bool:
    """Whether an operation takes sizes, and no tensor of the graph."""
    found = [each for each in (*_leaves(at.first), *_leaves(list(at.others.values()))) if isinstance(each, Tensor)]
    return bool(found) and all(tensor.key is None for tensor in found)


def _leaves(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list) else [value]


def _made(value: Any, dtype: str) -> Tensor:
    if isinstance(value, (int, float)) and abs(value) > 2**53:
        raise Cannot("calculates with numbers that are too large")
    shape = (len(value),) if isinstance(value, tuple) else ()
    return Tensor(None, Spec(shape, dtype, False, value))
