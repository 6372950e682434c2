"""New values of a tensor whose positions along axes are others than before, block by block: a row is told by old rows.

A row is what lies along the last axis. The values of a new row are those of one old row, at other positions, and some
are filled; so a block of the new tensor needs the old rows that its own rows come from, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import Array, dtype_of
from wtool.graphs.layer_changes import COPY, ONE, AxisEdit
from wtool.graphs.values import Filling, changed_values, fill_of, new_shape

SPARSE = 4
"""Old rows that are read for one that is needed: beyond that, each run of needed rows is read by itself."""

LONG = 4096
"""Bytes of a run of rows that is read by itself in any case: a copy within memory would take longer."""


def changed_array(base: Checkpoint, tensor: Tensor, edits: Sequence[AxisEdit], filling: Filling) -> Fresh:
    """Returns what takes a tensor's place; fresh initial values can only be drawn for a whole tensor.

    Args:
        base: has the tensor; stays open as long as the new values are asked for.
        tensor: a weight, or a slot of its shape.
        edits: one after the other.
        filling: what positions get that were not there before.
    """
    in_blocks = not any(fill_of(edit, filling) == "initializer" for edit in edits)
    return Fresh(
        new_shape(tensor, edits),
        tensor.dtype,
        partial(changed_values, base, tensor, edits, filling),
        partial(changed_block, base, tensor, edits, filling) if in_blocks else None,
    )


def changed_block(
    base: Checkpoint, tensor: Tensor, edits: Sequence[AxisEdit], filling: Filling, start: int, stop: int
) -> Array:
    """The values [start, stop) of the new tensor, flat: shape (stop - start,).

    The arguments are those of `changed_array`; no edit fills with fresh initial values.
    """
    shape = new_shape(tensor, edits)
    length = shape[-1]
    rows = np.arange(start // length, -(-stop // length))
    last = len(shape) - 1
    at = dict(enumerate(np.unravel_index(rows, shape[:-1]))) if last else {}
    at[last] = np.arange(length)
    is_new: list[Array] = []
    needed = np.ones(len(rows), bool)  # no row that one number fills
    for edit in reversed(edits):  # back from the new positions to the old ones
        source = edit.source[at[edit.axis]]
        is_new.insert(0, source < 0)
        if edit.axis != last and fill_of(edit, filling) not in (COPY, "mirror"):
            needed &= source >= 0
        at[edit.axis] = np.where(source < 0, ~source, source)
    old = np.ravel_multi_index([at[axis] for axis in range(last)], tensor.shape[:-1]) if last else np.zeros(1, int)
    values = _rows(base, tensor, old, needed)
    if any(edit.axis == last for edit in edits):  # else whole rows move, and picking their values one by one is slow
        values = np.take(values, at[last], axis=1)
    for edit, new in zip(edits, is_new, strict=True):
        where = (slice(None), new) if edit.axis == last else (new,)
        fill = fill_of(edit, filling)
        if fill == "mirror":
            values[where] = -values[where]
        elif fill != COPY:
            values[where] = values.dtype.type(1 if fill == ONE else 0)
    first = rows[0] * length
    block: Array = values.reshape(-1)[start - first : stop - first]
    return block


def _rows(base: Checkpoint, tensor: Tensor, rows: Array, needed: Array) -> Array:
    """Rows of a tensor by their numbers, shape (len(rows), length of a row); those that are not needed are not read."""
    length = tensor.shape[-1]
    values = np.empty((len(rows), length), dtype_of(tensor.dtype))
    places = np.flatnonzero(needed)
    if not len(places):
        return values
    read = rows[places]
    low, high = int(read.min()), int(read.max()) + 1
    breaks = np.flatnonzero((np.diff(read) != 1) | (np.diff(places) != 1)) + 1  # between runs of neighbours
    if len(breaks) * LONG > values.nbytes and high - low <= SPARSE * len(read):
        near = base.read_range(tensor, low * length, high * length).reshape(high - low, length)
        values[places] = near[read - low]
        return values
    for first, last in pairwise([0, *breaks.tolist(), len(read)]):
        run = values[places[first] : places[last - 1] + 1]
        base.read_into(tensor, int(read[first]) * length, run.reshape(-1))
    return values
