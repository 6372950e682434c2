"""LAMP: how many weights each tensor loses when those with the lowest scores of all tensors are pruned.

The score of a weight is w^2 / sum(v^2), over the weight itself and all weights v of its tensor that are larger, or
equal and behind it. The largest weight of each tensor scores 1, so that no tensor is emptied before all are down to one
weight. Scores grow with magnitudes, so a tensor that loses n weights loses its n smallest ones.

Nothing is sorted as a whole. One pass counts and adds up the squares of each tensor by the leading bits of magnitudes,
which brackets the score that is looked for. Another pass keeps the magnitudes whose scores may be in the bracket, a few
in a hundred. Sums are of pieces at fixed places, so that blocks make no difference to a bit of them.

Source: Lee, Park, Mo, Ahn & Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", arXiv:2010.07611.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.streams import CHUNK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

KEPT = 1 << 18
"""After so many magnitudes of a tensor were kept, equal ones are counted and kept once."""

SLACK = 1e-9
"""What rounding errors of sums may make of a score, in proportion."""


class Bits(NamedTuple):
    """How magnitudes of a number type are cut into buckets by their leading bits.

    Attributes:
        dtype: in which magnitudes of the type are exact.
        unsigned: whole numbers of the same size.
        shift: bits behind the leading ones: 8 of the exponent and 8 more, or 11 and 8 more.
    """

    dtype: Any
    unsigned: Any
    shift: int

    def keys(self, magnitudes: Array) -> NDArray[Any]:
        """The bucket of each magnitude; buckets are in the order of magnitudes."""
        return np.asarray(magnitudes.view(self.unsigned) >> self.shift)

    def first(self, keys: NDArray[Any]) -> Floats:
        """The smallest magnitude of each bucket."""
        starts = keys.astype(self.unsigned) << self.unsigned(self.shift)
        return np.asarray(starts.view(self.dtype), np.float64)

    def last(self, keys: NDArray[Any]) -> Floats:
        """The largest magnitude of each bucket."""
        ends = ((keys.astype(self.unsigned) + self.unsigned(1)) << self.unsigned(self.shift)) - self.unsigned(1)
        return np.asarray(ends.view(self.dtype), np.float64)


def _bits(site: Site) -> Bits:
    return Bits(np.float64, np.uint64, 44) if site.dtype == "float64" else Bits(np.float32, np.uint32, 15)


def counts(data: Data, sites: Sequence[Site], rank: int) -> list[int]:
    """Returns how many values of each tensor are among those with the lowest scores of all; zeros are the lowest.

    Args:
        data: has the tensors.
        sites: the tensors, none of them empty.
        rank: how many values are looked for; of equal scores, those of the first tensors.

    Raises:
        Refused: a value is NaN or infinite, or too large to be squared.
    """
    tables = _tables(data, sites)
    zeros = [table.zeros for table in tables]
    if rank <= sum(zeros):
        return _dealt(rank, [0] * len(sites), zeros)
    low, high = _bracket(tables, rank - sum(zeros))
    runs = _runs(data, tables, low, high)
    below = [table.zeros + int(table.counts[table.highest < low].sum()) for table in tables]
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
    """The buckets of a tensor that hold values other than 0, from the smallest magnitudes on.

    Attributes:
        site: the tensor.
        zeros: how many values are 0.
        keys, counts: of each bucket.
        above: sum of the squares in all buckets of larger magnitudes.
        lowest, highest: bounds of the scores in each bucket.
    """

    site: Site
    zeros: int
    keys: NDArray[Any]
    counts: Counts
    above: Floats
    lowest: Floats
    highest: Floats


class _Piece(NamedTuple):
    """Of a piece: its size, its zeros, its first bucket, and counts and sums of squares from that bucket on."""

    size: int
    zeros: int
    first: int
    counts: Counts
    sums: Floats


def _tables(data: Data, sites: Sequence[Site]) -> list[_Table]:
    """Looks at all values once."""

    def look(site: Site, blocks: Blocks, start: int) -> list[_Piece]:
        return [_counted(site, piece) for piece in _pieces(data, site, blocks, start)]

    found: dict[str, _Table] = {}
    seen = 0
    for site, _, more in data.walk(look, sites):
        if seen == 0:
            buckets = 1 << (8 * np.dtype(_bits(site).dtype).itemsize - 1 - _bits(site).shift)
            sizes, sums, zeros = np.zeros(buckets, np.int64), np.zeros(buckets), 0
        for piece in more:
            sizes[piece.first : piece.first + len(piece.counts)] += piece.counts
            sums[piece.first : piece.first + len(piece.sums)] += piece.sums
            zeros += piece.zeros
            seen += piece.size
        if seen == site.size:
            found[site.path] = _table(site, zeros, sizes, sums)
            seen = 0
    return [found[site.path] for site in sites]


def _pieces(data: Data, site: Site, blocks: Blocks, start: int) -> Iterator[Array]:
    """Yields the pieces of a tensor that begin in a block; pieces are at the same places however blocks are cut."""
    stop = start + len(blocks[0])
    for low in range(-(-start // CHUNK) * CHUNK, stop, CHUNK):
        high = min(low + CHUNK, site.size)
        yield blocks[0][low - start : high - start] if high <= stop else data.read(site, low, high)[0]


def _magnitudes(site: Site, values: Array) -> Array:
    return np.asarray(np.abs(np.ascontiguousarray(values, _bits(site).dtype)))


def _counted(site: Site, values: Array) -> _Piece:
    magnitudes = _magnitudes(site, values)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.square(magnitudes, dtype=np.float64)
    zeros = len(values) - int(np.count_nonzero(magnitudes))
    if not np.isfinite(squares.max()) or len(values) - np.count_nonzero(squares) != zeros:
        raise Refused(f"{site.path} holds NaN, or values that are too large or too small to be squared; --exclude it")
    keys = _bits(site).keys(magnitudes).astype(np.int64)
    first = int(keys.min())
    keys -= first
    sizes = np.bincount(keys)
    sizes[0] -= zeros
    sums = np.bincount(keys, weights=squares).astype(np.float64)
    return _Piece(len(values), zeros, first, sizes, sums)


def _table(site: Site, zeros: int, sizes: Counts, sums: Floats) -> _Table:
    """Bounds of scores follow, since w^2 / (w^2 + larger ones) grows with w, and falls with what else is added."""
    keys = np.flatnonzero(sizes)
    from_here = np.cumsum(sums[keys][::-1])[::-1]
    above = np.append(from_here[1:], 0.0)[: len(keys)]
    smallest, largest = (np.square(each(keys)) for each in (_bits(site).first, _bits(site).last))
    return _Table(site, zeros, keys, sizes[keys], above, smallest / from_here, largest / (above + largest))


def _bracket(tables: Sequence[_Table], rank: int) -> tuple[float, float]:
    """Scores between which the one at a rank is, if zeros are not counted in."""
    sizes = np.concatenate([table.counts for table in tables])
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
    open_ones = {table.site: np.flatnonzero((table.highest >= low) & (table.lowest <= high)) for table in tables}
    ends: dict[Site, tuple[float, float]] = {}
    for table in tables:
        if len(at := open_ones[table.site]):
            keys, bits = table.keys[at[[0, -1]]], _bits(table.site)
            ends[table.site] = float(bits.first(keys)[0]), float(bits.last(keys)[1])

    def look(site: Site, blocks: Blocks, start: int) -> Array:
        magnitudes = _magnitudes(site, blocks[0])
        first, last = ends[site]
        return magnitudes[(magnitudes >= first) & (magnitudes <= last) & (magnitudes > 0)]

    kept = {site: _Kept() for site in open_ones}
    for site, _, found in data.walk(look, list(ends)):
        kept[site].add(found)
    return [kept[table.site].runs(table.above[open_ones[table.site][-1:]]) for table in tables]


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
