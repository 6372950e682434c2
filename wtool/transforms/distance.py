"""How far two tensors are from each other: sums over pairs of values at the same position, block by block."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

BLOCK = 131_072  # values; more calls for smaller blocks cost more than what falls out of the L2 cache
ROW = 8_192  # values of an inner product: for more than 10,000, OpenBLAS starts threads, which get in the loop's way


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
    squares, finite, nans = 0.0, a.size, 0
    for at in range(0, a.size, BLOCK):
        values = a[at : at + BLOCK].astype(np.float64)
        part = _square_sum(values)
        if not math.isfinite(part):
            is_finite = np.isfinite(values)
            finite -= values.size - int(np.count_nonzero(is_finite))
            nans += int(np.count_nonzero(np.isnan(values)))
            part = _square_sum(np.where(is_finite, values, 0))
        squares += part
    found = Distance(count=a.size, finite=finite, nans_a=nans, nans_b=nans)
    return replace(found, squares_a=squares, squares_b=squares, product=squares)


def _square_sum(values: Floats) -> float:
    """Returns the sum of the squares; infinite where it overflows, NaN where a value is."""
    with np.errstate(all="ignore"):
        return sum(float(row @ row) for at in range(0, values.size, ROW) for row in [values[at : at + ROW]])


def distance(a: Array, b: Array, start: int = 0, rtol: float = 0.0, atol: float = 0.0) -> Distance:
    """Returns the distance between two blocks.

    Args:
        a, b: the blocks, shape (n,), of any number types.
        start: index of the first value in the flat tensor.
        rtol, atol: tolerances, as in `Distance`.
    """
    found = _of_finite(a, b, rtol, atol)
    if not math.isfinite(found.squares_a + found.squares_b):
        finite = np.isfinite(a) & np.isfinite(b)
        others = ~finite
        found = _placed(_of_finite(a[finite], b[finite], rtol, atol), np.flatnonzero(finite))
        found = found.merged(_placed(_of_others(a[others], b[others]), np.flatnonzero(others)))
    return found if found.place < 0 or not start else replace(found, place=start + found.place)


def _placed(found: Distance, places: NDArray[np.intp]) -> Distance:
    """Returns a distance over some pairs of two blocks; `places` are those of the pairs in the blocks."""
    return found if found.place < 0 else replace(found, place=int(places[found.place]))


def _of_finite(a: Array, b: Array, rtol: float, atol: float) -> Distance:
    """Returns the distance between two blocks of finite values; where some are not, nor are the sums of squares.

    The blocks are taken in parts that stay in the cache, and these in rows for the inner products.
    """
    row = max(1, min(a.size, ROW))
    work = np.empty((3, -(-min(a.size, BLOCK) // row), row))
    flat, lines, columns = work.reshape(3, -1), work[:, :, np.newaxis, :], work[:, :, :, np.newaxis]
    sums = np.zeros((4, work.shape[1], 1, 1))
    flags = np.empty((3, flat.shape[1]), np.bool_)
    counts: list[tuple[int, ...]] = []
    beyond, hidden, largest, place = 0, 0, 0.0, -1
    is_wide, is_quick = _is_whole_and_wide(a, b), _is_compared_quickly(a, b)
    with np.errstate(all="ignore"):  # what overflows is infinite, and says so itself
        for at in range(0, a.size, BLOCK):
            left, right = a[at : at + BLOCK], b[at : at + BLOCK]
            x, y, gaps = flat[:, : left.size]
            flat[:, left.size :] = 0
            np.copyto(x, left, "unsafe")
            np.copyto(y, right, "unsafe")
            np.subtract(x, y, out=gaps)
            np.abs(_exact_gaps(left, right) if is_wide else gaps, out=gaps)
            sums[:3] += np.matmul(lines, columns)
            sums[3] += np.matmul(lines[0], columns[1])
            farthest = int(gaps.argmax())
            if gaps[farthest] > largest:
                largest, place = float(gaps[farthest]), at + farthest
            if rtol or atol:
                beyond += int(np.count_nonzero(gaps > atol + rtol * np.abs(y)))
            one, other = (left, right) if is_quick else (x, y)
            counts.append(_counts(one, other, flags[:, : left.size]))
            if counts[-1][-1]:
                hidden += _hidden(left, right)
    changed, flips, zeros_a, zeros_b, in_both = map(sum, zip(*counts, strict=True)) if counts else [0] * 5
    squares_a, squares_b, squares, product = sums.sum(axis=(1, 2, 3)).tolist()
    return Distance(
        count=a.size,
        finite=a.size,
        changed=changed,
        beyond=beyond if rtol or atol else changed,
        largest=largest,
        place=place,
        squares=squares,
        squares_a=squares_a,
        squares_b=squares_b,
        product=product,
        flips=flips,
        zeros_gained=zeros_b - in_both,
        zeros_lost=zeros_a - in_both,
        hidden=hidden,
    )


def _counts(left: Array, right: Array, flags: Flags) -> tuple[int, int, int, int, int]:
    """Returns how many pairs are unequal, have opposite signs, a zero on the left, on the right, and on both sides.

    Args:
        left, right: finite values, shape (n,).
        flags: room for what is found, shape (3, n).
    """
    opposed, zeros_left, zeros_right = flags
    unequal = int(np.count_nonzero(np.not_equal(left, right, out=opposed)))
    np.less(left, 0, out=opposed)
    np.not_equal(opposed, np.less(right, 0, out=zeros_left), out=opposed)
    on_left = int(np.count_nonzero(np.equal(left, 0, out=zeros_left)))
    on_right = int(np.count_nonzero(np.equal(right, 0, out=zeros_right)))
    on_both = int(np.count_nonzero(zeros_left & zeros_right)) if on_left and on_right else 0
    if on_left or on_right:
        opposed &= ~(zeros_left | zeros_right)
    return unequal, int(np.count_nonzero(opposed)), on_left, on_right, on_both


def _of_others(a: Array, b: Array) -> Distance:
    """Returns the distance between two blocks with a value in each pair that is not finite."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    x_nan, y_nan = np.isnan(x), np.isnan(y)
    unequal = (x != y) & ~(x_nan & y_nan)
    apart = unequal & ~(x_nan | y_nan)  # infinitely
    changed = int(np.count_nonzero(unequal))
    return Distance(
        count=a.size,
        changed=changed,
        beyond=changed,
        largest=math.inf if apart.any() else 0.0,
        place=int(apart.argmax()) if apart.any() else -1,
        flips=int(np.count_nonzero(apart & (np.sign(x) == -np.sign(y)))),
        zeros_gained=int(np.count_nonzero(y == 0)),
        zeros_lost=int(np.count_nonzero(x == 0)),
        nans_a=int(np.count_nonzero(x_nan)),
        nans_b=int(np.count_nonzero(y_nan)),
        hidden=_hidden(a, b),
    )


def _is_compared_quickly(a: Array, b: Array) -> bool:
    """Returns whether NumPy compares values of the two as they are, exactly and no slower than in float64."""
    kind, size = a.dtype.kind, a.dtype.itemsize
    return a.dtype == b.dtype and (kind in "iu" or (kind == "f" and size in (4, 8)))


def _is_whole_and_wide(a: Array, b: Array) -> bool:
    """Returns whether the values are integers that float64 may round."""
    return a.dtype == b.dtype and a.dtype.kind in "iu" and a.dtype.itemsize == 8


def _exact_gaps(a: Array, b: Array) -> Floats:
    """Returns |a - b| of integers of 64 bits, rounded once: an odd and an even neighbour are not equal."""
    large, small = np.maximum(a, b).view(np.uint64), np.minimum(a, b).view(np.uint64)
    return (large - small).astype(np.float64)


def _hidden(a: Array, b: Array) -> int:
    """Returns how many values of one dtype are equal, or both NaN, and have different bytes."""
    if a.dtype != b.dtype:
        return 0
    unit = np.dtype(f"u{a.dtype.itemsize}")
    equal = (a == b) | ((a != a) & (b != b))
    return int(np.count_nonzero((a.view(unit) != b.view(unit)) & equal))
