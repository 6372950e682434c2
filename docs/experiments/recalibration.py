"""How close the statistics of one pass are to exact ones, on digits; five minutes.

    python docs/experiments/recalibration.py FOLDER [--quick] [--latex]

A residual network with 11 BatchNormalization layers, each behind the one before, learns for ten epochs. The average of
its first and its last checkpoint is recalibrated in several ways. Prints the table of docs/reference/recalibrate.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from digits import Samples, everything
from experiment import Table, once, run

import wtool

EPSILON = 1e-3
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "`--exact`": ("train.npz", {"exact": True}),
    "default, `--batch-size 8`": ("train.npz", {"batch_size": 8}),
    "default": ("train.npz", {}),
    "default, `--batch-size 128`": ("train.npz", {"batch_size": 128}),
    "default, 200 samples": ("few.npz", {}),
    "`--exact`, half of the data": ("half.npz", {"exact": True}),
}


@dataclass(frozen=True)
class Settings:
    epochs: int = 10
    blocks: int = 5


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    os.chdir(folder)
    make_data()
    last = f"ckpt-{settings.epochs}.keras"
    once(last, lambda path: train(settings))
    wtool.average(["ckpt-1.keras", last], output="average.keras", force=True)

    def rows() -> Iterator[tuple[str, ...]]:
        yield "of the average itself", "", "", f"{accuracy('average.keras'):.1%}"
        exact: dict[str, np.ndarray] = {}
        for name, (data, how) in WAYS.items():
            wtool.recalibrate("average.keras", data=data, output="good.keras", force=True, **how)
            found = statistics("good.keras")
            exact = exact or found
            means, variances = apart(found, exact)
            yield name, f"{means:.1%}", f"{variances:.1%}", f"{accuracy('good.keras'):.1%}"

    yield Table(("statistics", "means off", "variances off", "test accuracy"), rows())


def make_data() -> None:
    digits = everything(images=True)
    order = np.random.default_rng(0).permutation(len(digits.y))
    x, y = digits.x[order], digits.y[order]
    Samples(x[:1400], y[:1400]).save("train.npz")
    np.savez("half.npz", x=x[:700])
    np.savez("few.npz", x=x[:200])
    Samples(x[1400:], y[1400:]).save("test.npz")


def train(settings: Settings) -> None:
    keras.utils.set_random_seed(0)
    start = keras.Input((8, 8, 1))
    x = keras.layers.ReLU()(normalised(start))
    for _ in range(settings.blocks):
        inner = normalised(keras.layers.ReLU()(normalised(x)))
        x = keras.layers.ReLU()(keras.layers.Add()([inner, x]))
    x = keras.layers.Dense(10, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(start, x)
    model.compile(keras.optimizers.SGD(0.3, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    with np.load("train.npz") as data:
        saver = keras.callbacks.ModelCheckpoint("ckpt-{epoch}.keras")
        model.fit(data["x"], data["y"], epochs=settings.epochs, batch_size=64, verbose=0, callbacks=[saver])


def normalised(x: Any) -> Any:
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def accuracy(path: str) -> float:
    return wtool.evaluate(path, data="test.npz")[0].metrics["accuracy"]


def statistics(path: str) -> dict[str, np.ndarray]:
    with wtool.open_checkpoint(path) as model:
        return {each.path: model.read(each) for each in model.weights if each.role.startswith("moving")}


def apart(found: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> tuple[float, float]:
    """Root mean squares over the channels of the layer that is off most: of means in deviations, of variances."""
    means, variances = [], []
    for path in (path for path in exact if path.endswith("moving_mean")):
        other = path.replace("moving_mean", "moving_variance")
        variance = exact[other] + EPSILON
        means.append(np.sqrt(np.mean((found[path] - exact[path]) ** 2 / variance)))
        variances.append(np.sqrt(np.mean(((found[other] - exact[other]) / variance) ** 2)))
    return float(max(means)), float(max(variances))


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(epochs=2, blocks=1))
