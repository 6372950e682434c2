"""The structure of a checkpoint whose graph has changed: what its arrays, and those of its optimizer, come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from wtool.checkpoint.initializers import initializers
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.structure import Fresh, Structure
from wtool.errors import a_few
from wtool.graphs.axis_blocks import changed_array
from wtool.graphs.slot_values import (
    OptimizerState,
    added_slots,
    as_restarted,
    changed_slots,
    odd_slots,
    restarted_slots,
    untold_slots,
)
from wtool.graphs.values import Filling, Values, new_shape, shifted_values
from wtool.schema.config import read_architecture


def structure_of(
    base: Checkpoint, config: dict[str, Any], values: Values, fill: str, seed: int, optimizer: str
) -> Structure:
    """Returns the new checkpoint: its configuration, and what its arrays come from.

    Adds a note to `values` where the state of the optimizer has to be left out.

    Args:
        base: the old checkpoint, open as long as the new one is being made.
        config: the new architecture.
        values: what changes.
        fill: see `choices.FILLS`.
        seed: for fresh initial values.
        optimizer: what becomes of the optimizer's state; see `choices.OPTIMIZER_MODES`.
    """
    named = {tensor.path: tensor for tensor in base.weights}
    filling = Filling(fill, seed, initializers(base) if fill == "initializer" else {})
    changed = {path: changed_array(base, named[path], edits, filling) for path, edits in values.edits.items()}
    for path, shift in values.shifts.items():
        edits = values.edits.get(path, [])
        make = partial(shifted_values, base, named[path], shift, edits)
        changed[path] = Fresh(new_shape(named[path], edits), named[path].dtype, make)
    added = {
        layer: {name: Fresh(each.shape, each.dtype, each.make) for name, each in variables.items()}
        for layer, variables in values.added.items()
    }
    order = _order(base, config, values)
    frozen = {tensor.path for tensor in base.weights if tensor.trainable is False}
    frozen |= {
        f"{layer}/{name}" for layer, each in values.added.items() for name, one in each.items() if not one.trainable
    }
    bare = Structure(config, changed, added, False, {}, frozenset(order), frozenset(frozen))
    if optimizer == "drop" or not base.slots:
        return bare
    return _with_optimizer(bare, OptimizerState.of(base), values, order, filling, optimizer == "reset")


def _with_optimizer(
    bare: Structure, state: OptimizerState, values: Values, order: list[str], filling: Filling, restart: bool
) -> Structure:
    """Returns a structure with the optimizer's state, unless some of it cannot go with the weights."""
    if values.edits or values.added or len(order) < len(state.weights):
        if odd := odd_slots(state, values):
            return _left_out(bare, values, f"{a_few(odd)} cannot change like the weights")
        if untold := untold_slots(state, values):
            return _left_out(bare, values, f"its settings do not tell what it keeps for {a_few(untold)}")
    changed = changed_slots(state, values, filling)
    slots = added_slots(state, values, order, changed)
    if restart:
        changed |= restarted_slots(state, changed)
        slots = {
            path: {name: as_restarted(state, name, each) for name, each in own.items()} for path, own in slots.items()
        }
    return replace(bare, changed={**bare.changed, **changed}, keep_optimizer=True, slots=slots)


def _left_out(bare: Structure, values: Values, why: str) -> Structure:
    values.notes.append(f"the optimizer's state is left out: {why}")
    return bare


def _order(base: Checkpoint, config: Mapping[str, Any], values: Values) -> list[str]:
    """The paths of all variables of the new model, layer by layer."""
    of_layer: dict[str, list[str]] = {}
    for tensor in base.weights:
        if tensor.path not in values.gone_variables:
            of_layer.setdefault(tensor.layer, []).append(tensor.path)
    root, _ = read_architecture(config, base.keras_version)
    order: list[str] = []
    for path, _ in root.paths():
        order += of_layer.pop(path, [])
        order += [f"{path}/{name}" for name in values.added.get(path, ())]
    return order + [path for layer, paths in of_layer.items() if layer not in values.gone for path in paths]
