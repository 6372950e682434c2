"""Histograms that merge: found block by block in one pass, with the same counts whatever the blocks are.

The width of all bins is a power of two, and a bin begins at a multiple of that width. Two bins of one width are one bin
of twice the width, so that histograms of different widths merge without an error.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass

BINS = 64
"""Number of bins that a histogram has at most; one of more than a few values has at least half as many."""

FINEST = 12
"""Bits of the largest magnitude that the narrowest bins tell apart: a tensor of one value has no narrower ones."""

LEAST = -1074
"""Exponent of the smallest float64 above zero, and so of the narrowest bins of all."""

EMPTY = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of values in bins of equal width; bin i has the values from (first + i) w to (first + i + 1) w, w = 2^e.

    Attributes:
        exponent: e.
        first: number of the first bin.
        counts: values in each bin, shape (n,) with n of at most `BINS`.
    """

    exponent: int = LEAST
    first: int = 0
    counts: Array = field(default_factory=lambda: EMPTY)

    def merged(self, other: Histogram) -> Histogram:
        """Returns the histogram of both sets of values together, in the narrowest bins that are enough for them."""
        if not self.counts.size or not other.counts.size:
            return self if self.counts.size else other
        exponent = max(self.exponent, other.exponent)
        both = self._widened(exponent), other._widened(exponent)
        first, last = min(each.first for each in both), max(each.first + each.counts.size - 1 for each in both)
        counts = np.zeros(last - first + 1, np.int64)
        for each in both:
            counts[each.first - first : each.first - first + each.counts.size] += each.counts
        return Histogram(exponent, first, counts)._widened(exponent + _doublings(first, last))

    def _widened(self, exponent: int) -> Histogram:
        """Returns the same counts in wider bins."""
        shift = min(exponent - self.exponent, 62)
        if not shift:
            return self
        bins = (self.first + np.arange(self.counts.size)) >> shift
        return Histogram(exponent, int(bins[0]), np.bincount(bins - bins[0], self.counts).astype(np.int64))


def _doublings(first: int, last: int) -> int:
    """Returns how often the width of bins has to be doubled until bins `first` to `last` are no more than `BINS`."""
    count = 0
    while (last >> count) - (first >> count) >= BINS:
        count += 1
    return count


def histogram(values: Array) -> Histogram:
    """Returns the histogram of some values.

    Args:
        values: float64, finite, shape (n,).
    """
    if not values.size:
        return Histogram()
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    finest = max(int(np.frexp(largest)[1]) - FINEST, LEAST) if largest else LEAST
    first, last = _bins_of(np.array([low, high]), finest)
    exponent = finest + _doublings(int(first), int(last))
    bins = _bins_of(values, exponent)
    return Histogram(exponent, int(bins.min()), np.bincount(bins - bins.min()).astype(np.int64))


def _bins_of(values: Array, exponent: int) -> Array:
    """Returns the number of the bin of each value."""
    scaled = np.ldexp(values, -exponent)
    below = (scaled == 0) & (values < 0)  # quotients that are too small for a float64
    found: Array = np.floor(scaled).astype(np.int64) - below
    return found
