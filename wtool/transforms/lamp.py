"""LAMP: how many weights each tensor loses when those with the lowest scores of all tensors are pruned.

The score of a weight is w^2 / sum(v^2), over the weight itself and all weights v of its tensor that are larger, or
equal and behind it. The largest weight of each tensor scores 1, so that no tensor is emptied before all are down to one
weight. Scores grow with magnitudes, so a tensor that loses n weights loses its n smallest ones.

Nothing is sorted as a whole. One pass counts and adds up the squares of each tensor by the leading bits of magnitudes,
which brackets the score that is looked for. Another pass keeps the magnitudes whose scores may be in the bracket, a few
in a hundred.

Source: Lee, Park, Mo, Ahn & Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", arXiv:2010.07611.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.magnitude_buckets import Buckets, bits_of, bucketed, magnitudes_of
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

KEPT = 1 << 18
"""After so many magnitudes of a tensor were kept, equal ones are counted and kept once."""

SLACK = 1e-9
"""What rounding errors of sums may make of a score, in proportion."""


def counts(data: Data, sites: Sequence[Site], rank: int) -> list[int]:
    """Returns how many values of each tensor are among those with the lowest scores of all; zeros are the lowest.

    Args:
        data: has the tensors.
        sites: the tensors, none of them empty.
        rank: how many values are looked for; of equal scores, those of the first tensors.

    Raises:
        Refused: a value is NaN or infinite, or too large to be squared.
    """
    tables = [_table(each) for each in bucketed(data, sites)]
    zeros = [table.buckets.zeros for table in tables]
    if rank <= sum(zeros):
        return _dealt(rank, [0] * len(sites), zeros)
    low, high = _bracket(tables, rank - sum(zeros))
    runs = _runs(data, tables, low, high)
    below = [table.buckets.zeros + int(table.buckets.counts[table.highest < low].sum()) for table in tables]
    score = _score_at(runs, rank - sum(below), low, high)
    least = [run.over(score, or_equal=True) for run in runs]
    less = [before + int((run.counts - n).sum()) for before, run, n in zip(below, runs, least, strict=True)]
    equal = [int((n - run.over(score)).sum()) for run, n in zip(runs, least, strict=True)]
    return _dealt(rank, less, equal)


def _dealt(rank: int, less: Sequence[int], equal: Sequence[int]) -> list[int]:
    """Returns the counts of lower values, with as many of the equal ones as are wanted, those of the first tensors."""
    found = []
    left = rank - sum(less)
    for before, ties in zip(less, equal, strict=True):
        found.append(before + min(ties, left))
        left -= min(ties, left)
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """The buckets of a tensor, and the scores in them.

    Attributes:
        buckets: counts and sums of squares, from the smallest magnitudes on.
        above: sum of the squares in all buckets of larger magnitudes.
        lowest, highest: bounds of the scores in each bucket.
    """

    buckets: Buckets
    above: Floats
    lowest: Floats
    highest: Floats


def _table(buckets: Buckets) -> _Table:
    """Bounds of scores follow, since w^2 / (w^2 + larger ones) grows with w, and falls with what else is added."""
    bits = bits_of(buckets.site)
    from_here = np.cumsum(buckets.sums[::-1])[::-1]
    above = np.append(from_here[1:], 0.0)[: len(from_here)]
    smallest, largest = (np.square(each(buckets.keys)) for each in (bits.first, bits.last))
    return _Table(buckets, above, smallest / from_here, largest / (above + largest))


def _bracket(tables: Sequence[_Table], rank: int) -> tuple[float, float]:
    """Scores between which the one at a rank is, if zeros are not counted in."""
    sizes = np.concatenate([table.buckets.counts for table in tables])
    ends = []
    for bounds in ([table.lowest for table in tables], [table.highest for table in tables]):
        scores = np.concatenate(bounds)
        order = np.argsort(scores, kind="stable")
        ends.append(float(scores[order[np.searchsorted(np.cumsum(sizes[order]), rank)]]))
    return ends[0] * (1 - SLACK), ends[1] * (1 + SLACK)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Equal magnitudes of a tensor: the j-th of `counts` equal ones scores w^2 / (above + j*w^2), the last one first.

    Attributes:
        squares: of the magnitudes.
        counts: how many are equal.
        above: sum of the squares of larger ones.
    """

    squares: Floats
    counts: Counts
    above: Floats

    def score(self, number: Counts) -> Floats:
        """The score of one of the equal magnitudes, counted from 1."""
        return np.asarray(self.squares / (self.above + number * self.squares))

    def over(self, score: float, or_equal: bool = False) -> Counts:
        """How many of the equal magnitudes have scores above the given one."""
        compare = np.greater_equal if or_equal else np.greater
        with np.errstate(all="ignore"):
            guess = np.nan_to_num(np.floor(1 / score - self.above / self.squares)) if score else self.counts
        found = np.asarray(np.clip(guess, 0, self.counts), np.int64)
        for _ in range(2):  # what rounding errors of the guess have made wrong
            found += (found < self.counts) & compare(self.score(found + 1), score)
            found -= (found > 0) & ~compare(self.score(np.maximum(found, 1)), score)
        return found

    def part(self, where: NDArray[np.bool_]) -> _Runs:
        """Some of them."""
        return _Runs(self.squares[where], self.counts[where], self.above[where])


def _runs(data: Data, tables: Sequence[_Table], low: float, high: float) -> list[_Runs]:
    """Returns for each tensor the magnitudes in the buckets whose scores may be in the bracket."""
    open_ones = {
        table.buckets.site: np.flatnonzero((table.highest >= low) & (table.lowest <= high)) for table in tables
    }
    ends: dict[Site, tuple[float, float]] = {}
    for table in tables:
        if len(at := open_ones[table.buckets.site]):
            keys, bits = table.buckets.keys[at[[0, -1]]], bits_of(table.buckets.site)
            ends[table.buckets.site] = float(bits.first(keys)[0]), float(bits.last(keys)[1])

    def look(site: Site, blocks: Blocks, start: int) -> Array:
        magnitudes = magnitudes_of(site, blocks[0])
        first, last = ends[site]
        return magnitudes[(magnitudes >= first) & (magnitudes <= last) & (magnitudes > 0)]

    kept = {site: _Kept() for site in open_ones}
    for site, _, found in data.walk(look, list(ends)):
        kept[site].add(found)
    return [kept[table.buckets.site].runs(table.above[open_ones[table.buckets.site][-1:]]) for table in tables]


class _Kept:
    """The magnitudes of a tensor that were kept so far."""

    def __init__(self) -> None:
        self.magnitudes: Array = np.zeros(0)
        self.counts: Counts = np.zeros(0, np.int64)
        self.waiting: list[Array] = []
        self.size = 0

    def add(self, magnitudes: Array) -> None:
        """Keep more; so many at a time are waiting that counting them does not take long."""
        self.waiting.append(magnitudes)
        self.size += len(magnitudes)
        if self.size > max(KEPT, len(self.magnitudes)):
            self._count()

    def _count(self) -> None:
        values, sizes = np.unique(np.concatenate([self.magnitudes, *self.waiting]), return_inverse=True)
        weights = np.concatenate([self.counts, np.ones(self.size, np.int64)])
        self.magnitudes, self.counts = (
            values,
            np.bincount(sizes, weights=weights, minlength=len(values)).astype(np.int64),
        )
        self.waiting, self.size = [], 0

    def runs(self, above: Floats) -> _Runs:
        """Returns all of them; `above` has the sum of the squares of larger ones, if there are any here."""
        self._count()
        squares = np.square(self.magnitudes.astype(np.float64))[::-1]
        counts = self.counts[::-1]
        sums = np.cumsum(np.concatenate([above, counts * squares]))
        return _Runs(squares, counts, sums[: len(squares)])


def _score_at(runs: Sequence[_Runs], rank: int, low: float, high: float) -> float:
    """Returns the score at a rank, 1 being the lowest, of what may be in the bracket.

    Halves the whole numbers that are the bits of the bracket's ends; what is decided is put aside.
    """
    pending = _Runs(
        *(np.concatenate(each) for each in zip(*((r.squares, r.counts, r.above) for r in runs), strict=True))
    )
    first, last = max(0, _as_bits(low) - 1), _as_bits(min(1.0, high))
    while last - first > 1:
        middle = (first + last) // 2
        score = _of_bits(middle)
        if int((pending.counts - pending.over(score)).sum()) >= rank:
            last = middle
            pending = pending.part(pending.score(pending.counts) <= score)
        else:
            first = middle
            is_below = pending.score(np.ones_like(pending.counts)) <= score
            rank -= int(pending.counts[is_below].sum())
            pending = pending.part(~is_below)
    return _of_bits(last)


def _as_bits(score: float) -> int:
    return int(np.float64(score).view(np.int64))


def _of_bits(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
