"""Deep networks of bounded activations on scikit-learn's digits, with and without auto-rotation; half a minute.

python docs/experiments/auto_rotating.py
"""

from __future__ import annotations

from functools import partial

import keras
from digits import accuracies, shown

from wtool.layers import AutoRotDense

UNITS, DEPTH = 64, 6
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


def network(activation: str, rotate: bool) -> keras.Model:
    """Six hidden layers of 64 units; the limits are those of the pixels, then those of the activation."""
    hidden, limits = [], (0.0, 1.0)
    for _ in range(DEPTH):
        hidden.append(AutoRotDense(UNITS, *limits, "auto", AutoRot=rotate, activation=activation))
        limits = RANGES[activation]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])


if __name__ == "__main__":
    for activation in RANGES:
        for rotate in (False, True):
            print(activation, "rotated" if rotate else "plain", shown(accuracies(partial(network, activation, rotate))))
