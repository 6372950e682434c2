"""How far two tensors are from each other: sums over pairs of values at the same position, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

BLOCK = 65_536  # values; more calls for smaller blocks cost more than what falls out of the L2 cache


@dataclass(frozen=True, slots=True)
class Distance:
    """What is known of some pairs of values (a, b); `merged` with that of other pairs it describes all of them.

    A NaN is equal to a NaN, and -0.0 to 0.0. Sums are in float64, over the pairs of finite values.

    Attributes:
        count: number of pairs.
        finite: in how many of them both values are finite.
        changed: how many pairs are not equal.
        beyond: of these, how many are further apart than the tolerance, |a - b| > atol + rtol * |b|.
        largest: the largest |a - b|; infinite where one of the two is. Pairs with a NaN do not count.
        place: index of the first pair with this distance in the flat tensors; -1 where no pair is apart.
        squares: sum of (a - b)².
        squares_a, squares_b, product: sums of a², b² and a * b.
        flips: how many pairs have opposite signs, neither being zero.
        zeros_gained: how many values are zero in b only.
        zeros_lost: how many values are zero in a only.
        nans_a, nans_b: how many values of each are NaN.
        hidden: how many pairs are equal and have different bytes of one dtype: -0.0 and 0.0, and different NaN.
    """

    count: int = 0
    finite: int = 0
    changed: int = 0
    beyond: int = 0
    largest: float = 0.0
    place: int = -1
    squares: float = 0.0
    squares_a: float = 0.0
    squares_b: float = 0.0
    product: float = 0.0
    flips: int = 0
    zeros_gained: int = 0
    zeros_lost: int = 0
    nans_a: int = 0
    nans_b: int = 0
    hidden: int = 0

    def merged(self, other: Distance) -> Distance:
        """Returns the distance over the pairs of both."""
        is_nearer = (other.largest, -other.place) <= (self.largest, -self.place) if self.place >= 0 else other.place < 0
        far = self if is_nearer else other
        return Distance(
            self.count + other.count,
            self.finite + other.finite,
            self.changed + other.changed,
            self.beyond + other.beyond,
            far.largest,
            far.place,
            self.squares + other.squares,
            self.squares_a + other.squares_a,
            self.squares_b + other.squares_b,
            self.product + other.product,
            self.flips + other.flips,
            self.zeros_gained + other.zeros_gained,
            self.zeros_lost + other.zeros_lost,
            self.nans_a + other.nans_a,
            self.nans_b + other.nans_b,
            self.hidden + other.hidden,
        )

    @property
    def rms(self) -> float:
        """Root of the mean of (a - b)² over the pairs of finite values."""
        return math.sqrt(self.squares / self.finite) if self.finite else 0.0

    @property
    def relative(self) -> float:
        """||a - b|| / ||a||; infinite where a is zero and b is not."""
        if self.squares == 0:
            return 0.0
        return math.sqrt(self.squares / self.squares_a) if self.squares_a else math.inf

    @property
    def cosine(self) -> float:
        """Cosine of the angle between a and b; NaN where one of them is zero."""
        norms = math.sqrt(self.squares_a) * math.sqrt(self.squares_b)
        return self.product / norms if norms else math.nan


def are_the_same_bytes(a: Array, b: Array) -> bool:
    """Returns whether two blocks, shape (n,), have one dtype and the same bytes."""
    if a.dtype != b.dtype:
        return False
    unit = np.uint64 if a.nbytes % 8 == 0 else np.uint8
    left, right = a.view(unit), b.view(unit)
    return all(bool((left[at : at + BLOCK] == right[at : at + BLOCK]).all()) for at in range(0, left.size, BLOCK))


def equal_blocks(a: Array) -> Distance:
    """Returns the distance between a block, shape (n,) and of any number type, and a block with the same bytes."""
    found = Distance(count=a.size)
    for at in range(0, a.size, BLOCK):
        values = a[at : at + BLOCK].astype(np.float64)
        with np.errstate(all="ignore"):  # squares of the largest float64 values
            squares = float(values @ values)
        nans, finite = 0, values.size
        if not math.isfinite(squares):
            is_finite = np.isfinite(values)
            nans, finite = int(np.isnan(values).sum()), int(np.count_nonzero(is_finite))
            squares = _dot(*2 * (np.where(is_finite, values, 0),))
        part = Distance(finite=finite, squares_a=squares, squares_b=squares, product=squares, nans_a=nans, nans_b=nans)
        found = found.merged(part)
    return found


def distance(a: Array, b: Array, start: int = 0, rtol: float = 0.0, atol: float = 0.0) -> Distance:
    """Returns the distance between two blocks.

    Args:
        a, b: the blocks, shape (n,), of any number types.
        start: index of the first value in the flat tensor.
        rtol, atol: tolerances, as in `Distance`.
    """
    found = Distance()
    for at in range(0, a.size, BLOCK):
        part = _of_part(a[at : at + BLOCK], b[at : at + BLOCK], start + at, rtol, atol)
        found = found.merged(part)
    return found


def _of_part(a: Array, b: Array, start: int, rtol: float, atol: float) -> Distance:
    x, y = a.astype(np.float64), b.astype(np.float64)
    apart = _is_whole_and_wide(a, b)
    with np.errstate(all="ignore"):  # what overflows is infinite, and says so itself
        gaps = _exact_gaps(a, b) if apart else x - y
        np.abs(gaps, out=gaps)
        sums = [float(gaps @ gaps), float(x @ x), float(y @ y), float(x @ y)]
    nans = [0, 0]
    is_nan, finite_pairs = None, a.size
    unequal = gaps != 0
    if not all(map(math.isfinite, sums)):
        x_nan, y_nan = np.isnan(x), np.isnan(y)
        is_nan = x_nan | y_nan
        nans = [int(np.count_nonzero(x_nan)), int(np.count_nonzero(y_nan))]
        gaps, unequal = np.where(np.isnan(gaps), 0, gaps), (x != y) & ~(x_nan & y_nan)
        finite = np.isfinite(x) & np.isfinite(y)
        finite_pairs = int(np.count_nonzero(finite))
        cut = [np.where(finite, values, 0) for values in (gaps, x, y)]
        sums = [_dot(cut[0], cut[0]), _dot(cut[1], cut[1]), _dot(cut[2], cut[2]), _dot(cut[1], cut[2])]
    changed = int(np.count_nonzero(unequal))
    place = int(np.argmax(gaps))
    largest = float(gaps[place])
    beyond = changed
    if rtol or atol:
        with np.errstate(all="ignore"):
            allowed = atol + rtol * np.where(np.isfinite(y), np.abs(y), 0)
            near = gaps <= allowed if is_nan is None else (gaps <= allowed) & ~is_nan
            beyond = int(np.count_nonzero(unequal & ~near))
    zeros_a, zeros_b = x == 0, y == 0
    count_a, count_b = int(np.count_nonzero(zeros_a)), int(np.count_nonzero(zeros_b))
    in_both = int(np.count_nonzero(zeros_a & zeros_b)) if count_a and count_b else 0
    unsigned = [zeros for zeros, count in ((zeros_a, count_a), (zeros_b, count_b)) if count]
    return Distance(
        count=a.size,
        finite=finite_pairs,
        changed=changed,
        beyond=beyond,
        largest=largest,
        place=start + place if largest else -1,
        squares=sums[0],
        squares_a=sums[1],
        squares_b=sums[2],
        product=sums[3],
        flips=_flips(x, y, [*unsigned, *([] if is_nan is None else [is_nan])]),
        zeros_gained=count_b - in_both,
        zeros_lost=count_a - in_both,
        nans_a=nans[0],
        nans_b=nans[1],
        hidden=_hidden(a, b, unequal) if in_both or any(nans) else 0,
    )


def _flips(x: Floats, y: Floats, unsigned: Sequence[Flags]) -> int:
    """Returns how many pairs have opposite signs; `unsigned` says which have none: those with a zero or a NaN."""
    opposed = (x < 0) != (y < 0)
    for each in unsigned:
        opposed &= ~each
    return int(np.count_nonzero(opposed))


def _dot(left: Floats, right: Floats) -> float:
    """Returns the inner product; infinite where it overflows."""
    with np.errstate(all="ignore"):
        return float(left @ right)


def _is_whole_and_wide(a: Array, b: Array) -> bool:
    """Returns whether the values are integers that float64 may round."""
    return a.dtype == b.dtype and a.dtype.kind in "iu" and a.dtype.itemsize == 8


def _exact_gaps(a: Array, b: Array) -> Floats:
    """Returns |a - b| of integers of 64 bits, rounded once: an odd and an even neighbour are not equal."""
    large, small = np.maximum(a, b).view(np.uint64), np.minimum(a, b).view(np.uint64)
    return (large - small).astype(np.float64)


def _hidden(a: Array, b: Array, unequal: Flags) -> int:
    """Returns how many values of one dtype are equal and have different bytes."""
    if a.dtype != b.dtype:
        return 0
    unit = np.dtype(f"u{a.dtype.itemsize}")
    return int(np.count_nonzero((a.view(unit) != b.view(unit)) & ~unequal))
