"""What the optimizer's variables become when the graph of their model has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array, dtype_of
from wtool.graphs.axis_blocks import changed_array
from wtool.graphs.layer_changes import COPY, ZERO
from wtool.graphs.values import Added, Filling, Values
from wtool.schema.optimizer_settings import Settings, initial_value, kinds_of_weight, trains_in_parts
from wtool.schema.optimizers import SlotKind, is_setting, kind_of, rule_of
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """The slots of a checkpoint's optimizer, by their weights.

    Attributes:
        base: the checkpoint, open as long as the new one is being made.
        settings: class and configuration of the optimizer.
        weights: path -> each weight.
        slots: path of a weight -> name of a slot -> the slot.
        names: names of all slots.
    """

    base: Checkpoint
    settings: Settings
    weights: Mapping[str, Tensor]
    slots: Mapping[str, Mapping[str, Tensor]]
    names: frozenset[str]

    @classmethod
    def of(cls, base: Checkpoint) -> OptimizerState:
        """Returns the state of a checkpoint's optimizer."""
        weights = {tensor.path: tensor for tensor in base.weights}
        slots: dict[str, dict[str, Tensor]] = {}
        for tensor in base.slots:
            if tensor.slot is not None and tensor.slot.weight in weights:
                slots.setdefault(tensor.slot.weight, {})[tensor.slot.name] = tensor
        optimizer = base.contents.optimizer
        settings = Settings(None, {}) if optimizer is None else Settings(optimizer.class_name, optimizer.config)
        return cls(base, settings, weights, slots, frozenset(name for own in slots.values() for name in own))

    def kinds(self, path: str, shape: tuple[int, ...]) -> list[tuple[SlotKind, bool | None]] | None:
        """Returns the kinds of slots of this optimizer, and whether a weight has them; see `kinds_of_weight`."""
        return kinds_of_weight(self.settings, self.names, path, shape)

    def initial(self, slot: str) -> float:
        """Returns the value from which a fresh optimizer starts the slots of a name."""
        stored = (each.slot for each in self.base.slots if each.slot is not None)
        told = next((each.initial for each in stored if each.name == slot), None)
        return initial_value(slot, self.settings) if told is None else told


def odd_slots(state: OptimizerState, values: Values) -> list[str]:
    """Returns the paths of the slots that are not known, or have another shape than a weight that changes."""
    found = []
    for tensor in state.base.slots:
        weight = state.weights.get(tensor.slot.weight) if tensor.slot and tensor.slot.weight else None
        if weight is None:
            odd = bool(tensor.shape)
        else:
            odd = weight.path in values.edits and tensor.shape != weight.shape and not _is_placeholder(tensor, weight)
        if odd:
            found.append(tensor.path)
    return found


def untold_slots(state: OptimizerState, values: Values) -> list[str]:
    """Returns the paths of the new weights of which nothing tells which slots they get.

    Some optimizers keep slots for some weights only. Which these are has to be the same in the file as by the settings.
    Of several optimizers, each trains the weights that its patterns name; patterns from files are not matched.
    """
    new = {path: added.shape for path, added in _trained(values).items()}
    unlike = any(
        answer != (kind.name in slots)
        for path, slots in state.slots.items()
        for kind, answer in state.kinds(path, state.weights[path].shape) or ()
        if kind.keeps
    )
    in_parts = trains_in_parts(state.settings)
    return [path for path, shape in new.items() if in_parts or _depends(state, path, shape, unlike)]


def _depends(state: OptimizerState, path: str, shape: tuple[int, ...], unlike: bool) -> bool:
    kinds = state.kinds(path, shape) or ()
    return any(answer is None or (unlike and kind.keeps is not None) for kind, answer in kinds)


def _trained(values: Values) -> dict[str, Added]:
    """The new variables that are trained, by path."""
    own = {f"{layer}/{name}": added for layer, found in values.added.items() for name, added in found.items()}
    return {path: added for path, added in own.items() if added.trainable}


def _is_placeholder(slot: Tensor, weight: Tensor) -> bool:
    """Whether a slot is a number that stands for nothing: in Keras 2 without amsgrad, and of Adafactor's vectors."""
    if slot.slot is not None and not kind_of(slot.slot.name).has_shape_of_weight:
        return slot.shape == () != weight.shape
    return prod(slot.shape) == 1 != prod(weight.shape)


def changed_slots(state: OptimizerState, values: Values, filling: Filling) -> dict[str, Fresh]:
    """Returns path -> new array of the slots of weights that change; new positions are filled as `Rule` tells."""
    found = {}
    for tensor in state.base.slots:
        slot = tensor.slot
        if slot is None or slot.weight not in values.edits or _is_placeholder(tensor, state.weights[slot.weight]):
            continue
        edits = values.edits[slot.weight]
        becomes = rule_of(slot.name).new_position
        if becomes == "weight":
            average = replace(filling, fill="zero") if filling.fill == "initializer" else filling
            found[tensor.path] = changed_array(state.base, tensor, edits, average)
        else:
            filled = [replace(each, fill=ZERO if becomes == "zero" else COPY) for each in edits]
            found[tensor.path] = changed_array(state.base, tensor, filled, filling)
    return found


def added_slots(
    state: OptimizerState, values: Values, order: Sequence[str], changed: Mapping[str, Fresh]
) -> dict[str, dict[str, Fresh]]:
    """Returns path of each new weight -> name of a slot -> its array.

    Args:
        state: the slots of the old weights.
        values: what is new.
        order: paths of all weights of the new model, layer by layer.
        changed: path -> new array of the slots of old weights.
    """
    found: dict[str, dict[str, Fresh]] = {}
    for path, added in _trained(values).items():
        near = [added.alike, *_nearest(path, order)]
        kinds = state.kinds(path, added.shape)
        if kinds is None:
            weight = next((each for each in near if each in state.slots), None)
            kinds = [(kind_of(name), True) for name in state.slots.get(weight or "", ())]
        own = {
            kind.name: _added_slot(state, kind, added, next(_sources(state, kind, added, near), None), changed)
            for kind, keeps in kinds
            if keeps
        }
        if own:
            found[path] = own
    return found


def _nearest(path: str, order: Sequence[str]) -> list[str]:
    """Other weights: those before a weight, the nearest first, and then those behind it."""
    at = order.index(path)
    return [*reversed(order[:at]), *order[at:]]


def _sources(state: OptimizerState, kind: SlotKind, added: Added, near: Sequence[str | None]) -> Iterator[Tensor]:
    """The slots of a kind that tell what is a likely one for a new weight, the likeliest first."""
    for path in near:
        tensor = state.slots.get(path or "", {}).get(kind.name)
        if tensor is None:
            continue
        weight = state.weights[path or ""]
        if kind.has_shape_of_weight:
            is_like = tensor.shape == weight.shape or _is_placeholder(tensor, weight)
        else:
            is_like = tensor.shape == kind.shape(weight.shape) and bool(tensor.shape) == bool(kind.shape(added.shape))
        if is_like:
            yield tensor


def _added_slot(
    state: OptimizerState, kind: SlotKind, added: Added, source: Tensor | None, changed: Mapping[str, Fresh]
) -> Fresh:
    """A slot of a new weight: what a fresh optimizer starts it from, where no other weight has a slot of its kind."""
    shape = kind.shape(added.shape)
    dtype_name = added.dtype if source is None else source.dtype
    dtype = dtype_of(dtype_name)
    weight = state.weights[source.slot.weight] if source and source.slot and source.slot.weight else None
    if source is not None and weight is not None and kind.has_shape_of_weight and _is_placeholder(source, weight):
        return Fresh(source.shape, source.dtype, partial(state.base.read, source))
    if kind.rule.new_weight == "weight":
        return Fresh(shape, dtype_name, lambda: added.make().astype(dtype))
    if kind.rule.new_weight == "zero":
        return Fresh(shape, dtype_name, lambda: np.zeros(shape, dtype))
    if source is None:
        return Fresh(shape, dtype_name, lambda: np.full(shape, state.initial(kind.name), dtype))
    if weight is not None and weight.path == added.alike:
        own = changed.get(source.path)
        return Fresh(shape, dtype_name, own.make if own is not None else partial(state.base.read, source))
    return Fresh(shape, dtype_name, lambda: np.full(shape, _mean(state.base.read(source)), dtype))


def _mean(values: Array) -> float:
    """A second moment for a weight of which nothing is known: as large as those of the layer before it."""
    return float(values.astype(np.float64).mean()) if values.size else 0.0


def restarted_slots(state: OptimizerState, changed: Mapping[str, Fresh]) -> dict[str, Fresh]:
    """Returns path -> array of the variables of an optimizer that starts from the beginning."""
    found = {}
    for tensor in state.base.slots:
        if tensor.slot is None or is_setting(tensor.slot.name) or tensor.slot.name == "unknown":
            continue
        if rule_of(tensor.slot.name).rewritten == "weight":
            continue
        shape = changed[tensor.path].shape if tensor.path in changed else tensor.shape
        dtype, value = dtype_of(tensor.dtype), tensor.slot.initial
        found[tensor.path] = Fresh(shape, tensor.dtype, partial(np.full, shape, value, dtype))
    return found


def as_restarted(state: OptimizerState, slot: str, fresh: Fresh) -> Fresh:
    """Returns a slot of a new weight as a fresh optimizer has it."""
    if rule_of(slot).new_weight == "weight":
        return fresh
    return Fresh(fresh.shape, fresh.dtype, partial(np.full, fresh.shape, state.initial(slot), dtype_of(fresh.dtype)))
