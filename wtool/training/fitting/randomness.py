"""The states of a model's random layers (Dropout, augmentation), which Keras does not save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wtool.checkpoint.lineage import Record, own_records
from wtool.training.variables import array
from wtool.transforms.streams import stream

KEY = "random_states"
"""Key of a record in the lineage: the state of each generator, in the order of the model's layers."""


def states(model: Any) -> dict[str, list[list[int]]]:
    """Returns the states of now as keys of a record; none for a model without random layers."""
    found = [[int(number) for number in array(each.state)] for each in _generators(model)]
    return {KEY: found} if found else {}


def restore(model: Any, lineage: Sequence[Record], seed: int) -> None:
    """Give the random layers of a loaded model the states that they had when the model was saved.

    Where nothing tells, a layer with a seed of its own starts with it, and any other depends on `seed`.
    """
    generators = _generators(model)
    told = next((record.more[KEY] for record in reversed(own_records(lineage)) if KEY in record.more), None)
    numbers: Sequence[Any] = [None] * len(generators)
    if isinstance(told, list) and _are_states(told, len(generators)):
        numbers = told
    for position, (generator, state) in enumerate(zip(generators, numbers, strict=True)):
        if state is not None:
            generator.state.assign(np.array(state).astype(generator.state.dtype))
        elif generator.get_config().get("seed") is None:
            fresh = stream(seed, "random", str(position)).chunk(0).integers(1 << 31)
            generator.state.assign(np.array([fresh, 0]).astype(generator.state.dtype))


def _generators(model: Any) -> list[Any]:
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        found |= {id(each): each for each in getattr(layer, "_seed_generators", ())}
    return list(found.values())


def _are_states(value: Sequence[Any], count: int) -> bool:
    """Returns whether a record has a state for each generator; the record may come from a stranger."""
    return (
        len(value) == count
        and all(isinstance(each, list) and len(each) == 2 for each in value)
        and all(isinstance(number, int) and 0 <= number < 1 << 32 for each in value for number in each)
    )
