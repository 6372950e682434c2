"""Arrays in `.npy` files: a strict reader that evaluates and unpickles nothing.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from math import prod

from wtool.errors import Refused, WtoolError
from wtool.io.addresses import without_query
from wtool.io.descriptor import source_of
from wtool.io.source import Source
from wtool.values import dataclass

MAGIC = b"\x93NUMPY"
LENGTHS = {1: 2, 2: 4, 3: 4}
"""Version of the format -> bytes of the number that tells the length of the header."""

MAX_HEADER = 1 << 16
MAX_RANK = 32

_HEADER = re.compile(
    r"\{ {0,9}'descr': {0,9}'(?P<dtype>[^']{0,40})', {0,9}'fortran_order': {0,9}(?P<order>True|False),"
    r" {0,9}'shape': {0,9}\((?P<shape>(?:\d{1,18}L?, {0,9})*(?:\d{1,18}L?)?)\) {0,9},? {0,9}\}\s*"
)
_NUMBERS = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248])")


@dataclass(frozen=True, slots=True, eq=False)
class NpyFile:
    """An open `.npy` file.

    Attributes:
        source: the open file.
        start: offset of the first value.
        shape: of the array.
        dtype: of the values, as NumPy writes it: the order of their bytes, their kind, their width (`<f4`).
    """

    source: Source
    start: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def width(self) -> int:
        """Bytes of a value."""
        return int(self.dtype[-1])

    def data(self, start: int, stop: int) -> bytes:
        """Returns the bytes of the values [start, stop) of the flat array."""
        return self.source.read(self.start + start * self.width, (stop - start) * self.width)


def open_npy(path: str, stack: ExitStack) -> NpyFile:
    """Open a `.npy` file, which the stack closes.

    Raises:
        Refused: the file holds no array of numbers in the order of C, or is damaged.
        WtoolError: the file cannot be read.
    """
    source = source_of(path, "file")
    stack.callback(source.close)
    try:
        return _opened(source)
    except WtoolError as error:
        raise error.about(without_query(path)) from None


def _opened(source: Source) -> NpyFile:
    head = source.read(0, min(source.size, 12))
    width = LENGTHS.get(head[6]) if len(head) == 12 and head.startswith(MAGIC) else None
    if width is None:
        raise Refused("is no .npy file; numpy.save writes one")
    length = int.from_bytes(head[8 : 8 + width], "little")
    start = 8 + width + length
    if length > MAX_HEADER or start > source.size:
        raise Refused("damaged: its header is longer than the file or than any header")
    found = _HEADER.fullmatch(source.read(8 + width, length).decode("latin-1"))
    if found is None or _NUMBERS.fullmatch(found["dtype"]) is None:
        told = f"holds {found['dtype']!r}" if found is not None else "its header tells no array of numbers"
        raise Refused(f"{told}: only plain arrays of whole numbers, floats or truth values are read")
    shape = tuple(int(each.strip().rstrip("L")) for each in found["shape"].split(",") if each.strip())
    file = NpyFile(source, start, shape, found["dtype"])
    if len(shape) > MAX_RANK or prod(shape) * file.width != source.size - start:
        raise Refused(f"damaged or cut short: {source.size - start} bytes of values for the shape {shape!s:.60}")
    if found["order"] == "True" and len(shape) > 1:
        raise Refused("its values are in the order of Fortran: save numpy.ascontiguousarray of the array")
    return file
