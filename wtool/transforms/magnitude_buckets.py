"""Magnitudes in buckets by their leading bits: how many there are, and what their squares add up to.

One pass over tensors of any size. Sums are of pieces at fixed places, so that blocks make no difference to a bit of a
sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.streams import CHUNK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]


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


def bits_of(site: Site) -> Bits:
    """Returns how the magnitudes of a tensor are cut."""
    return Bits(np.float64, np.uint64, 44) if site.dtype == "float64" else Bits(np.float32, np.uint32, 15)


def magnitudes_of(site: Site, values: Array) -> Array:
    """Returns the magnitudes of some values of a tensor, in the dtype that `bits_of` says."""
    return np.asarray(np.abs(np.ascontiguousarray(values, bits_of(site).dtype)))


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of a tensor that hold values other than 0, from the smallest magnitudes on.

    Attributes:
        site: the tensor.
        zeros: how many values are 0.
        keys, counts: of each bucket.
        sums: of the squares in each bucket.
    """

    site: Site
    zeros: int
    keys: NDArray[Any]
    counts: Counts
    sums: Floats


class _Piece(NamedTuple):
    """Of a piece: its size, its zeros, its first bucket, and counts and sums of squares from that bucket on."""

    size: int
    zeros: int
    first: int
    counts: Counts
    sums: Floats


def bucketed(data: Data, sites: Sequence[Site]) -> list[Buckets]:
    """Returns the buckets of tensors, none of which is empty.

    Raises:
        Refused: a value is NaN or infinite, or its square is.
    """

    def look(site: Site, blocks: Blocks, start: int) -> list[_Piece]:
        return [_counted(site, piece) for piece in _pieces(data, site, blocks, start)]

    found: dict[str, Buckets] = {}
    seen = 0
    for site, _, more in data.walk(look, sites):
        if seen == 0:
            buckets = 1 << (8 * np.dtype(bits_of(site).dtype).itemsize - 1 - bits_of(site).shift)
            sizes, sums, zeros = np.zeros(buckets, np.int64), np.zeros(buckets), 0
        for piece in more:
            sizes[piece.first : piece.first + len(piece.counts)] += piece.counts
            sums[piece.first : piece.first + len(piece.sums)] += piece.sums
            zeros += piece.zeros
            seen += piece.size
        if seen == site.size:
            keys = np.flatnonzero(sizes)
            found[site.path] = Buckets(site, zeros, keys, sizes[keys], sums[keys])
            seen = 0
    return [found[site.path] for site in sites]


def _pieces(data: Data, site: Site, blocks: Blocks, start: int) -> Iterator[Array]:
    """Yields the pieces of a tensor that begin in a block; pieces are at the same places however blocks are cut."""
    stop = start + len(blocks[0])
    for low in range(-(-start // CHUNK) * CHUNK, stop, CHUNK):
        high = min(low + CHUNK, site.size)
        yield blocks[0][low - start : high - start] if high <= stop else data.read(site, low, high)[0]


def _counted(site: Site, values: Array) -> _Piece:
    magnitudes = magnitudes_of(site, values)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.square(magnitudes, dtype=np.float64)
    zeros = len(values) - int(np.count_nonzero(magnitudes))
    if not np.isfinite(squares.max()) or len(values) - np.count_nonzero(squares) != zeros:
        raise Refused(f"{site.path} holds NaN, or values that are too large or too small to be squared; --exclude it")
    keys = bits_of(site).keys(magnitudes).astype(np.int64)
    first = int(keys.min())
    keys -= first
    sizes = np.bincount(keys)
    sizes[0] -= zeros
    sums = np.bincount(keys, weights=squares).astype(np.float64)
    return _Piece(len(values), zeros, first, sizes, sums)
