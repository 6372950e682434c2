"""Blocks of R inputs and C output units that are pruned as a whole: those whose weights matter least on average.

The score of a block is the mean of the scores of its weights, those that are zero already scoring 0; a block of nothing
but zeros comes first. Blocks at an edge have fewer weights. A convolution has a matrix of inputs and outputs at each
position of its window. Only a bit is kept of each block.

Source: `block_size` of tfmot with mean pooling, which keeps ties and rounds the number of blocks up to one that stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.budgets import spread
from wtool.transforms.change import Blocks, Data, Look, Prepared, Site
from wtool.transforms.lowest import lowest, schedule_notes, score_of, setting
from wtool.transforms.planes import matrix_plane, split_off
from wtool.transforms.pruning import read_block
from wtool.transforms.ranking import Group, Score, cuts, scored, stops
from wtool.transforms.streams import CHUNK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wtool.transforms.pruning import Prune


@dataclass(frozen=True, slots=True)
class Grid:
    """The blocks of a tensor, in memory.

    Attributes:
        site: the tensor, an array of shape (any, rows, columns).
        rows, columns: of each matrix.
        height, width: of a block.
    """

    site: Site
    rows: int
    columns: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many matrices there are, and how many blocks each of them has along its rows and columns."""
        matrices = self.site.size // (self.rows * self.columns)
        return matrices, -(-self.rows // self.height), -(-self.columns // self.width)

    @property
    def blocks(self) -> Site:
        """The blocks, as a tensor of their scores."""
        return replace(self.site, shape=self.shape, dtype="float64")


def prepare(prune: Prune, data: Data, seed: int) -> Prepared:
    """Finds the blocks that are pruned."""
    assert prune.block is not None
    sites = [site for site in data.sites if site.size]
    sites, dense = split_off(sites, {site: matrix_plane(site) for site in sites}, "blocks")
    grids = {site: _grid(site, *read_block(prune.block)) for site in sites}
    chosen, notes = spread(prune, data, {site: math.prod(grid.shape) for site, grid in grids.items()})
    values = [Group(found, _values_of(count, [grids[site] for site in found])) for found, count in chosen]
    score = score_of(prune.criterion, data, values, seed)
    pooled = Pooled(data, {grid.blocks.path: grid for grid in grids.values()}, score)
    groups = [Group(tuple(grids[site].blocks for site in found), count) for found, count in chosen]
    masks: dict[str, NDArray[np.uint8]] = {}
    for group, cut in zip(groups, cuts(pooled, groups, _itself), strict=True):
        up_to = stops(pooled, group, cut, _itself, prune.set_value == 0 and cut.score == -math.inf)
        for site in group.sites:
            masks[site.path] = pooled.mask(site, partial(lowest, _itself, site, cut.score, up_to[site.path]))
    return Prepared(
        {
            site.path: setting(partial(_inside, grid, masks[site.path]), site, prune.set_value)
            for site, grid in grids.items()
            if site.path in masks
        },
        (*schedule_notes(prune), *dense, *notes),
    )


def _values_of(count: int, grids: Sequence[Grid]) -> int:
    """About how many values some blocks have."""
    return max(1, round(count / sum(grid.blocks.size for grid in grids) * sum(grid.site.size for grid in grids)))


def _grid(site: Site, inputs: int, outputs: int) -> Grid:
    plane = matrix_plane(site)
    assert plane is not None
    height, width = (outputs, inputs) if plane.is_turned else (inputs, outputs)
    return Grid(site, plane.rows, plane.columns, height, width)


def _itself(site: Site, blocks: Blocks, start: int) -> Array:
    return blocks[0]


@dataclass(frozen=True, slots=True)
class Pooled:
    """The scores of blocks, as `transforms.change.Data`: calculated whenever they are read."""

    data: Data
    grids: dict[str, Grid]
    score: Score

    @property
    def sites(self) -> Sequence[Site]:
        """The tensors of scores."""
        return [grid.blocks for grid in self.grids.values()]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand the scores to `look`, some rows of blocks at a time."""
        for site in sites:
            for row, scores in self._rows(self.grids[site.path], 0, site.size // site.shape[2]):
                start = row * site.shape[2]
                yield site, start, look(site, [scores], start)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The scores [start, stop) of a tensor."""
        across = site.shape[2]
        first, last = start // across, -(-stop // across)
        found = [np.zeros(0), *(scores for _, scores in self._rows(self.grids[site.path], first, last))]
        return [np.concatenate(found)[start - first * across : stop - first * across]]

    def mask(self, site: Site, choose: Any) -> NDArray[np.uint8]:
        """The blocks of a tensor that are chosen, as bits, shape (rows of blocks, bytes)."""
        across = site.shape[2]
        rows = self._rows(self.grids[site.path], 0, site.size // across)
        parts = [choose([scores], row * across).reshape(-1, across) for row, scores in rows]
        return np.concatenate([np.packbits(part, axis=1) for part in parts])

    def _rows(self, grid: Grid, first: int, last: int) -> Iterator[tuple[int, Array]]:
        """Yields the scores of rows of blocks, as many at a time as are quickly read, with the first row's number."""
        _, down, _ = grid.shape
        at_once = max(1, CHUNK // (grid.height * grid.columns))
        while first < last:
            matrix, at = divmod(first, down)
            low = at * grid.height
            full = (grid.rows - low) // grid.height  # rows of blocks from here on that have all their rows
            count = min(at_once, last - first, full) or 1
            yield first, self._scores(grid, matrix * grid.rows + low, min(count * grid.height, grid.rows - low), count)
            first += count

    def _scores(self, grid: Grid, row: int, rows: int, count: int) -> Array:
        """The scores of some rows of blocks, from a row of the tensor on.

        Sums are taken in one order, row by row and column by column, so that they have the same bits however much is
        read together.
        """
        height = rows // count
        sums = np.zeros((count, grid.columns))
        is_kept = np.zeros((count, grid.columns), np.bool_)
        for each, values in self._read(grid, row, rows, count):
            scores = scored(grid.site, values, each * grid.columns, self.score).reshape(count, -1, grid.columns)
            zero = (values[0] == 0).reshape(scores.shape)
            for line in range(scores.shape[1]):
                sums += np.where(zero[:, line], 0.0, scores[:, line])
                is_kept |= ~zero[:, line]
        across = grid.shape[2]
        padding = ((0, 0), (0, across * grid.width - grid.columns))
        wide = np.pad(sums, padding).reshape(count, across, grid.width)
        total = wide[:, :, 0].copy()
        for column in range(1, grid.width):
            total += wide[:, :, column]
        sizes = height * np.minimum(grid.width, grid.columns - grid.width * np.arange(across))
        is_left = np.pad(is_kept, padding).reshape(count, across, grid.width).any(axis=2)
        return np.asarray(np.where(is_left, total / sizes, -np.inf).reshape(-1))

    def _read(self, grid: Grid, row: int, rows: int, count: int) -> Iterator[tuple[int, Blocks]]:
        """Yields rows of a tensor together if they are few values, and one by one if they are many."""
        step = rows if count > 1 or rows * grid.columns <= CHUNK else 1
        for each in range(row, row + rows, step):
            yield each, self.data.read(grid.site, each * grid.columns, (each + step) * grid.columns)


def _inside(grid: Grid, mask: NDArray[np.uint8], blocks: Blocks, start: int) -> NDArray[np.bool_]:
    """Mask of the values in chosen blocks."""
    stop = start + len(blocks[0])
    first, last = start // grid.columns, -(-stop // grid.columns)
    rows = np.arange(first, last)
    row_of_blocks = rows // grid.rows * grid.shape[1] + rows % grid.rows // grid.height
    low, high = (start - first * grid.columns, stop - first * grid.columns) if last - first == 1 else (0, grid.columns)
    bits = np.unpackbits(mask[row_of_blocks], axis=1)
    inside = bits[:, np.arange(low, high) // grid.width].view(np.bool_).reshape(-1)
    return inside if last - first == 1 else inside[start - first * grid.columns : stop - first * grid.columns]
