"""Activation functions of single numbers, in double precision: those that every version of Keras computes alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wtool.dtypes import Array


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _selu(x: Array) -> Array:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return np.asarray(scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))))


ACTIVATIONS: dict[str, Callable[[Array], Any]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": _selu,
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "swish": lambda x: x * _sigmoid(x),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "exponential": np.exp,
}
"""Name of an activation -> the function, from an array to an array of the same shape. NaN stays NaN."""


def activated(name: str, values: Array) -> Array:
    """Returns an activation of values, NaN where the activation is not in the table; shape of `values`.

    Sources: the papers that the documentation of `keras.activations` names; `gelu` is the exact one.
    """
    function = ACTIVATIONS.get(name)
    if function is None:
        return np.full(values.shape, np.nan)
    with np.errstate(over="ignore"):
        return np.asarray(function(values), np.float64)
