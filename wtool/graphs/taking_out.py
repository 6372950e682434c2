"""Channels that are taken out of a model: what becomes of its weights, and of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.graphs.grouping import Grouping
from wtool.graphs.groups import Group
from wtool.graphs.labelling import Labelled, Seen, State, states_of
from wtool.graphs.layer_changes import COPY, AxisEdit, Input, Stuck
from wtool.graphs.propagate import change_of
from wtool.graphs.reindex import Reindex
from wtool.graphs.settling import forget_builds_inside, tell_build, tell_input, tell_shape
from wtool.graphs.values import Values
from wtool.schema.layers import PartialShape


def take_out(grouping: Grouping, kept: Mapping[str, Array]) -> Values:
    """Take channels out of a model, in place. Returns what becomes of its weights.

    Args:
        grouping: of the graph of a configuration that may be changed.
        kept: name of a group -> for each of its channels whether the channel stays, shape (channels,). The channels of
            other groups stay.

    Raises:
        Refused: a group has another number of channels, would lose all those of a layer, or one that is bound.
    """
    for group in grouping.groups:
        if group.name in kept:
            _check(group, kept[group.name])
    stays = grouping.staying(kept)
    values = Values()
    for (path, axis), place in grouping.labelled.places.items():
        source = np.flatnonzero(stays[place.labels])
        if len(source) < len(place.labels):
            values.edits.setdefault(path, []).append(AxisEdit(place.tensor.role, axis, source, COPY))
    _settle(grouping.labelled, stays)
    return values


def _check(group: Group, kept: Array) -> None:
    if kept.shape != (group.size,):
        raise Refused(f"{group.name} has {group.size} channels, not {len(kept)}")
    if not kept.any() or not all(kept[part].any() for part in group.parts):
        raise Refused(f"{group.name} would lose all channels of a layer")
    if (group.bound & ~kept).any():
        raise Refused(f"{group.name} would lose channels that must stay: {group.why[0]}")


def _settle(labelled: Labelled, stays: Array) -> None:
    """Write new shapes and settings into the configuration."""
    settled: set[str] = set()
    for seen in labelled.seen:
        layer = seen.call.layer
        if layer.path not in settled and layer.model is None:
            _follow(seen, stays)
        shapes = [_shape(*each, stays) for each in zip(seen.shapes, seen.inputs, strict=True)]
        for ref, old, new in zip(seen.call.inputs, seen.shapes, shapes, strict=True):
            if new is not None and new != old:
                tell_shape(ref, new)
        if layer.path not in settled and tuple(shapes) != seen.shapes:
            tell_build(layer, shapes)
            forget_builds_inside(layer)
        settled.add(layer.path)
    for made in labelled.made:
        count = int(np.count_nonzero(stays[made.labels]))
        if count < len(made.labels):
            for setting in made.units.settings:
                setting.put(count)
    for inner, key, state in labelled.entered:
        for axis, labels in state.items():
            tell_input(inner, key, axis, int(np.count_nonzero(stays[labels.source])))


def _shape(old: PartialShape | None, state: State, stays: Array) -> PartialShape | None:
    if old is None:
        return None
    new = list(old)
    for axis, labels in state.items():
        new[axis] = int(np.count_nonzero(stays[labels.source]))
    return tuple(new)


def _follow(seen: Seen, stays: Array) -> None:
    """Change the settings of a layer that tell how many channels its inputs have, as those of a Reshape do."""
    call, config = seen.call, seen.call.layer.config
    settings: dict[str, Any] = {}
    for axis in sorted({axis for state in seen.inputs for axis in state}):
        inputs = []
        for ref, state, shape in zip(call.inputs, seen.inputs, seen.shapes, strict=True):
            at = state.get(axis)
            gone = at is not None and not stays[at.source].all()
            reindex = Reindex(axis, np.flatnonzero(stays[at.source]), at.size) if at is not None and gone else None
            inputs.append(Input(ref.word, reindex, shape))
        for number in states_of(call):
            inputs[number] = replace(inputs[number], reindex=None)
        if all(each.reindex is None for each in inputs):
            continue
        try:
            changed = change_of(call, inputs).settings
        except Stuck as stuck:
            raise Refused(f"{call.layer.shown} cannot do without channels of its inputs: {stuck}") from None
        for name, value in changed.items():
            settings[name] = _both(config.get(name), settings[name], value) if name in settings else value
    config.update(settings)


def _both(before: Any, one: Any, other: Any) -> Any:
    """A setting that changes along two axes: of each number in the list, the one that has changed."""
    if not isinstance(before, list) or not len(before) == len(one) == len(other):
        return other
    return [new if new != old else known for old, known, new in zip(before, one, other, strict=True)]
