"""How long models take to predict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import keras

from wtool.dtypes import Array

ROUNDS = (3, 30)
"""How often each model runs: at least, at most."""

PATIENCE = 2.0  # seconds, after which no further round begins


def seconds_of(models: Sequence[Any], inputs: list[Array]) -> tuple[float, ...]:
    """Returns how long each of some models takes to predict a batch, compiled, in seconds.

    The models run in turn, so that what else the machine does meets all of them, and the median of their times counts.

    Args:
        models: models of Keras that take the same inputs.
        inputs: the batch, an array for each input.
    """
    times: list[list[float]] = [[] for _ in models]
    for model in models:  # builds and compiles the functions
        model.predict_on_batch(packed(model, inputs))
    began = time.perf_counter()
    while len(times[0]) < ROUNDS[0] or (len(times[0]) < ROUNDS[1] and time.perf_counter() - began < PATIENCE):
        for model, own in zip(models, times, strict=True):
            start = time.perf_counter()
            model.predict_on_batch(packed(model, inputs))
            own.append(time.perf_counter() - start)
    return tuple(map(median, times))


def packed(model: Any, inputs: list[Array]) -> Any:
    """Returns inputs in the structure that a model takes them in."""
    form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)  # Sequential has none
    return keras.tree.pack_sequence_as(form, inputs)
