"""Mask criteria: how much each weight matters, from its trained and its initial value; the lowest are pruned.

Source: Zhou, Lan, Liu & Yosinski, "Deconstructing Lottery Tickets", arXiv:1905.01067, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wtool.dtypes import Array


def magnitude(final: Array, dtype: np.dtype[Any]) -> Array:
    """|w| in a dtype that holds it exactly: float32, or float64 where w is."""
    return np.abs(final) if final.dtype == dtype else np.abs(final.astype(dtype))


def large_final(final: Array, initial: Array) -> Array:
    """|wf|."""
    return np.abs(final)


def magnitude_increase(final: Array, initial: Array) -> Array:
    """|wf| - |wi|."""
    return np.asarray(np.abs(final) - np.abs(initial))


def movement(final: Array, initial: Array) -> Array:
    """|wf - wi|."""
    return np.asarray(np.abs(final - initial))


def large_final_same_sign(final: Array, initial: Array) -> Array:
    """max(0, wf * wi / |wi|); 0 where wi is 0."""
    return np.asarray(np.maximum(0.0, final * np.sign(initial)))


def large_init_large_final(final: Array, initial: Array, alpha: float) -> Array:
    """min(a * |wf|, |wi|), with a = quantile(|wi|) / quantile(|wf|) at the pruned proportion."""
    return np.asarray(np.minimum(alpha * np.abs(final), np.abs(initial)))


CRITERIA: dict[str, Callable[..., Array] | None] = {
    "large-final": large_final,
    "large-init-large-final": large_init_large_final,
    "magnitude-increase": magnitude_increase,
    "movement": movement,
    "large-final-same-sign": large_final_same_sign,
    "random": None,
}
"""Name -> score of float64 arrays (final, initial); None where no values are looked at."""
