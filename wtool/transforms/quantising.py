"""int8 codes of weights, to the bit as Keras 3 makes them: values of one group share one scale.

    scale = 127 / (largest magnitude + 1e-7)
    code = round(value * scale), to the nearest even, from -127 to 127

so a code stands for the value code / scale.

Source: `abs_max_quantize` in keras/src/quantizers/quantizers.py, with `to_numpy=True`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass

LARGEST, EPSILON = 127, 1e-7
"""The largest code, and what Keras adds to magnitudes so that it never divides by zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """How the values of a matrix become codes.

    Attributes:
        scales: of the groups, with axes of length 1 where all values share one scale.
        earlier: the codes whose values are coded once more; None for those of the matrix itself.
    """

    scales: Array
    earlier: Codes | None = None

    def of(self, rows: Array, start: int = 0) -> Array:
        """Returns the codes of the rows from `start` on of a matrix, int8 of the same shape."""
        values = rows if self.earlier is None else self.earlier.values(self.earlier.of(rows, start), start, rows.dtype)
        coded = np.round(np.multiply(values, self._own(self.scales, start, len(rows))))
        codes: Array = np.clip(coded, -LARGEST, LARGEST).astype(np.int8)
        return codes

    def values(self, codes: Array, start: int, dtype: np.dtype[np.generic]) -> Array:
        """Returns the values, in the dtype of the matrix, for which the codes of the rows from `start` on stand."""
        found: Array = np.divide(codes.astype(dtype), self._own(self.scales.astype(dtype), start, len(codes)))
        return found

    def _own(self, scales: Array, start: int, count: int) -> Array:
        return scales if scales.shape[0] == 1 else scales[start : start + count]


def largest_magnitudes(blocks: Iterable[Array], axes: Sequence[int]) -> Array:
    """Returns the largest magnitude of each group of a matrix, with axes of length 1 where values share a scale.

    Args:
        blocks: the matrix, some rows at a time.
        axes: along which all values are of one group.
    """
    found = [np.max(np.abs(block), axis=tuple(axes), keepdims=True) for block in blocks]
    whole: Array = np.maximum.reduce(found) if 0 in axes else np.concatenate(found)
    return whole


def codes_for(magnitudes: Array) -> Codes:
    """Returns how values become codes, by the largest magnitude of each group."""
    return Codes(np.divide(LARGEST, np.add(magnitudes, EPSILON)))


def coded_again(codes: Codes, magnitudes: Array) -> Codes:
    """Returns how the values become codes for which the first codes of a matrix stand.

    Keras does so when it saves a layer with LoRA factors, which it adds in between.
    """
    # Rounding keeps the order of magnitudes, so the largest value stays the largest one.
    largest = codes.values(codes.of(magnitudes), 0, magnitudes.dtype)
    return replace(codes_for(largest), earlier=codes)


def arranged(scales: Array, order: Sequence[int], shape: Sequence[int]) -> Array:
    """Returns the scales of a matrix as a file has them.

    Args:
        scales: with axes of length 1 where values share a scale.
        order: the axes in their new order.
        shape: the new shape, which differs from the transposed one in axes of length 1.
    """
    made: Array = scales.transpose(order).reshape(shape)
    return made
