"""What is known of activations by name: their ranges, where their dynamic region ends, which ones mix channels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

LEVELS = {"tanh": 2.0, "sigmoid": 4.0, "arctan": 7.0}
"""Activation -> where its dynamic region ends. Source: the authors of "Auto-Rotating Perceptrons", arXiv:1910.02483."""

RANGES = {
    "tanh": (-1.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softsign": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "arctan": (-math.pi / 2, math.pi / 2),
    "relu6": (0.0, 6.0),
}
"""Activation -> the smallest and the largest value that it gives.

Keras's `sparsemax` is not here: by its definition it is between 0 and 1, but where two values or more share the result,
Keras 3.15 takes the sum of all cumulative sums for the last of them, and its results have no bounds.
"""

ACROSS = frozenset(("softmax", "log_softmax", "sparsemax", "glu"))
"""Activations that take several channels together."""

HALVING = frozenset(("glu",))
"""Activations that take channels from both halves of an axis, so that the order of channels tells."""


def activation_name(value: Any) -> str:
    """Returns the name of an activation in a configuration, as in the tables here; `linear` for none."""
    name = value.get("config") if isinstance(value, dict) else value
    return "linear" if name is None else str(name).removeprefix("wtool>")


def beyond(lowest: float, highest: float) -> float:
    """Returns xQ = 2 * highest - lowest: as far above a range as the range is wide."""
    return float(2 * highest - lowest)


def states_are_bounded(activation: str, gates: Iterable[str]) -> bool:
    """Whether states of a recurrent layer stay in its activation's range, and 0: all gates are open between 0 and 1."""
    return activation in RANGES and all(RANGES.get(gate) == (0.0, 1.0) for gate in gates)
