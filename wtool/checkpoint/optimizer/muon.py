"""Muon's layout: its matrices have a momentum only, and the weights that it leaves to Adam a velocity as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wtool.checkpoint.layouts.stored import StoredVariable
from wtool.checkpoint.optimizer.alignment import Lanes, Segment, align
from wtool.schema.layers import Shape

NAME = "Muon"
HEADS = (("iteration", "learning_rate"), ("iteration",))
SLOTS = ("momentum", "velocity")


def lined_up(
    weights: Sequence[Segment] | Lanes, shapes: Sequence[Shape], config: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, StoredVariable | None], ...]]:
    """Every way to read the variables as Muon's: the name of each, and its weight where that is certain.

    Args:
        weights: the model's weights, in order. Each is lined up as often as it has slots.
        shapes: of the stored variables.
        config: the optimizer's settings.
    """
    velocities: dict[int, StoredVariable] = {}
    if isinstance(weights, Lanes):
        every: Sequence[Segment] | Lanes = Lanes(
            tuple(tuple(_with_slots(each, config, velocities) for each in lane) for lane in weights.lanes)
        )
    else:
        every = [_with_slots(each, config, velocities) for each in weights]
    for head in HEADS:
        found = align(every, shapes[len(head) :]) if not any(shapes[: len(head)]) else None
        if found is not None:
            yield (*((name, None) for name in head), *_named(found, velocities))


def _with_slots(segment: Segment, config: Mapping[str, Any], velocities: dict[int, StoredVariable]) -> Segment:
    holds: list[StoredVariable] = []
    for held in segment.holds:
        holds.append(held)
        if _by_adam(held, config):
            velocity = replace(held)
            velocities[id(velocity)] = held
            holds.append(velocity)
    return replace(segment, holds=tuple(holds))


def _by_adam(held: StoredVariable, config: Mapping[str, Any]) -> bool:
    excluded = [word for word in config.get("exclude_layers") or () if isinstance(word, str)]
    if held.shape is None or len(held.shape) != 2 or any(word in held.path for word in excluded):
        return True
    return bool(config.get("exclude_embeddings", True)) and "embedding" in held.path.lower()


def _named(
    found: Sequence[StoredVariable | None], velocities: Mapping[int, StoredVariable]
) -> Iterator[tuple[str, StoredVariable | None]]:
    for held in found:
        if held is None:
            yield "unknown", None
        elif id(held) in velocities:
            yield "velocity", velocities[id(held)]
        else:
            yield "momentum", held


def slots_of(shapes: Sequence[Shape]) -> tuple[list[tuple[str, int | None]], list[Shape]] | None:
    """The slots in order, each with the number of its weight, and the shapes of the weights, without embeddings.

    Returns:
        None where the variables are not Muon's.
    """
    head = next((each for each in HEADS if len(each) <= len(shapes) and not any(shapes[: len(each)])), None)
    if head is None:
        return None
    slots: list[tuple[str, int | None]] = [(name, None) for name in head]
    weights: list[Shape] = []
    while len(slots) < len(shapes):
        shape = shapes[len(slots)]
        names = SLOTS[:1] if len(shape) == 2 else SLOTS
        if list(shapes[len(slots) : len(slots) + len(names)]) != [shape] * len(names):
            return None
        slots += [(name, len(weights)) for name in names]
        weights.append(shape)
    return slots, weights
