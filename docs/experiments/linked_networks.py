"""The networks of the experiments with linked neurons; activations by the names that the paper gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from digits import Samples
from keras.layers import Activation, Add, BatchNormalization, Conv2D, Dense, Flatten, GlobalAveragePooling2D

from wtool.layers import LKSELU, LKPReLU, LKReLU, LKSwish

ACTIVATIONS: dict[str, Callable[[], keras.Layer]] = {
    "ReLU": keras.layers.ReLU,
    "LK-ReLU": LKReLU,
    "PReLU": keras.layers.PReLU,
    "LK-PReLU": LKPReLU,
    "SELU": partial(Activation, "selu"),
    "LK-SELU": LKSELU,
    "Swish": partial(Activation, "silu"),
    "LK-Swish": LKSwish,
}


def normalisation() -> keras.Layer:
    """Batch normalisation whose moving statistics keep up with trainings of a few hundred steps."""
    return BatchNormalization(momentum=0.9)


def active(name: str, normalised: bool = False) -> list[keras.Layer]:
    """An activation, behind batch normalisation where that is wanted."""
    return [*([normalisation()] if normalised else []), ACTIVATIONS[name]()]


def deep(name: str, depth: int, width: int, normalised: bool = False) -> keras.Model:
    """The network of the paper's depth test."""
    hidden = convolutions(name, depth, width, normalised)
    return keras.Sequential([keras.Input((8, 8, 1)), *hidden, Flatten(), Dense(10)])


def convolutions(
    name: str, depth: int, width: int, normalised: bool = False, initializer: str = "glorot_uniform"
) -> list[keras.Layer]:
    """A convolution of 7 x 7 with strides of 2, and `depth` ones of 3 x 3, each with its activation."""
    how = {"padding": "same", "kernel_initializer": initializer}
    layers: list[keras.Layer] = [Conv2D(width, 7, strides=2, **how), *active(name, normalised)]
    for _ in range(depth):
        layers += [Conv2D(width, 3, **how), *active(name, normalised)]
    return layers


def signal(name: str, depth: int, width: int, initializer: str, data: Samples) -> float:
    """The deviation of the last activations of an untrained deep network over that of the pixels, as a power of ten."""
    x = data.x
    for layer in convolutions(name, depth, width, initializer=initializer):
        x = layer(x)
    return float(np.log10(np.std(np.asarray(x, np.float64)) / np.std(data.x)))


def wide(name: str, width: int) -> keras.Model:
    """The network of the paper's width test: one convolution."""
    return keras.Sequential([keras.Input((8, 8, 1)), Conv2D(width, 3), *active(name), Flatten(), Dense(10)])


def dense(name: str, depth: int, width: int, normalised: bool = False) -> keras.Model:
    """A perceptron."""
    hidden = [layer for _ in range(depth) for layer in (Dense(width), *active(name, normalised))]
    return keras.Sequential([keras.Input((64,)), *hidden, Dense(10)])


def all_convolutional(name: str, width: int) -> keras.Model:
    """AllCNN with `width` instead of 96 filters, and without its dropout."""
    wide = 2 * width
    shape: Sequence[tuple[int, int, int, bool]] = (
        (width, 3, 1, True),
        (width, 3, 1, True),
        (width, 3, 2, False),
        (wide, 3, 1, True),
        (wide, 3, 1, True),
        (wide, 3, 2, False),
        (wide, 3, 1, True),
        (wide, 1, 1, True),
        (10, 1, 1, False),
    )
    layers = [
        layer
        for filters, size, strides, has_activation in shape
        for layer in (
            Conv2D(filters, size, strides=strides, padding="same"),
            *(active(name) if has_activation else []),
        )
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers, GlobalAveragePooling2D()])


def residual(name: str, blocks: int, width: int, normalised: bool) -> keras.Model:
    """A residual network of bottleneck blocks, as in ResNet-50: 1 x 1, 3 x 3 and 1 x 1, which restores the width."""

    def through(x: Any, filters: int, size: int, last: bool = False) -> Any:
        for layer in (Conv2D(filters, size, padding="same"), *([] if last else active(name, normalised))):
            x = layer(x)
        return normalisation()(x) if last and normalised else x

    image = keras.Input((8, 8, 1))
    x = through(image, width, 3)
    for _ in range(blocks):
        inner = through(through(through(x, width // 2, 1), width // 2, 3), x.shape[-1], 1, last=True)
        x = Add()([x, inner])
    return keras.Model(image, Dense(10)(GlobalAveragePooling2D()(x)))


def dead(model: keras.Model, data: Samples) -> float:
    """The share of units whose output is 0 for all samples at all places; of linked ones, both halves."""
    kinds = (*(kind for kind in ACTIVATIONS.values() if isinstance(kind, type)), Activation)
    x, shares, units = data.x, [], 0
    for layer in model.layers:
        x = layer(x, training=False)
        if isinstance(layer, Conv2D):
            units = x.shape[-1]
        elif isinstance(layer, kinds):
            alive = (np.asarray(x) != 0).reshape(-1, x.shape[-1]).any(0).reshape(-1, units).any(0)
            shares.append(1 - alive.mean())
    return float(np.mean(shares))
