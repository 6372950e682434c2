"""Differences of arrays as bytes: the bits in which the values of two arrays differ, in the shorter of two codings.

XOR is its own inverse, so that the same bytes lead from the first array to the second and back, to the bit: also for
NaN and negative zero, and for any number type. Arrays are coded in chunks of `CHUNK` values, so that each chunk can be
decoded without the others.

    empty                       the chunk has no difference
    1, positions, bits          positions of the values that differ (two bytes each, ascending), and their bits
    2, a zlib stream            the bits of all values, the first bytes of all values first, then the second bytes, ...
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.streams import CHUNK, overlaps

SPARSE, DEFLATED = b"\x01", b"\x02"
LEVEL = 4
"""Of zlib: above it, the bits of trained weights take twice the time for a hundredth of the size."""

SURELY_SPARSE = 64
"""How many times smaller than its values the sparse code of a chunk is taken without a try of the other one."""


def as_bits(values: Array) -> Array:
    """Returns the values of an array as unsigned integers of their width, without a copy."""
    return values.view(np.dtype(f"u{values.dtype.itemsize}"))


def chunks(count: int) -> int:
    """Returns how many chunks an array of `count` values has."""
    return -(-count // CHUNK)


def encoded(bits: Array) -> bytes:
    """Returns the code of a chunk.

    Args:
        bits: which bits of each value differ: unsigned integers, shape (n,), with n up to `CHUNK`.
    """
    positions = np.flatnonzero(bits)
    if not len(positions):
        return b""
    sparse = SPARSE + positions.astype("<u2").tobytes() + bits[positions].tobytes()
    if len(sparse) <= bits.nbytes // SURELY_SPARSE:
        return sparse
    shuffled = bits.view(np.uint8).reshape(len(bits), -1).T.tobytes()
    deflated = DEFLATED + zlib.compress(shuffled, LEVEL)
    return min(sparse, deflated, key=len)


def decoded(code: bytes, count: int, width: int) -> Array:
    """Returns the bits of a chunk, shape (count,): unsigned integers of `width` bytes.

    Raises:
        Refused: the code is none, or is that of another number of values.
    """
    dtype = np.dtype(f"u{width}")
    if not code:
        return np.zeros(count, dtype)
    kind, data = code[:1], code[1:]
    if kind == SPARSE:
        return _of_positions(data, count, dtype)
    if kind == DEFLATED:
        return np.ascontiguousarray(_inflated(data, count * width).reshape(width, count).T).view(dtype).reshape(count)
    raise Refused(f"damaged: a difference has the unknown coding {kind[0]}")


def _of_positions(data: bytes, count: int, dtype: np.dtype[np.unsignedinteger]) -> Array:
    number, rest = divmod(len(data), 2 + dtype.itemsize)
    positions = np.frombuffer(data, "<u2", 0 if rest else number).astype(np.int64)
    if rest or not number or positions[-1] >= count or not (np.diff(positions) > 0).all():
        raise Refused("damaged: the positions of a difference are not in order, or are none of the tensor")
    bits = np.zeros(count, dtype)
    bits[positions] = np.frombuffer(data, dtype, number, 2 * number)
    return bits


def _inflated(data: bytes, size: int) -> Array:
    """Returns the bytes of a zlib stream, of which there must be `size`: no more than these are ever made."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise Refused(f"damaged: a difference is no zlib stream ({error})") from None
    if len(found) != size or not stream.eof or stream.unused_data:
        raise Refused(f"damaged: a difference does not inflate to the {size:,} bytes of its values")
    return np.frombuffer(found, np.uint8)


class Encoder:
    """Codes the differences of one tensor, which come in pieces of any length, in ascending order.

    Args:
        count: values of the tensor.
        width: bytes of a value.
        write: takes the code of each chunk.

    Attributes:
        sizes: bytes of the code of each chunk, shape (chunks,).
    """

    def __init__(self, count: int, width: int, write: Callable[[bytes], object]) -> None:
        self.sizes = np.zeros(chunks(count), np.uint64)
        self._count, self._width, self._write = count, width, write
        self._number, self._bits = -1, np.zeros(0, np.uint8)

    def add(self, start: int, bits: Array) -> None:
        """Take the bits of the values from `start` on; values that are skipped have no difference."""
        for number, low, high in overlaps(start, start + len(bits)):
            if number != self._number:
                self.finish()
                room = min(CHUNK, self._count - number * CHUNK)
                self._number, self._bits = number, np.zeros(room, np.dtype(f"u{self._width}"))
            first = number * CHUNK - start
            self._bits[low:high] = bits[first + low : first + high]

    def finish(self) -> None:
        """Write the last chunk."""
        if self._number >= 0:
            code = encoded(self._bits)
            self.sizes[self._number] = len(code)
            self._write(code)
