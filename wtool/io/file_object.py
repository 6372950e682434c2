"""File objects of paths and addresses, for code that reads small files from their first byte to their last."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from wtool.io.addresses import is_address
from wtool.io.descriptor import source_of
from wtool.io.source import Source


class SourceFile(io.RawIOBase):
    """A `Source` as a file object, which closes it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which is returned."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}
        self._position = max(0, offset + starts[whence])
        return self._position

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the bytes at the position, as far as there are bytes; returns how many were read."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._source.size - self._position))
        self._source.read_into(self._position, view[:count])
        self._position += count
        return count

    def close(self) -> None:
        """Close the source."""
        self._source.close()
        super().close()


def file_at(path: str) -> BinaryIO:
    """Returns a file that is open for reading; an address is read by ranges of a mebibyte.

    Raises:
        OSError: there is no such file, or it cannot be read.
        WtoolError: the same, of an address.
    """
    return io.BufferedReader(SourceFile(source_of(path)), 1 << 20) if is_address(path) else open(path, "rb")
