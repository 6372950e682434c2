"""Soups, averages and merges of networks with batch normalisation: `python soups.py FOLDER`.

Prints the tables of soups.md, as Markdown. What is in FOLDER already is not done again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import wtool

SEEDS = range(5)
TRAIN, HELD, TEST = "train.npz", "held.npz", "test.npz"


def main(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    make_data()
    once("base.keras", train_base)
    tuned = [f"tuned-{seed}.keras" for seed in SEEDS]
    for seed, path in zip(SEEDS, tuned, strict=True):
        once(path, lambda path, seed=seed: fine_tune(path, seed))
    print("| model | test accuracy | after `wtool recalibrate` |\n| --- | ---: | ---: |")
    for path in ("base.keras", *tuned):
        row(path, path.removesuffix(".keras"))
    once("uniform.keras", lambda path: wtool.soup(tuned, data=HELD, uniform=True, output=path))
    once("greedy.keras", lambda path: wtool.soup(tuned, data=HELD, output=path, log="greedy.jsonl"))
    once("ties.keras", lambda path: wtool.merge(tuned, method="ties", base="base.keras", density=0.3, output=path))
    row("uniform.keras", "uniform soup")
    row("greedy.keras", "greedy soup")
    row("ties.keras", "TIES, density 0.3")
    distant = ["distant-0.keras", "distant-1.keras"]
    for seed, path in enumerate(distant):
        once(path, lambda path, seed=seed: drift(path, seed))
        row(path, path.removesuffix(".keras"))
    once("distant.keras", lambda path: wtool.average(distant, output=path))
    row("distant.keras", "average of the distant ones")


def once(path: str, make: Callable[[str], object]) -> None:
    if not os.path.exists(path):
        print(path, file=sys.stderr)
        make(path)


def row(path: str, called: str) -> None:
    """Test accuracy of a model as it is, and with the statistics of the training data."""
    again = path.replace(".keras", "-again.keras")
    once(again, lambda output: wtool.recalibrate(path, data=TRAIN, output=output))
    before, after = (wtool.evaluate(each, data=TEST)[0].metrics["accuracy"] for each in (path, again))
    print(f"| {called} | {before:.1%} | {after:.1%} |")


def make_data() -> None:
    """The digits: three fifths to train on, a fifth to choose models by, a fifth to judge by."""
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    x, x_held, y, y_held = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
    for path, parts in ((TRAIN, (x, y)), (HELD, (x_held, y_held)), (TEST, (x_test, y_test))):
        np.savez(path, x=parts[0], y=parts[1])


def train_base(path: str) -> None:
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
    fit(model, path, keras.optimizers.Adam(2e-3), epochs=15, share=5)


def fine_tune(path: str, seed: int) -> None:
    """The base, trained on with an order of samples and a learning rate of its own."""
    keras.utils.set_random_seed(seed)
    model = keras.models.load_model("base.keras")
    fit(model, path, keras.optimizers.Adam([1e-3, 3e-3, 5e-4, 1e-2, 2e-3][seed]), epochs=8, share=1)


def drift(path: str, seed: int) -> None:
    """The base, trained on with steps so large that two runs end up far from each other."""
    keras.utils.set_random_seed(100 + seed)
    model = keras.models.load_model("base.keras")
    fit(model, path, keras.optimizers.SGD(1.0, momentum=0.9), epochs=20, share=1)


def fit(model: keras.Model, path: str, optimizer: keras.optimizers.Optimizer, epochs: int, share: int) -> None:
    with np.load(TRAIN) as data:
        x, y = data["x"][::share], data["y"][::share]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    model.save(path)


if __name__ == "__main__":
    main(sys.argv[1])
