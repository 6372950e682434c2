"""Mean and variance of numbers that come in batches of any size, in float64."""

from __future__ import annotations

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass

BLOCK = 1 << 18
"""Values that are widened to float64 at a time: few enough for the caches."""


@dataclass(eq=False)
class Moments:
    """Count, mean and sum of squared deviations of each channel.

    Blocks of values are joined by the update of Chan, Golub and LeVeque ("Algorithms for computing the sample
    variance", 1983), which loses no digits where the mean is large beside the deviations. With n = a + b and
    d = mean_b - mean_a:

        mean = mean_a + d * b / n        M2 = M2_a + M2_b + d^2 * a * b / n

    Attributes:
        count: number of values in each channel so far, shape (channels,), float64.
        mean: shape (channels,), float64.
        squares: sums of squared deviations from the mean, shape (channels,), float64.
    """

    count: Array
    mean: Array
    squares: Array

    @classmethod
    def of(cls, channels: int) -> Moments:
        """Returns the moments of no values."""
        return cls(np.zeros(channels), np.zeros(channels), np.zeros(channels))

    @property
    def variance(self) -> Array:
        """The biased variance, as Keras stores it: the mean squared deviation, shape (channels,), float64."""
        variance: Array = self.squares / np.maximum(self.count, 1)
        return variance

    def add(self, values: Array, axis: int, mask: Array | None = None) -> None:
        """Take in a batch.

        Args:
            values: of any shape and floating dtype.
            axis: the axis of the channels; all others are reduced.
            mask: which values count, of the shape of `values` without its last axis, as Keras takes it; None for all.
        """
        rows = self._rows(values, axis)
        shown = None if mask is None else self._rows(np.broadcast_to(mask.astype(bool)[..., None], values.shape), axis)
        height = max(1, BLOCK // max(1, rows.shape[1]))
        for start in range(0, len(rows), height):
            block = slice(start, start + height)
            self._join(rows[block].astype(np.float64), None if shown is None else shown[block])

    def _rows(self, values: Array, axis: int) -> Array:
        return np.moveaxis(values, axis, -1).reshape(-1, len(self.mean))

    def _join(self, block: Array, shown: Array | None) -> None:
        """Take in values, shape (rows, channels), float64, which are overwritten; `shown` says which count."""
        if shown is None:
            count = np.full(len(self.mean), float(len(block)))
        else:
            count = shown.sum(axis=0).astype(np.float64)
            block[~shown] = 0.0
        mean = block.sum(axis=0) / np.maximum(count, 1)
        block -= mean
        if shown is not None:
            block[~shown] = 0.0
        total = self.count + count
        share = count / np.maximum(total, 1)
        apart = mean - self.mean
        self.mean = self.mean + apart * share
        self.squares = self.squares + np.einsum("rc,rc->c", block, block) + apart * apart * self.count * share
        self.count = total
