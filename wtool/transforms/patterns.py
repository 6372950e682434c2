"""Patterns: of each M neighbouring inputs of an output unit, the N that matter most are kept.

The kernels of graphics processors that know 2:4 sparsity multiply such matrices. Inputs that M does not divide are left
over, and stay as they are. Which weights go depends on their M inputs only, so nothing is looked for beforehand.

Source: Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv:2104.08378. `m_by_n` of tfmot counts the zeros
of N, and not what is kept of M; it also takes what is left over as a group, padded with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.errors import a_few
from wtool.transforms.change import Blocks, Data, Prepared, Site
from wtool.transforms.lowest import score_of, setting
from wtool.transforms.planes import Plane, inputs_plane, split_off
from wtool.transforms.pruning import read_pattern
from wtool.transforms.ranking import Group, Score, scored
from wtool.transforms.streams import CHUNK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wtool.transforms.pruning import Prune


def prepare(prune: Prune, data: Data, seed: int) -> Prepared:
    """Finds where the inputs are; which of them go is found block by block."""
    assert prune.pattern is not None
    kept, length = read_pattern(prune.pattern)
    sites = [site for site in data.sites if site.size]
    planes = {site: inputs_plane(site) for site in sites}
    sites, notes = split_off(sites, planes, "patterns")
    found = {site: plane for site, plane in planes.items() if plane is not None}
    groups = [Group((site,), site.size // found[site].rows * _pruned_rows(found[site], kept, length)) for site in sites]
    score = score_of(prune.criterion, data, [group for group in groups if group.rank > 0], seed)
    changes = {
        site.path: setting(partial(_mask, data, score, site, found[site], kept, length), site, prune.set_value)
        for site in sites
        if found[site].rows >= length
    }
    return Prepared(changes, (*notes, *_left_over(found, length)))


def _pruned_rows(plane: Plane, kept: int, length: int) -> int:
    return plane.rows // length * (length - kept)


def _left_over(planes: dict[Site, Plane], length: int) -> tuple[str, ...]:
    told = [
        f"{plane.rows % length} of {plane.rows} in {site.path}" for site, plane in planes.items() if plane.rows % length
    ]
    return (f"inputs that {length} does not divide stay dense: {a_few(told)}",) if told else ()


def _mask(
    data: Data, score: Score, site: Site, plane: Plane, kept: int, length: int, blocks: Blocks, start: int
) -> NDArray[np.bool_]:
    """Mask of the values that go, from the start of a block on; what else belongs to their groups is read."""
    stop = start + len(blocks[0])
    mask = np.zeros(stop - start, np.bool_)
    rows, columns = plane.rows, plane.columns
    if length * columns <= CHUNK:
        first, last = start // columns, -(-stop // columns)
        first, last = first - first % rows % length, last + _rows_to_end(last, rows, length)
        low = first * columns
        values = _read(data, site, blocks, start, low, last * columns)
        scores = scored(site, values, low, score).reshape(-1, columns)
        is_whole = np.arange(first, last) % rows < rows - rows % length
        found = np.zeros(scores.shape, np.bool_)
        found[is_whole] = lowest_of(scores[is_whole].reshape(-1, length, columns), length - kept).reshape(-1, columns)
        mask[:] = found.reshape(-1)[start - low : stop - low]
        return mask
    for row, low, high in _segments(start, stop, columns, CHUNK // length):
        first = row - row % rows % length
        if row % rows < rows - rows % length:
            places = [(each * columns + low, each * columns + high) for each in range(first, first + length)]
            scores = np.stack([scored(site, data.read(site, *place), place[0], score) for place in places])
            at = row * columns - start
            mask[at + low : at + high] = lowest_of(scores[None], length - kept)[0, row - first]
    return mask


def _rows_to_end(row: int, rows: int, length: int) -> int:
    """How many rows there are from a row to the end of the group that the row before it is in."""
    last = (row - 1) % rows
    return min(length - 1 - last % length, rows - 1 - last)


def _segments(start: int, stop: int, columns: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yields the row and the range of columns of parts of a block."""
    while start < stop:
        row, low = divmod(start, columns)
        high = min(columns, low + stop - start, low + most)
        yield row, low, high
        start += high - low


def _read(data: Data, site: Site, blocks: Blocks, start: int, low: int, high: int) -> Blocks:
    """The values [low, high) of a tensor, of which blocks from `start` on are there."""
    if low == start and high == start + len(blocks[0]):
        return blocks
    return data.read(site, low, high)


def lowest_of(scores: Array, count: int) -> NDArray[np.bool_]:
    """Mask of the lowest scores of each group, shape (groups, length, columns); ties by position.

    Each two places of a group are compared; that is much faster than sorting groups of a few.
    """
    length = scores.shape[1]
    rank = np.zeros(scores.shape, np.uint8)
    for left in range(length):
        for right in range(left + 1, length):
            is_first = scores[:, left] <= scores[:, right]
            rank[:, right] += is_first
            rank[:, left] += ~is_first
    return np.asarray(rank < count)
