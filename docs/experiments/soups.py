"""Soups, averages and merges of networks with batch normalisation; a minute.

    python docs/experiments/soups.py FOLDER [--quick] [--latex]

Prints the table of soups.md. What is in FOLDER already is not done again. `--quick` takes two models and few epochs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from digits import parts
from experiment import Table, once, run

import wtool

TRAIN, HELD, TEST = "train.npz", "held.npz", "test.npz"
RATES = (1e-3, 3e-3, 5e-4, 1e-2, 2e-3)


@dataclass(frozen=True)
class Settings:
    models: int = 5
    base_epochs: int = 15
    tuned_epochs: int = 8
    distant_epochs: int = 20


def tables(folder: Path, settings: Settings) -> Iterator[Table]:
    os.chdir(folder)
    make_data()
    once("base.keras", lambda path: train_base(path, settings.base_epochs))
    tuned = [f"tuned-{seed}.keras" for seed in range(settings.models)]
    for seed, path in enumerate(tuned):
        once(path, lambda path, seed=seed: fine_tune(path, seed, settings.tuned_epochs))
    distant = ["distant-0.keras", "distant-1.keras"]
    for seed, path in enumerate(distant):
        once(path, lambda path, seed=seed: drift(path, seed, settings.distant_epochs))
    once("uniform.keras", lambda path: wtool.soup(tuned, data=HELD, uniform=True, output=path))
    once("greedy.keras", lambda path: wtool.soup(tuned, data=HELD, output=path, log="greedy.jsonl"))
    once("ties.keras", lambda path: wtool.merge(tuned, method="ties", base="base.keras", density=0.3, output=path))
    once("distant.keras", lambda path: wtool.average(distant, output=path))
    models = {path: path.removesuffix(".keras") for path in ("base.keras", *tuned)}
    models |= {"uniform.keras": "uniform soup", "greedy.keras": "greedy soup", "ties.keras": "TIES, density 0.3"}
    models |= {path: path.removesuffix(".keras") for path in distant} | {"distant.keras": "average of the distant ones"}
    yield Table(("model", "test accuracy", "after `wtool recalibrate`"), (row(*each) for each in models.items()))


def row(path: str, called: str) -> tuple[str, str, str]:
    """Test accuracy of a model as it is, and with the statistics of the training data."""
    again = path.replace(".keras", "-again.keras")
    once(again, lambda output: wtool.recalibrate(path, data=TRAIN, output=output))
    before, after = (wtool.evaluate(each, data=TEST)[0].metrics["accuracy"] for each in (path, again))
    return called, f"{before:.1%}", f"{after:.1%}"


def make_data() -> None:
    """The digits: three fifths to train on, a fifth to choose models by, a fifth to judge by."""
    for path, samples in zip((TRAIN, HELD, TEST), parts(0.2, 0.2, images=True), strict=True):
        samples.save(path)


def train_base(path: str, epochs: int) -> None:
    """A small convolutional network with batch normalisation, trained on a fifth of the training data."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [
        part
        for filters in (16, 32, 32)
        for part in (
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        )
    ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.GlobalAveragePooling2D(), layers.Dense(10)])
    fit(model, path, keras.optimizers.Adam(2e-3), epochs=epochs, share=5)


def fine_tune(path: str, seed: int, epochs: int) -> None:
    """The base, trained on with an order of samples and a learning rate of its own."""
    keras.utils.set_random_seed(seed)
    model = keras.models.load_model("base.keras")
    fit(model, path, keras.optimizers.Adam(RATES[seed]), epochs=epochs, share=1)


def drift(path: str, seed: int, epochs: int) -> None:
    """The base, trained on with steps so large that two runs end up far from each other."""
    keras.utils.set_random_seed(100 + seed)
    model = keras.models.load_model("base.keras")
    fit(model, path, keras.optimizers.SGD(1.0, momentum=0.9), epochs=epochs, share=1)


def fit(model: keras.Model, path: str, optimizer: keras.optimizers.Optimizer, epochs: int, share: int) -> None:
    with np.load(TRAIN) as data:
        x, y = data["x"][::share], data["y"][::share]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    model.save(path)


if __name__ == "__main__":
    run(tables, Settings(), quick=Settings(models=2, base_epochs=2, tuned_epochs=1, distant_epochs=1))
