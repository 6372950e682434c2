"""Statistics of a tensor, block by block."""

from __future__ import annotations

import math

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is known of some values; `merged` with those of others it describes them all.

    Attributes:
        count: number of values.
        zeros: how many are exactly 0.
        nonfinite: how many are NaN or infinite; then sum, mean, deviation and extremes describe the finite ones.
        sum: in float64.
        squares: sum of squared distances from the mean, in float64.
        min, max: NaN where there are no finite values.
    """

    count: int = 0
    zeros: int = 0
    nonfinite: int = 0
    sum: float = 0.0
    squares: float = 0.0
    min: float = math.nan
    max: float = math.nan

    @property
    def finite(self) -> int:
        """How many values are neither NaN nor infinite."""
        return self.count - self.nonfinite

    @property
    def mean(self) -> float:
        """Arithmetic mean; NaN where there are no finite values."""
        return self.sum / self.finite if self.finite else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the population; NaN where there are no finite values."""
        return math.sqrt(self.squares / self.finite) if self.finite else math.nan

    def merged(self, other: Statistics) -> Statistics:
        """Statistics of both sets of values together.

        Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances".
        """
        if not self.finite or not other.finite:
            filled = other if other.finite else self
            spread = filled.squares
        else:
            distance = other.mean - self.mean
            share = self.finite * other.finite / (self.finite + other.finite)
            spread = self.squares + other.squares + distance * distance * share
        return Statistics(
            self.count + other.count,
            self.zeros + other.zeros,
            self.nonfinite + other.nonfinite,
            self.sum + other.sum,
            spread,
            float(np.fmin(self.min, other.min)),
            float(np.fmax(self.max, other.max)),
        )


def statistics(block: Array) -> Statistics:
    """Statistics of one block of values, shape (n,), any number type; computed in float64."""
    values = block.astype(np.float64)
    zeros = int(values.size - np.count_nonzero(values))
    finite = np.isfinite(values)
    kept = values if finite.all() else values[finite]
    if not kept.size:
        return Statistics(values.size, zeros, int(values.size))
    with np.errstate(all="ignore"):  # sums of huge float64 values may overflow, and then say so themselves
        total = float(kept.sum())
        spread = kept - total / kept.size
        squares = float((spread * spread).sum())
    return Statistics(
        values.size,
        zeros,
        int(values.size - kept.size),
        total,
        squares,
        float(kept.min()),
        float(kept.max()),
    )
