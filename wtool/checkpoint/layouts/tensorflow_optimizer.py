"""The state of an optimizer in a TensorFlow checkpoint, where the object graph tells which slot is of which weight.

Optimizers up to TensorFlow 2.10 list (weight, name of the slot, variable) in their object. Newer ones keep all
variables in one list, whose names in TensorFlow's graph tell slot and weight, in the order in which an `.h5` has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.model import Tensor
from wtool.checkpoint.optimizer.slots import Named, Stored, read, tensors
from wtool.errors import Note
from wtool.schema.object_graph import TrackedObject
from wtool.schema.optimizer_settings import Settings, initial_value, scales_loss
from wtool.schema.optimizers import ITERATION, MOMENTUM_CACHE, SLOT_KINDS, TABLE

if TYPE_CHECKING:
    from wtool.checkpoint.layouts.tensorflow_layers import Bundle

LEFT_OUT = "the state of the optimizer is left out: "


def optimizer_tensors(
    bundle: Bundle, model: int, settings: Settings, stored: StoredLayer, variables: Mapping[int, StoredVariable]
) -> tuple[list[Tensor], list[str]]:
    """Returns the variables of a model's optimizer as tensors, and notes.

    Args:
        bundle: the checkpoint.
        model: number of the model's object.
        settings: of the optimizer; without a class for a checkpoint alone, which does not tell the class.
        stored: the model, with the paths of its variables.
        variables: number of an object -> the variable of the model that it is.
    """
    number = bundle.graph[model].children.get("optimizer")
    if number is None:
        return [], []
    tracked = bundle.graph[number]
    if settings.class_name is None:
        return [], [Note(f"{LEFT_OUT}a checkpoint does not tell the optimizer's class", "note")]
    if scales_loss(settings):
        return [], [Note(f"{LEFT_OUT}wtool does not read that of one which scales the loss from TensorFlow", "note")]
    if "_variables" in tracked.children:
        newer = list(_newer(bundle, tracked))
        return read(newer, settings, stored, names=True)
    older = list(_older(bundle, tracked, replace(settings, older=True), variables))
    told = [each for each, _ in older]
    return list(tensors(told, [each for _, each in older], settings, "")), []


def _newer(bundle: Bundle, tracked: TrackedObject) -> Iterator[Stored]:
    """Yields the variables of an optimizer in the order in which an `.h5` has them: counts and rate, then slots."""
    listed = bundle.graph[tracked.children["_variables"]].children
    slots = [number for _, number in sorted((int(name), number) for name, number in listed.items() if name.isdecimal())]
    head = [tracked.children[name] for name in ("_iterations", "_learning_rate") if name in tracked.children]
    for number in dict.fromkeys((*head, *slots)):
        dataset = bundle.datasets.get(bundle.graph[number].key)
        if dataset is not None:
            yield Stored(dataset, dataset.dtype, bundle.graph[number].full_name)


def _older(
    bundle: Bundle, tracked: TrackedObject, settings: Settings, variables: Mapping[int, StoredVariable]
) -> Iterator[tuple[Stored, Named]]:
    """Yields the variables of an optimizer up to TensorFlow 2.10, each with its meaning."""
    for scalar in (ITERATION, MOMENTUM_CACHE):
        for name in (scalar.name, *scalar.keras2):
            found = bundle.datasets.get(bundle.graph[tracked.children[name]].key) if name in tracked.children else None
            if found is not None:
                yield (
                    Stored(found, found.dtype, name),
                    Named(scalar.name, None, initial_value(scalar.name, settings)),
                )
    entry = TABLE.get(settings.class_name or "")
    own = [kind for group in entry.groups for kind in group.slots] if entry is not None else []
    names = {name: kind.name for kind in (*SLOT_KINDS, *own) for name in (kind.name, *kind.keras2)}
    for slot in tracked.slots:
        dataset = bundle.datasets.get(bundle.graph[slot.variable].key)
        weight = variables.get(slot.weight)
        if dataset is not None and weight is not None:
            name = names.get(slot.name, slot.name)
            yield Stored(dataset, dataset.dtype, slot.name), Named(name, weight, initial_value(name, settings))
