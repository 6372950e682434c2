"""Accuracy without half of the channels, by criterion, on digits; six minutes.

    python docs/experiments/shrinking.py FOLDER [--quick] [--latex]

Prints the table of shrinking.md. What is in FOLDER already is not done again. `--quick` takes one seed and two
criteria.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import keras
import numpy as np
from digits import parts
from experiment import Table, once, run, with_error

import wtool

MORE_EPOCHS, BATCH_SIZE = 3, 32
TRAIN, TEST = "train.npz", "test.npz"
COLUMNS = ("criterion", "scope", "parameters left", "accuracy at once", "three epochs later")
CRITERIA: dict[str, dict[str, Any]] = {
    "`l2`": {"criterion": "l2"},
    "`l1`": {"criterion": "l1"},
    "`l1 --members producer`": {"criterion": "l1", "members": "producer"},
    "`bn-scale`": {"criterion": "bn-scale"},
    "`fpgm`": {"criterion": "fpgm"},
    "`lamp`": {"criterion": "lamp"},
    "`random`": {"criterion": "random"},
}


@dataclass(frozen=True)
class Settings:
    seeds: int = 5
    epochs: int = 15
    criteria: int = len(CRITERIA)


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    os.chdir(folder)
    seeds = range(settings.seeds)
    if not os.path.exists(TEST):
        make_data()
    for seed in seeds:
        once(f"dense-{seed}.keras", lambda path, seed=seed: train_dense(path, seed, settings.epochs))
        once(f"dense-{seed}-more.keras", lambda path, seed=seed: train_on(f"dense-{seed}.keras", path, seed))

    def rows() -> Iterator[tuple[str, ...]]:
        dense = [[accuracy(f"dense-{seed}{more}.keras") for seed in seeds] for more in ("", "-more")]
        yield "dense", "", "100%", with_error(dense[0]), with_error(dense[1])
        for name in list(CRITERIA)[: settings.criteria]:
            for scope in ("layer", "global"):
                left, at_once, later = zip(*(shrunk(name, scope, seed) for seed in seeds), strict=True)
                yield name, scope, f"{fmean(left):.0%}", with_error(at_once), with_error(later)

    yield Table(COLUMNS, rows(), words=2)


def shrunk(name: str, scope: str, seed: int) -> tuple[float, float, float]:
    """Share of the parameters that are left in a shrunk network, its test accuracy, and that after more training."""
    path = f"{name.strip('`').replace(' --members ', '-')}-{scope}-{seed}.keras"
    more = path.replace(".keras", "-more.keras")
    how = {**CRITERIA[name], "scope": scope, "seed": seed if name == "`random`" else None}
    once(path, lambda output: wtool.shrink(f"dense-{seed}.keras", sparsity=0.5, output=output, **how))
    once(more, lambda output: train_on(path, output, seed))
    left = parameters(path) / parameters(f"dense-{seed}.keras")
    return left, accuracy(path), accuracy(more)


def make_data() -> None:
    """The digits: three fifths of them to train on, the others to judge by."""
    for path, samples in zip((TRAIN, TEST), parts(0.4, images=True), strict=True):
        samples.save(path)


def train_dense(path: str, seed: int, epochs: int) -> None:
    """Trains a residual network with batch normalisation, from initial weights of its own."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1))
    x = keras.layers.ReLU()(normalised(image, 16))
    x = keras.layers.ReLU()(normalised(x, 32, strides=2))
    for _ in range(2):
        inner = normalised(keras.layers.ReLU()(normalised(x, 32)), 32)
        x = keras.layers.ReLU()(keras.layers.Add()([x, inner]))
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    with np.load(TRAIN) as data:
        model.fit(data["x"], data["y"], batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    model.save(path)


def normalised(x: Any, filters: int, strides: int = 1) -> Any:
    convolution = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)
    return keras.layers.BatchNormalization(momentum=0.9)(convolution(x))


def train_on(path: str, output: str, seed: int) -> None:
    wtool.resume(path, data=TRAIN, epochs=MORE_EPOCHS, batch_size=BATCH_SIZE, seed=seed, output=output)


def accuracy(path: str) -> float:
    with np.load(TEST) as data:
        predicted = keras.models.load_model(path)(data["x"])
        return float(np.mean(keras.ops.convert_to_numpy(predicted).argmax(1) == data["y"]))


def parameters(path: str) -> int:
    return int(keras.models.load_model(path, compile=False).count_params())


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(seeds=1, epochs=2, criteria=2))
