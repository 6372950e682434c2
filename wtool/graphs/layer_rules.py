"""Propagation rules: given how the channels of a layer's inputs have changed, the edits of its weights and its output.

The table of layers names how each class treats channels; here is a rule for each of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from wtool.errors import Refused
from wtool.graphs.kernel_rules import KERNEL_RULES, attention, recurrent
from wtool.graphs.layer_changes import (
    COPY,
    ONE,
    ZERO,
    AxisEdit,
    Case,
    Input,
    LayerChange,
    Stuck,
    mixing,
    refuse_own_numbers,
)
from wtool.graphs.reindex import Reindex, reshaped
from wtool.schema.layers import LayerClass, PartialShape, class_of, entry_of, reshaped_to


def layer_change(kind: str | None, config: Mapping[str, Any], inputs: Sequence[Input]) -> LayerChange:
    """Returns the edits that a layer needs where some of its inputs have changed, and the change of its output.

    Args:
        kind: the name of the layer's class in the table of layers; None for a class that only its author knows.
        config: the settings of the layer.
        inputs: the tensors that the layer takes.

    Raises:
        Stuck: the layer needs the old form of its inputs.
    """
    changed = [each for each in inputs if each.reindex is not None]
    entry = entry_of(kind) if kind is not None else None
    if entry is None or entry.variables is None:
        raise Stuck("what it does is in its author's code")
    refuse_own_numbers(config)
    match entry.channels:
        case "merge":
            return merge(inputs)
        case "concatenate":
            return concatenate(config, inputs)
        case "attention":
            return attention(entry.name, config, inputs)
    if len(changed) > 1 or changed[0] is not inputs[0]:
        raise Stuck("it takes several inputs")
    shape, reindex = changed[0].shape, changed[0].reindex
    if shape is None or reindex is None:
        raise Stuck("the shape of its input is not known")
    rule = RULES.get(entry.channels)
    if rule is None:
        raise Stuck("it works on all channels together")
    return rule(Case(entry.channels, config, inputs, reindex, shape))


_NORMALISING = {
    "gamma": ONE, "beta": ZERO, "moving_mean": ZERO, "moving_variance": ONE, "moving_stddev": ONE, "renorm_mean": ZERO,
    "renorm_stddev": ONE,
}  # fmt: skip


_AFFINE = {"gamma": ONE, "beta": ZERO, "scale": ONE}


def _batch_norm(case: Case) -> LayerChange:
    axis = case.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or axis % case.rank != case.at.axis:
        raise Stuck("it works along the axis that changes")
    return LayerChange(case.at, tuple(AxisEdit(name, 0, case.at.source, fill) for name, fill in _NORMALISING.items()))


def _norm(case: Case) -> LayerChange:
    axes = case.config.get("axis", -1)
    axes = axes if isinstance(axes, list) else [axes]
    if any(type(axis) is not int for axis in axes):
        raise Stuck("it does not say along which axes")
    along = [axis % case.rank for axis in axes]
    if case.at.axis not in along:
        return LayerChange(case.at)
    own = along.index(case.at.axis)
    edits = [AxisEdit(name, own, case.at.source, fill) for name, fill in _AFFINE.items()]
    return LayerChange(case.at, tuple(edits), mixes="it works on all channels together")


def _prelu(case: Case) -> LayerChange:
    if case.at.axis in (case.config.get("shared_axes") or ()):
        return LayerChange(case.at)
    return LayerChange(case.at, (AxisEdit("alpha", case.at.axis - 1, case.at.source, COPY),))


def _linked(case: Case) -> LayerChange:
    if int(case.config.get("axis", -1)) % case.rank != case.at.axis:
        raise Stuck("it links another axis")
    mixes = mixing(case.config)
    slopes: tuple[AxisEdit, ...] = ()
    if case.channels == "linked slopes" and case.at.axis not in (case.config.get("shared_axes") or ()):
        slopes = tuple(AxisEdit(name, case.at.axis - 1, case.at.source, COPY) for name in ("alpha", "linked_alpha"))
    return LayerChange(case.at.through_linked(), slopes, mixes=mixes)


def _activation(case: Case) -> LayerChange:
    return LayerChange(case.at, mixes=mixing(case.config))


def _each_value(case: Case) -> LayerChange:
    noise = case.config.get("noise_shape")
    # One number for all channels, or for each whatever their number is, fits any number of channels.
    if noise is not None and (len(noise) != case.rank or noise[case.at.axis] not in (None, 1)):
        raise Stuck("its noise has a shape of its own")
    return LayerChange(case.at)


def _rescaling(case: Case) -> LayerChange:
    if any(isinstance(case.config.get(name), (list, Mapping)) for name in ("scale", "offset")):
        raise Stuck("it has numbers of their own for the channels")
    return LayerChange(case.at)


def _spatial(case: Case) -> LayerChange:
    case.need_channels()
    return LayerChange(case.at)


def _global_pool(case: Case) -> LayerChange:
    case.need_channels()
    return LayerChange(case.at.at(case.at.axis if case.config.get("keepdims") or case.channel == 1 else 1))


def _flatten(case: Case) -> LayerChange:
    shape, at = case.shape, case.at
    if case.config.get("data_format") == "channels_first" and case.rank > 2:  # Keras puts the channels last, first
        shape = (shape[0], *shape[2:], shape[1])
        at = at.at(case.rank - 1 if at.axis == 1 else at.axis - 1)
    return LayerChange(_reshaped(at, shape, (-1,)))


def _reshape(case: Case) -> LayerChange:
    target = case.config.get("target_shape")
    if not isinstance(target, list):
        raise Stuck("it does not say to which shape")
    at = _reshaped(case.at, case.shape, tuple(target))
    sizes = [-1 if size == -1 else len(at.source) if axis == at.axis else size for axis, size in enumerate(target, 1)]
    return LayerChange(at, settings={"target_shape": sizes})


def _reshaped(at: Reindex, shape: PartialShape, target: PartialShape) -> Reindex:
    whole = reshaped_to(shape, target)
    if whole is None or None in shape[1:] or None in whole[1:]:
        raise Stuck("the shape of its input is not known")
    found = reshaped(at, shape[1:], whole[1:])
    if found is None:
        raise Stuck("it spreads the channels over several axes")
    return found


def _permute(case: Case) -> LayerChange:
    dims = case.config.get("dims")
    if not isinstance(dims, list) or case.at.axis not in dims:
        raise Stuck("it does not say where the axes go")
    return LayerChange(case.at.at(dims.index(case.at.axis) + 1))


def _repeat(case: Case) -> LayerChange:
    return LayerChange(case.at.at(2))


def _wrapped(case: Case) -> tuple[LayerClass | None, str, Mapping[str, Any]]:
    """What is inside a wrapper: its entry in the table, what its author calls its class, and its settings."""
    inside = case.config.get("layer") or case.config.get("cell")
    if not isinstance(inside, Mapping) or not isinstance(inside.get("config"), Mapping):
        raise Stuck("it does not say what is inside it")
    name, config = inside.get("class_name"), inside["config"]
    if not isinstance(name, str):
        raise Stuck("it does not say what is inside it")
    kind = None
    with suppress(Refused):
        kind = class_of(inside)
    return (entry_of(kind) if kind is not None else None), name, config


def _both_ways(case: Case) -> LayerChange:
    entry, name, config = _wrapped(case)
    has_states = any(each.word != "mask" for each in case.inputs[1:])
    if entry is None or entry.channels != "recurrent" or not entry.parts or has_states:
        raise Stuck(f"it runs a {name} both ways")
    return recurrent(Case(entry.channels, config, case.inputs, case.at, case.shape))


def _own_cell(case: Case) -> LayerChange:
    entry, name, _ = _wrapped(case)
    if entry is None or entry.channels != "recurrent" or entry.parts:
        raise Stuck(f"it runs a {name}")
    return recurrent(case)


def _each_step(case: Case) -> LayerChange:
    """TimeDistributed: the same for every step, of one dimension less."""
    entry, name, config = _wrapped(case)
    if case.at.axis < 2 or "layers" in config:
        raise Stuck(f"it does a {name} at every step")
    inner = Input(0, case.at.at(case.at.axis - 1), (case.shape[0], *case.shape[2:]))
    done = layer_change(None if entry is None else entry.name, config, [inner])
    if done.settings:
        raise Stuck(f"it does a {name} at every step")
    return LayerChange(
        None if done.output is None else done.output.at(done.output.axis + 1), done.edits, mixes=done.mixes
    )


def merge(inputs: Sequence[Input]) -> LayerChange:
    """Returns the change of a sum, product and the like: all inputs must have changed alike, or have one channel only.

    Raises:
        Stuck: the inputs have changed in different ways.
    """
    first = max((each.reindex for each in inputs if each.reindex is not None), key=lambda each: each.size)
    ranks = {None if each.shape is None else len(each.shape) for each in inputs}
    if len(ranks) > 1 or None in ranks:
        raise Stuck("its inputs have different ranks")
    for each in inputs:
        alone = each.shape is not None and each.shape[first.axis] == 1 and _has_one_position(each.reindex)
        if not alone and not first.agrees(each.reindex):
            raise Stuck("not all of its inputs are changed alike")
    return LayerChange(first)


def _has_one_position(reindex: Reindex | None) -> bool:
    """Whether a tensor of one position along an axis still has one, and so goes with any number of positions."""
    return reindex is None or len(reindex.source) == 1


def concatenate(config: Mapping[str, Any], inputs: Sequence[Input]) -> LayerChange:
    """Returns the change of concatenated tensors: their changes one behind the other, or one that is the same for all.

    Raises:
        Stuck: a shape is not known, or the inputs have changed in different ways.
    """
    changed = next(each.reindex for each in inputs if each.reindex is not None)
    shapes = [each.shape for each in inputs]
    if None in shapes or len({len(shape or ()) for shape in shapes}) > 1:
        raise Stuck("the shapes of its inputs are not known")
    axis = int(config.get("axis", -1)) % len(shapes[0] or ())
    if axis != changed.axis:
        if not all(changed.agrees(each.reindex) for each in inputs):
            raise Stuck("not all of its inputs are changed alike")
        return LayerChange(changed)
    parts = []
    for each, shape in zip(inputs, shapes, strict=True):
        size = (shape or ())[axis]
        if each.reindex is not None and each.reindex.axis != axis:
            raise Stuck("not all of its inputs are changed alike")
        if size is None:
            raise Stuck("the shapes of its inputs are not known")
        parts.append(each.reindex or changed.unmoved(size))
    return LayerChange(parts[-1].behind(parts[:-1]))


RULES: dict[str, Callable[[Case], LayerChange]] = {
    **KERNEL_RULES,
    "each value": _each_value,
    "activation": _activation,
    "rescaling": _rescaling,
    "slopes": _prelu,
    "linked": _linked,
    "linked slopes": _linked,
    "batch normalization": _batch_norm,
    "normalization": _norm,
    "space": _spatial,
    "global pooling": _global_pool,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "repeat": _repeat,
    "both ways": _both_ways,
    "own cell": _own_cell,
    "each step": _each_step,
}
"""How a layer of one input treats channels, as the table of layers names it -> the rule."""
