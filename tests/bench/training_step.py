"""Seconds of one training step on the CPU, with wtool's layers and with Keras's own.

    python training_step.py SECONDS [--smoke]

Each comparison is of models that differ in one thing; they take turns in one process. A turn is as many steps as fit
into a second, after warm-up. The file SECONDS gets JSON: comparison -> model -> seconds of a step, one for each turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from wtool.layers import AutoRotConv2D, AutoRotDense, LKReLU

TURNS, SECONDS, WARM_UP = 5, 1.0, 3
CLASSES = 10


def dense(rotate: bool) -> keras.Model:
    """784 inputs, four hidden layers of 512 units."""
    kind: Callable[..., Any] = partial(AutoRotDense, xmin_lim=-1.0, xmax_lim=1.0, L="auto") if rotate else layers.Dense
    hidden = [kind(512, activation="tanh") for _ in range(4)]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(CLASSES)])


def convolutions(rotate: bool) -> keras.Model:
    """The small network for CIFAR-10 that Keras's examples had, with and without padding."""
    kind: Callable[..., Any] = (
        partial(AutoRotConv2D, xmin_lim=-1.0, xmax_lim=1.0, L="auto") if rotate else layers.Conv2D
    )
    conv = partial(kind, kernel_size=3, activation="tanh")
    stages = [
        [conv(filters, padding="same"), conv(filters, padding="valid"), layers.MaxPooling2D()] for filters in (32, 64)
    ]
    end = [layers.Flatten(), layers.Dense(512, activation="tanh"), layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((32, 32, 3)), *stages[0], *stages[1], *end])


def resnet50(linked: bool, normalised: bool, half: bool = False) -> keras.Model:
    """ResNet-50 scaled down for CIFAR-10, as in the paper on linked neurons: LKReLU within the blocks, ReLU after Add.

    With `half`, the convolutions before LKReLU have half the filters, so that what follows is as wide as with ReLU.
    """

    def conv(x: Any, filters: int, size: int = 1, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding="same")(x)
        return layers.BatchNormalization()(x) if normalised else x

    def block(x: Any, filters: int, strides: int, project: bool) -> Any:
        activation = LKReLU if linked else layers.ReLU
        own = filters // 2 if half else filters
        y = activation()(conv(x, own, strides=strides))
        y = activation()(conv(y, own, 3))
        y = conv(y, 4 * filters)
        return layers.ReLU()(layers.Add()([y, conv(x, 4 * filters, strides=strides) if project else x]))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(conv(inputs, 8, 3))
    for stage, (filters, blocks) in enumerate([(16, 3), (16, 4), (32, 6), (32, 3)]):
        for number in range(blocks):
            x = block(x, filters, 2 if stage and not number else 1, project=not number)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(x)))


COMPARISONS: dict[str, tuple[int, dict[str, Callable[[], keras.Model]]]] = {
    "784 inputs, four layers of 512, tanh, batch of 256": (
        256,
        {"Dense": partial(dense, False), "AutoRotDense": partial(dense, True)},
    ),
    "four convolutions for 32x32x3, tanh, batch of 64": (
        64,
        {"Conv2D": partial(convolutions, False), "AutoRotConv2D": partial(convolutions, True)},
    ),
    "ResNet-50 for CIFAR-10, batch of 32": (
        32,
        {
            "ReLU, BatchNormalization": partial(resnet50, False, True),
            "LKReLU, half the filters": partial(resnet50, True, False, half=True),
            "LKReLU, BatchNormalization": partial(resnet50, True, True),
            "LKReLU": partial(resnet50, True, False),
        },
    ),
}
"""Comparison -> batch size, model -> how it is made."""


def stepper(make: Callable[[], keras.Model], batch: int) -> Callable[[], None]:
    """A step of plain SGD, the least that an optimizer can do, on random data."""
    keras.utils.set_random_seed(0)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss=loss)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (batch, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, CLASSES, batch)
    return lambda: model.train_on_batch(x, y)


def timed(step: Callable[[], None], steps: int) -> float:
    """Seconds of a step."""
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begin) / steps


def compare(batch: int, makers: dict[str, Callable[[], keras.Model]], smoke: bool) -> dict[str, list[float]]:
    """Seconds of a step of each model, one for each turn."""
    steppers = {name: stepper(make, batch) for name, make in makers.items()}
    found: dict[str, list[float]] = {name: [] for name in steppers}
    for step in steppers.values():
        timed(step, 1 if smoke else WARM_UP)
    steps = {name: 1 if smoke else max(2, round(SECONDS / timed(step, 3))) for name, step in steppers.items()}
    for _ in range(1 if smoke else TURNS):
        for name, step in steppers.items():
            found[name].append(timed(step, steps[name]))
    return found


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=Path, help="the file for the figures")
    parser.add_argument("--smoke", action="store_true", help="one step of each")
    given = parser.parse_args(words)
    found = {name: compare(batch, makers, given.smoke) for name, (batch, makers) in COMPARISONS.items()}
    given.seconds.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
