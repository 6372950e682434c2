"""What the arrays of a checkpoint become when its graph has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from wtool.checkpoint.initializers import initializers
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh, Structure
from wtool.checkpoint.weight_order import listed, owner_of
from wtool.dtypes import Array, dtype_of, is_floating
from wtool.errors import Refused, a_few
from wtool.graphs.layer_changes import COPY, INPUT, ONE, ZERO, AxisEdit
from wtool.graphs.propagate import Spread
from wtool.graphs.reindex import put, taken
from wtool.schema import config as architecture
from wtool.schema.config import Node
from wtool.schema.optimizers import is_setting, rule_of
from wtool.transforms.initializers import from_config
from wtool.transforms.streams import drawn, stream

OPERATION = "swap"


@dataclass(frozen=True, eq=False)
class Added:
    """A variable that a layer did not have before.

    Attributes:
        shape, dtype: of it.
        make: its values.
        trainable: whether training changes it.
        alike: path of a weight of the same shape whose slots it starts from; None for what nothing is known of.
    """

    shape: tuple[int, ...]
    dtype: str
    make: Callable[[], Array]
    trainable: bool
    alike: str | None = None


@dataclass(eq=False)
class Values:
    """New arrays, as far as they are known.

    Attributes:
        edits: path of a tensor -> how its positions change.
        added: path of a layer -> its new variables.
        gone: paths of layers that are no more.
        gone_variables: paths of tensors that are no more, though their layers are.
        notes: worth knowing, one line each.
    """

    edits: dict[str, list[AxisEdit]] = field(default_factory=dict)
    added: dict[str, dict[str, Added]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    gone_variables: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def edits_of(base: Checkpoint, found: Spread) -> dict[str, list[AxisEdit]]:
    """How each tensor of a checkpoint changes.

    Raises:
        Refused: a weight that has to change is not in the file, or has another shape than its layer's.
    """
    edits: dict[str, list[AxisEdit]] = {}
    owned = weights_by_layer(base)
    for path, each in found.taken.items():
        for edit in each.edits:
            matching = [tensor for tensor in owned.get(path, ()) if _is_meant(tensor, path, edit)]
            if not matching and edit.fill == INPUT and edit.name.endswith("kernel"):
                raise Refused(f"the {edit.name} of {path} has to change, and is not in the file as such")
            for tensor in matching:
                _check(tensor, edit)
                edits.setdefault(tensor.path, []).append(edit)
    return edits


def weights_by_layer(base: Checkpoint) -> dict[str, list[Tensor]]:
    """Path of each layer of a model's graph -> its weights, and those of what it consists of."""
    known = frozenset(listed(base.config or {}, base.keras_version))
    owned: dict[str, list[Tensor]] = {}
    for tensor in base.weights:
        owned.setdefault(owner_of(tensor.layer, known) or "", []).append(tensor)
    return owned


def _is_meant(tensor: Tensor, path: str, edit: AxisEdit) -> bool:
    return tensor.role == edit.name and edit.part in (None, tensor.layer.removeprefix(f"{path}/"))


def _check(tensor: Tensor, edit: AxisEdit) -> None:
    positions = np.where(edit.source < 0, ~edit.source, edit.source)
    largest = int(positions.max(initial=-1))
    size = tensor.shape[edit.axis] if edit.axis < len(tensor.shape) else -1
    whole = bool((edit.source < 0).any())  # what grows holds everything that was there
    if largest >= size or (whole and largest + 1 != size):
        raise Refused(f"{tensor.path} is {tensor.shape}, which does not fit the model's graph")
    if not is_floating(tensor.dtype):
        raise Refused(f"{tensor.path} holds {tensor.dtype} values, which cannot be doubled")


@dataclass(frozen=True)
class Filling:
    """What positions that were not there before are filled with.

    Attributes:
        fill: see `choices.FILLS`.
        seed: for fresh initial values.
        initializers: path of a weight -> its initializer in the configuration, where fresh values are wanted.
    """

    fill: str
    seed: int = 0
    initializers: Mapping[str, Any] = field(default_factory=dict)


def changed_values(base: Checkpoint, tensor: Tensor, edits: Sequence[AxisEdit], filling: Filling) -> Array:
    """A weight's new values."""
    values = base.read(tensor)
    for edit in edits:
        values = taken(values, edit.axis, edit.source)
        chosen = filling.fill if edit.fill == INPUT else edit.fill
        if chosen == "initializer":
            put(values, edit.axis, edit.source, _fresh(tensor, values.shape, filling))
        elif chosen == "mirror":
            put(values, edit.axis, edit.source, -values)
        elif chosen != COPY:
            put(values, edit.axis, edit.source, values.dtype.type(1 if chosen == ONE else 0))
    return values


def _fresh(tensor: Tensor, shape: tuple[int, ...], filling: Filling) -> Array:
    made = from_config(filling.initializers.get(tensor.path), shape)
    if made is None:
        raise Refused(f"the configuration does not tell how {tensor.path} is initialised; take another --fill")
    source, size = stream(filling.seed, OPERATION, tensor.path), prod(shape)
    flat = made.whole(source.chunk(0)) if made.whole is not None else None
    if flat is None:
        assert made.draw is not None
        flat = drawn(source, size, 0, size, made.draw)
    return flat.reshape(shape).astype(dtype_of(tensor.dtype))


def new_shape(tensor: Tensor, edits: Sequence[AxisEdit]) -> tuple[int, ...]:
    """A tensor's shape after its edits."""
    shape = list(tensor.shape)
    for edit in edits:
        shape[edit.axis] = len(edit.source)
    return tuple(shape)


def structure_of(
    base: Checkpoint, config: dict[str, Any], values: Values, fill: str, seed: int, optimizer: str
) -> Structure:
    """The new checkpoint: its configuration, and what its arrays come from.

    Args:
        base: the old one, open as long as the new one is being made.
        config: the new architecture.
        values: what changes.
        fill: see `choices.FILLS`.
        seed: for fresh initial values.
        optimizer: what becomes of its state; see `choices.OPTIMIZER_MODES`.
    """
    named = {tensor.path: tensor for tensor in base.weights}
    filling = Filling(fill, seed, initializers(base) if fill == "initializer" else {})
    changed = {
        path: Fresh(
            new_shape(named[path], edits),
            named[path].dtype,
            partial(changed_values, base, named[path], edits, filling),
        )
        for path, edits in values.edits.items()
    }
    added = {
        layer: {name: Fresh(each.shape, each.dtype, each.make) for name, each in variables.items()}
        for layer, variables in values.added.items()
    }
    order = _order(base, config, values)
    frozen = {tensor.path for tensor in base.weights if tensor.trainable is False}
    frozen |= {
        f"{layer}/{name}" for layer, each in values.added.items() for name, one in each.items() if not one.trainable
    }
    keep = optimizer != "drop" and bool(base.slots)
    slots: dict[str, dict[str, Fresh]] = {}
    if keep and (values.edits or values.added or len(order) < len(named)):
        odd = _odd_slots(base, values, named)
        if odd:
            values.notes.append(f"the optimizer's state is left out: {a_few(odd)} cannot change like the weights")
            keep = False
    if keep:
        changed |= _changed_slots(base, values, named, filling)
        slots = _added_slots(base, values, order, changed, named)
    if keep and optimizer == "reset":
        changed |= _reset_slots(base, changed)
        slots = {path: {name: _still(base, name, each) for name, each in own.items()} for path, own in slots.items()}
    return Structure(config, changed, added, keep, slots, frozenset(order), frozenset(frozen))


def _order(base: Checkpoint, config: Mapping[str, Any], values: Values) -> list[str]:
    """The paths of all variables of the new model, layer by layer."""
    of_layer: dict[str, list[str]] = {}
    for tensor in base.weights:
        if tensor.path not in values.gone_variables:
            of_layer.setdefault(tensor.layer, []).append(tensor.path)
    root, _ = architecture.read(config, base.keras_version)
    order = of_layer.pop("", [])
    for path in _paths(root, ""):
        order += of_layer.pop(path, [])
        order += [f"{path}/{name}" for name in values.added.get(path, ())]
    return order + [path for layer, paths in of_layer.items() if layer not in values.gone for path in paths]


def _paths(node: Node, path: str) -> list[str]:
    found = []
    for child in node.children:
        below = f"{path}/{child.name}" if path else child.name
        found += [below, *_paths(child, below)]
    return found


# --- the optimizer ---


def _odd_slots(base: Checkpoint, values: Values, named: Mapping[str, Tensor]) -> list[str]:
    """Slots that are not known, or have another shape than a weight that changes."""
    found = []
    for tensor in base.slots:
        weight = named.get(tensor.slot.weight) if tensor.slot and tensor.slot.weight else None
        if weight is None:
            odd = bool(tensor.shape)
        else:
            odd = weight.path in values.edits and not _regular(tensor, weight)
        if odd:
            found.append(tensor.path)
    return found


def _regular(slot: Tensor, weight: Tensor) -> bool:
    """Whether a slot goes with the values of its weight, or is a mere placeholder (as in Keras 2 without amsgrad)."""
    return slot.shape == weight.shape or _is_placeholder(slot, weight)


def _is_placeholder(slot: Tensor, weight: Tensor) -> bool:
    return prod(slot.shape) == 1 != prod(weight.shape)


def _changed_slots(base: Checkpoint, values: Values, named: Mapping[str, Tensor], filling: Filling) -> dict[str, Fresh]:
    """Slots change like their weights; moments of new positions start from zero, others from their counterpart's.

    A zero second moment under a large step count would make Adam's next steps too long.
    """
    found = {}
    for tensor in base.slots:
        slot = tensor.slot
        if slot is None or slot.weight not in values.edits:
            continue
        edits = values.edits[slot.weight]
        if _is_placeholder(tensor, named[slot.weight]):
            continue
        becomes = rule_of(slot.name).new_position
        if becomes == "weight":
            average = replace(filling, fill="zero") if filling.fill == "initializer" else filling
            make = partial(changed_values, base, tensor, edits, average)
        else:
            own = ZERO if becomes == "zero" else COPY
            filled = [AxisEdit(each.name, each.axis, each.source, own, each.part) for each in edits]
            make = partial(changed_values, base, tensor, filled, filling)
        found[tensor.path] = Fresh(new_shape(tensor, edits), tensor.dtype, make)
    return found


def _added_slots(
    base: Checkpoint, values: Values, order: Sequence[str], changed: Mapping[str, Fresh], named: Mapping[str, Tensor]
) -> dict[str, dict[str, Fresh]]:
    """Slots of added weights: those that the weight before them has."""
    of_weight: dict[str, dict[str, Tensor]] = {}
    odd = set()
    for tensor in base.slots:
        weight = named.get(tensor.slot.weight) if tensor.slot and tensor.slot.weight else None
        if weight is not None and tensor.slot is not None:
            of_weight.setdefault(weight.path, {})[tensor.slot.name] = tensor
            odd |= set() if _regular(tensor, weight) else {weight.path}
    of_weight = {path: slots for path, slots in of_weight.items() if path not in odd}
    found: dict[str, dict[str, Fresh]] = {}
    for layer, variables in values.added.items():
        for name, added in variables.items():
            path = f"{layer}/{name}"
            if not added.trainable:
                continue
            near = added.alike if added.alike in of_weight else _nearest(path, order, of_weight)
            if near is not None:
                found[path] = {
                    slot: _added_slot(base, tensor, added, near, changed, named)
                    for slot, tensor in of_weight[near].items()
                }
    return found


def _nearest(path: str, order: Sequence[str], known: Mapping[str, Any]) -> str | None:
    at = order.index(path)
    return next((each for each in (*reversed(order[:at]), *order[at:]) if each in known), None)


def _added_slot(
    base: Checkpoint, tensor: Tensor, added: Added, near: str, changed: Mapping[str, Fresh], named: Mapping[str, Tensor]
) -> Fresh:
    assert tensor.slot is not None
    dtype = dtype_of(tensor.dtype)
    if tensor.slot.weight is not None and _is_placeholder(tensor, named[tensor.slot.weight]):
        return Fresh(tensor.shape, tensor.dtype, partial(base.read, tensor))
    becomes = rule_of(tensor.slot.name).new_weight
    if becomes == "weight":
        return Fresh(added.shape, tensor.dtype, lambda: added.make().astype(dtype))
    if becomes == "zero":
        return Fresh(added.shape, tensor.dtype, lambda: np.zeros(added.shape, dtype))
    if near == added.alike:
        own = changed.get(tensor.path)
        return Fresh(added.shape, tensor.dtype, own.make if own is not None else partial(base.read, tensor))
    return Fresh(added.shape, tensor.dtype, lambda: np.full(added.shape, _mean(base.read(tensor)), dtype))


def _mean(values: Array) -> float:
    """A second moment for a weight of which nothing is known: as large as those of the layer before it."""
    return float(values.astype(np.float64).mean()) if values.size else 0.0


def _reset_slots(base: Checkpoint, changed: Mapping[str, Fresh]) -> dict[str, Fresh]:
    found = {}
    for tensor in base.slots:
        if tensor.slot is None or is_setting(tensor.slot.name) or tensor.slot.name == "unknown":
            continue
        if rule_of(tensor.slot.name).rewritten == "weight":
            continue
        shape = changed[tensor.path].shape if tensor.path in changed else tensor.shape
        dtype, value = dtype_of(tensor.dtype), tensor.slot.initial
        found[tensor.path] = Fresh(shape, tensor.dtype, partial(np.full, shape, value, dtype))
    return found


def _still(base: Checkpoint, name: str, fresh: Fresh) -> Fresh:
    """A slot of an added weight as a fresh optimizer has it."""
    if rule_of(name).new_weight == "weight":
        return fresh
    initial = next((each.slot.initial for each in base.slots if each.slot and each.slot.name == name), 0.0)
    return Fresh(fresh.shape, fresh.dtype, partial(np.full, fresh.shape, initial, dtype_of(fresh.dtype)))
