"""Deep networks of bounded activations on scikit-learn's digits, with and without auto-rotation; half a minute.

    python docs/experiments/auto_rotating.py FOLDER [--quick] [--latex]

Prints the table of docs/reference/auto-rotating.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
from digits import parts
from experiment import Table, run, with_error
from learning import scores

from wtool.layers import AutoRotDense

UNITS, DEPTH = 64, 6
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    epochs: int = 20


def network(activation: str, rotate: bool) -> keras.Model:
    """Six hidden layers of 64 units; the limits are those of the pixels, then those of the activation."""
    hidden, limits = [], (0.0, 1.0)
    for _ in range(DEPTH):
        hidden.append(AutoRotDense(UNITS, *limits, "auto", AutoRot=rotate, activation=activation))
        limits = RANGES[activation]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    def rows() -> Iterator[tuple[str, ...]]:
        for activation in RANGES:
            makers = [partial(network, activation, rotate) for rotate in (False, True)]
            found = [scores(make, settings.seeds, settings.epochs, parts(0.3)) for make in makers]
            yield activation, *map(with_error, found)

    yield Table(("activation", "not rotated", "rotated"), rows())


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(seeds=1, epochs=1))
