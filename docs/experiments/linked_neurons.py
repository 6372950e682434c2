"""ReLU and LKReLU without normalisation in a deep, narrow network on scikit-learn's digits; a minute.

    python docs/experiments/linked_neurons.py FOLDER [--quick] [--latex]

Prints the table of docs/reference/linked-neurons.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from digits import parts
from experiment import Table, run, with_error
from learning import scores

from wtool.layers import LKReLU

DEPTH = 20
NETWORKS = (("ReLU(16)", 16, False), ("LKReLU(8)", 8, True), ("LKReLU(16)", 16, True))


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    epochs: int = 20


def network(units: int, linked: bool, initializer: str) -> keras.Model:
    """Twenty hidden layers."""
    layers: list[Any] = [keras.Input((64,))]
    for _ in range(DEPTH):
        layers += [
            keras.layers.Dense(units, kernel_initializer=initializer),
            LKReLU() if linked else keras.layers.ReLU(),
        ]
    return keras.Sequential([*layers, keras.layers.Dense(10)])


class Dead:
    """The share of units that are 0 for all images, whichever half."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.probe: Any = None

    def watch(self, model: keras.Model) -> keras.Model:
        """Look at the first model that is made: it is the one that is trained."""
        if self.probe is None:
            hidden = [layer.output for layer in model.layers if isinstance(layer, (keras.layers.ReLU, LKReLU))]
            self.probe = keras.Model(model.inputs, hidden)
        return model

    def count(self, images: Any, units: int) -> None:
        outputs = self.probe.predict(images, verbose=0)
        alive = [(values != 0).any(0).reshape(-1, units).any(0) for values in outputs]
        self.shares.append(1 - float(np.mean(alive)))


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    data = parts(0.3)

    def rows() -> Iterator[tuple[str, ...]]:
        for initializer in ("glorot_uniform", "he_normal"):
            for name, units, linked in NETWORKS:
                dead = Dead()
                found = scores(
                    lambda dead=dead, how=(units, linked, initializer): dead.watch(network(*how)),
                    settings.seeds,
                    settings.epochs,
                    data,
                    lambda dead=dead, units=units: dead.count(data[1].x, units),
                )
                yield initializer, name, with_error(found), with_error(dead.shares)

    yield Table(("initializer", "network", "accuracy", "dead"), rows(), words=2)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(seeds=1, epochs=1))
