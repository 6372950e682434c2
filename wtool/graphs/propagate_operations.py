"""Propagation rules for operations between layers: where the channels of an operation's output stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.graphs.layer_changes import Input, LayerChange, Stuck
from wtool.graphs.layer_rules import concatenate, merge
from wtool.graphs.reindex import Reindex
from wtool.schema.keras3_operations import FINITE, numbers_beside
from wtool.schema.operations import (
    DIVIDING,
    EACH,
    PAIRED,
    REDUCING,
    Arguments,
    axes_of,
    function_of,
    is_number,
    kept_axes,
    numbers,
)


def operation_change(config: Mapping[str, Any], arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    """How an operation takes its inputs, of which some have changed.

    Args:
        config: of the operation.
        arguments: of its call, tensors included.
        inputs: the tensors that it takes.

    Raises:
        Stuck: the operation works on several channels together, or may; the old form is needed in front of it.
    """
    function = function_of(config)
    rule = _RULES.get(function)
    if rule is None:
        shown = config.get("function") or "an operation of TensorFlow"
        raise Stuck(f"it is {shown!s:.40}, which may work on all channels together")
    if any(each.shape is None for each in inputs):
        raise Stuck("the shapes of its inputs are not known")
    return rule(function, arguments, inputs)


def keras_operation_change(entry: Mapping[str, Any], inputs: Sequence[Input]) -> LayerChange:
    """How an operation of Keras 3 takes its inputs, of which some have changed.

    Args:
        entry: of the operation, in the configuration of its model.
        inputs: the tensors that it takes.

    Raises:
        Stuck: the operation works on several channels together, or may, or gives no number for some.
    """
    name, beside = entry.get("class_name"), numbers_beside(entry)
    divides = name in ("Divide", "TrueDivide") and len(inputs) == 1 and inputs[0].word in (0, "x1")
    if name not in FINITE and not (divides and beside and all(type(each) in (int, float) and each for each in beside)):
        raise Stuck(f"it is the operation {name!s:.40}, which may work on all channels together")
    if beside is None:
        raise Stuck("it has numbers of their own for the channels")
    return merge(inputs)


def _only(inputs: Sequence[Input]) -> tuple[Reindex, int]:
    """The change of the only input, and its rank."""
    (one,) = inputs if len(inputs) == 1 else (None,)
    if one is None or one.reindex is None or one.shape is None:
        raise Stuck("it takes several tensors")
    return one.reindex, len(one.shape)


def _each(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, _rank = _only(inputs)
    if any(isinstance(value, list) for value in arguments.values()):
        raise Stuck("it has numbers of their own for the channels")
    return LayerChange(at)


def _paired(function: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    if len(inputs) > 1:
        if function in DIVIDING:
            raise Stuck("it divides by what may be zero")
        return merge(inputs)
    at, _ = _only(inputs)
    constant = next((arguments[word] for word in (0, "x", "y") if word in arguments), None)
    if not is_number(constant) or (function in DIVIDING and (0 in arguments or not any(_flat(constant)))):
        raise Stuck("it has numbers of their own for the channels")
    return LayerChange(at)


def _flat(value: Any) -> list[Any]:
    return _flat(value[0]) if isinstance(value, list) else [value]


def _reducing(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, rank = _only(inputs)
    axes = axes_of(arguments.get("axis"), rank)
    if axes is None or at.axis in axes:
        raise Stuck("it works on all channels together")
    gone = 0 if arguments.get("keepdims") or arguments.get("keep_dims") else sum(axis < at.axis for axis in axes)
    return LayerChange(at.at(at.axis - gone))


def _concatenating(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    if numbers(arguments.get("axis")) is None:
        raise Stuck("it does not say along which axis")
    return concatenate({"axis": arguments["axis"]}, inputs)


def _expanding(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, rank = _only(inputs)
    axes = axes_of(arguments.get("axis"), rank + 1)
    if not axes:
        raise Stuck("it does not say along which axis")
    return LayerChange(at.at(at.axis + (axes[0] <= at.axis)))


def _squeezing(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, rank = _only(inputs)
    axes = axes_of(arguments.get("axis"), rank)
    if not axes or at.axis in axes:
        raise Stuck("it does not say along which axis, or takes the channels out")
    return LayerChange(at.at(at.axis - sum(axis < at.axis for axis in axes)))


def _transposing(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, rank = _only(inputs)
    order = numbers(arguments.get("perm"))
    if order is None or sorted(order) != list(range(rank)):
        raise Stuck("it does not say where the axes go")
    return LayerChange(at.at(order.index(at.axis)))


def _slicing(_: str, arguments: Arguments, inputs: Sequence[Input]) -> LayerChange:
    at, rank = _only(inputs)
    kept = kept_axes(arguments.get("slice_spec"), rank)
    if kept is None or (at.axis, slice(None)) not in kept:
        raise Stuck("it takes some of the channels")
    return LayerChange(at.at(kept.index((at.axis, slice(None)))))


_RULES: dict[str, Callable[[str, Arguments, Sequence[Input]], LayerChange]] = {
    **dict.fromkeys(EACH, _each),
    **dict.fromkeys(PAIRED | DIVIDING, _paired),
    **dict.fromkeys(REDUCING, _reducing),
    "concat": _concatenating,
    "expand_dims": _expanding,
    "squeeze": _squeezing,
    "transpose": _transposing,
    "getitem": _slicing,
}
