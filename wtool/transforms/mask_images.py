"""Images of masks: the share of zeros in each cell of a grid over a tensor, whatever the size of the tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from wtool.dtypes import Array


def image_shape(shape: Sequence[int], cells: int) -> tuple[int, int]:
    """Returns rows and columns of a tensor's image: its last axis across, all others down, at most `cells` each."""
    return min(cells, prod(shape[:-1])), min(cells, prod(shape[-1:]))


def cell_finder(shape: Sequence[int], cells: int) -> Callable[[Array], Array]:
    """Returns a function from flat positions in a tensor to flat positions in its image."""
    (height, width), (rows, columns) = image_shape(shape, cells), (prod(shape[:-1]), prod(shape[-1:]))

    def cell_of(positions: Array) -> Array:
        row, column = np.divmod(positions, columns)
        found: Array = row * height // rows * width + column * width // columns
        return found

    return cell_of


def shares(zeros: Array, shape: Sequence[int], cells: int) -> Array:
    """Returns the share of zeros in each cell of a tensor's image.

    Args:
        zeros: number of zeros in each cell, shape (rows * columns,) of the image.
        shape: of the tensor.
        cells: rows and columns that the image may have.

    Returns:
        shape (rows, columns), values from 0 to 1.
    """
    height, width = image_shape(shape, cells)
    sizes = np.outer(_sizes(prod(shape[:-1]), height), _sizes(prod(shape[-1:]), width))
    found: Array = zeros.reshape(height, width) / sizes
    return found


def _sizes(count: int, cells: int) -> Array:
    """Returns how many of `count` positions fall into each cell: position p falls into cell p * cells // count."""
    firsts = -(-np.arange(cells + 1) * count // cells)
    return np.diff(firsts)
