"""The rows of a tensor: its output units, wherever they stand in a Keras kernel."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from wtool.transforms.change import Site

if TYPE_CHECKING:
    from wtool.dtypes import Array

AT_ONCE = 1 << 18
"""Values of rows that are handled together."""


def units_of(site: Site) -> int:
    """Returns how many output units a tensor has; 1 where it is one row."""
    return prod(site.shape[axis] for axis in site.unit_axes)


def rows_of(values: Array, site: Site) -> Array:
    """Returns the values of a whole tensor, flat, as a view with the axes of the output units in front.

    Args:
        values: shape (n,).
        site: the tensor.

    Returns:
        an array of the tensor's rank, or one with an axis of one unit where the tensor is one row.
    """
    if not site.unit_axes:
        return values.reshape(1, -1)
    return np.moveaxis(values.reshape(site.shape), site.unit_axes, range(len(site.unit_axes)))


def row_blocks(site: Site) -> Iterator[tuple[int | slice, ...]]:
    """Yields indices into `rows_of`, each of some of the rows; all together they are all rows."""
    if site.size == 0:
        return
    shape = [site.shape[axis] for axis in site.unit_axes] or [1]
    length = site.size // prod(shape)
    step = max(1, AT_ONCE // length)
    for outer in np.ndindex(*shape[:-1]):
        for low in range(0, shape[-1], step):
            yield (*outer, slice(low, low + step))
