"""CRC-32C, the checksum of Castagnoli, in the masked form that tables of sorted strings store.

A CRC without its inversions is linear: of two pieces of data, it is that of the first piece followed by zeros, xor that
of the second piece. So many pieces of 256 bytes are computed at once, two bytes at a time, and joined in pairs.
Measured: about 300 MB a second, where a loop over bytes does 10.

Source: RFC 3720, appendix B.4; `masked` as in LevelDB, util/crc32c.h.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

POLYNOMIAL = 0x82F63B78
"""Of Castagnoli, with the bits in reverse order."""

PIECE = 256
"""Bytes of a piece; a power of two."""

MOST_PIECES = 4096
"""Pieces that are computed at once; a power of two."""

_ONES, _MASK = 0xFFFFFFFF, 0xA282EAD8


def masked(crc: int) -> int:
    """Returns the form in which a CRC is stored, so that data with CRCs in them can be checked as well."""
    return (((crc >> 15) | (crc << 17)) + _MASK) & _ONES


def crc32c(data: bytes | memoryview, running: int = 0) -> int:
    """Returns the CRC-32C of some bytes.

    Args:
        data: the bytes.
        running: the CRC of the bytes before them.
    """
    import numpy as np

    view = np.frombuffer(data, np.uint8)
    state, at = running ^ _ONES, 0
    while len(view) - at >= PIECE:
        count = min(MOST_PIECES, 1 << ((len(view) - at) // PIECE).bit_length() - 1)
        stop = at + count * PIECE
        state, at = _of_pieces(view[at:stop].reshape(count, PIECE), state), stop
    table = _bytes_table()
    for byte in view[at:].tolist():
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ _ONES


def _of_pieces(pieces: Array, state: int) -> int:
    """Returns the state after some pieces; their number is a power of two."""
    import numpy as np

    pairs = np.ascontiguousarray(pieces.view("<u2").T)
    states = np.zeros(len(pieces), np.uint32)
    states[0] = state
    table = _pairs_table()
    for pair in pairs:
        states = table[(states & 0xFFFF) ^ pair] ^ (states >> 16)
    level = 0
    while len(states) > 1:
        states = _moved(states[::2], _behind(level)) ^ states[1::2]
        level += 1
    return int(states[0])


@cache
def _bytes_table() -> list[int]:
    """Returns the state after one byte, of each state below 256."""
    table = []
    for state in range(256):
        for _ in range(8):
            state = (state >> 1) ^ (POLYNOMIAL if state & 1 else 0)
        table.append(state)
    return table


@cache
def _pairs_table() -> Array:
    """Returns the state after two bytes, of each state below 65,536."""
    import numpy as np

    table = np.array(_bytes_table(), np.uint32)
    states = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(2):
        states = table[states & 0xFF] ^ (states >> 8)
    return states


@cache
def _behind(level: int) -> Array:
    """Returns the states after `PIECE` * 2**level zero bytes, of the values of each byte of a state; shape (4, 256)."""
    import numpy as np

    if level > 0:
        before = _behind(level - 1)
        return _moved(before, before)
    table = np.array(_bytes_table(), np.uint32)
    states: Array = np.arange(256, dtype=np.uint32)[None, :] << np.array([[0], [8], [16], [24]], np.uint32)
    for _ in range(PIECE):
        states = table[states & 0xFF] ^ (states >> 8)
    return states


def _moved(states: Array, tables: Array) -> Array:
    """Returns the states after the zero bytes for which there are tables."""
    low, second, third, high = tables
    found: Array = low[states & 0xFF] ^ second[(states >> 8) & 0xFF] ^ third[(states >> 16) & 0xFF] ^ high[states >> 24]
    return found
