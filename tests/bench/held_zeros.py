"""Seconds of an epoch of a plain `fit`, and of the same with four fifths of the weights held at zero, on the CPU.

    python held_zeros.py SECONDS [--smoke]

Both begin with the same pruned model and alternate in one process, after an epoch each that traces and warms up. A
turn is the fastest of two epochs each: what is slower was disturbed by something else on the machine. The zeros are
checked at the end. The file SECONDS gets JSON: model -> `plain` or `held` -> seconds, one for each turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from wtool.training.fitting.holding import HeldVariable, check_held, hold

TURNS, EPOCHS, SPARSITY, CLASSES = 5, 2, 0.8, 10


def wide() -> keras.Model:
    """784 inputs, two hidden layers of 1024 units: a step is mostly Adam's."""
    hidden = [layers.Dense(1024, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(CLASSES)])


def convolutions() -> keras.Model:
    """The small network for CIFAR-10 that Keras's examples had."""
    stages = [
        [
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.MaxPooling2D(),
        ]
        for filters in (32, 64)
    ]
    end = [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((32, 32, 3)), *stages[0], *stages[1], *end])


MODELS: dict[str, tuple[Callable[[], keras.Model], int, int]] = {
    "784 inputs, two layers of 1024, batch of 128": (wide, 128, 8192),
    "four convolutions for 32x32x3, batch of 64": (convolutions, 64, 1024),
}
"""Model -> how it is made, batch size, samples of an epoch."""


def prune(model: keras.Model) -> dict[str, Any]:
    """Set the smallest weights of each kernel to zero; gives the kernels."""
    kernels = {weight.path: weight for weight in model.trainable_variables if weight.name == "kernel"}
    for kernel in kernels.values():
        values = kernel.numpy()
        kernel.assign(np.where(np.abs(values) > np.quantile(np.abs(values), SPARSITY), values, 0))
    return kernels


def trainer(make: Callable[[], keras.Model], held: bool) -> tuple[keras.Model, list[HeldVariable]]:
    """A compiled and pruned model, the same for the same seed."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kernels = prune(model)
    return model, hold(model, kernels) if held else []


def compare(make: Callable[[], keras.Model], batch: int, samples: int, smoke: bool) -> dict[str, list[float]]:
    """Seconds of an epoch, plain and held, one for each turn."""
    samples = 2 * batch if smoke else samples
    both = {name: trainer(make, name == "held") for name in ("plain", "held")}
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (samples, *both["plain"][0].input_shape[1:])).astype("float32")
    y = rng.integers(0, CLASSES, samples)
    each: dict[str, list[float]] = {name: [] for name in both}
    turns, epochs = (1, 1) if smoke else (TURNS, EPOCHS)
    for _ in range(1 + turns * epochs):
        for name, (model, _held) in both.items():
            begin = time.perf_counter()
            model.fit(x, y, batch_size=batch, epochs=1, shuffle=False, verbose=0)
            each[name].append(time.perf_counter() - begin)
    check_held(both["held"][1])
    return {name: [min(found[at : at + epochs]) for at in range(1, len(found), epochs)] for name, found in each.items()}


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=Path, help="the file for the figures")
    parser.add_argument("--smoke", action="store_true", help="two batches, one turn")
    given = parser.parse_args(words)
    found = {name: compare(*how, given.smoke) for name, how in MODELS.items()}
    given.seconds.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
