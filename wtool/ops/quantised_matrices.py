"""Matrices of a checkpoint that become int8 codes: read some rows at a time, whatever their size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod

import numpy as np

from wtool.checkpoint.casting import rounded
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array, dtype_of
from wtool.schema.quantising import Grouping
from wtool.transforms.quantising import Codes, arranged, coded_again, codes_for, largest_magnitudes
from wtool.values import dataclass

BLOCK = 1 << 17
"""Values that are read at a time, at least a row."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A matrix that becomes codes.

    Attributes:
        tensor: the matrix.
        dtype: that its layer gives to variables, in which Keras calculates.
        grouping: how its values share scales.
        codes: how its values become codes.
    """

    tensor: Tensor
    dtype: str
    grouping: Grouping
    codes: Codes

    @property
    def is_finite(self) -> bool:
        """Whether all its values are finite."""
        return bool((np.isfinite(self.codes.scales) & (self.codes.scales > 0)).all())

    def sources(self, base: Checkpoint) -> tuple[Fresh, Fresh]:
        """Returns what fills the codes and the scales in the new file."""
        shape = self.grouping.shape
        codes = Fresh(self.tensor.shape, "int8", partial(self._codes, base), instead=self.tensor)
        return codes, Fresh(shape, self.dtype, partial(self._scales, shape))

    def _codes(self, base: Checkpoint) -> Array:
        made = np.empty(self.tensor.shape, np.int8)
        for start, rows in _rows(base, self.tensor, self.dtype):
            made[start : start + len(rows)] = self.codes.of(rows, start)
        return made

    def _scales(self, shape: tuple[int, ...]) -> Array:
        made: Array = arranged(self.codes.scales, self.grouping.order, shape).astype(dtype_of(self.dtype))
        return made

    def error(self, base: Checkpoint) -> tuple[float, float]:
        """Returns the sums of squares of what rounding changes, and of the values."""
        changed = total = 0.0
        for start, rows in _rows(base, self.tensor, self.dtype):
            old = rows.astype(np.float64)
            new = self.codes.values(self.codes.of(rows, start), start, rows.dtype)
            changed += float(np.square(old - new.astype(np.float64)).sum())
            total += float(np.square(old).sum())
        return changed, total


def matrix_of(base: Checkpoint, tensor: Tensor, dtype: str, grouping: Grouping, is_coded_again: bool) -> Matrix:
    """Reads a matrix once, and returns how it becomes codes.

    Args:
        base: the checkpoint, open as long as the result is being made.
        tensor: the matrix.
        dtype: that its layer gives to variables.
        grouping: how its values share scales.
        is_coded_again: see `coded_again`.
    """
    magnitudes = largest_magnitudes((rows for _, rows in _rows(base, tensor, dtype)), grouping.axes)
    codes = codes_for(magnitudes)
    if is_coded_again and np.isfinite(magnitudes).all():
        codes = coded_again(codes, magnitudes)
    return Matrix(tensor, dtype, grouping, codes)


def _rows(base: Checkpoint, tensor: Tensor, dtype: str) -> Iterator[tuple[int, Array]]:
    """Yields the first row of each block of a matrix, and the block in another number type."""
    wide = prod(tensor.shape[1:])
    step = max(1, BLOCK // wide)
    for start in range(0, tensor.shape[0], step):
        stop = min(start + step, tensor.shape[0])
        block = base.read_range(tensor, start * wide, stop * wide).reshape(stop - start, *tensor.shape[1:])
        yield start, block if tensor.dtype == dtype else rounded(block, dtype)
