"""Bytes of an open file on their way to a new one, some of them replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

from isal import isal_zlib

from wtool.io.source import Region, copy

WRITEBACK = 16 << 20  # bytes after which the disk may begin: the fsync at the end then finds little left to do


class Stream:
    """The bytes of a plain HDF5 file on their way to a new one; `crc` is their checksum, `seen` gets them."""

    def __init__(self, region: Region, file: BinaryIO, seen: Callable[[bytes | memoryview], object]) -> None:
        self.crc = 0
        self._seen = seen
        self._region = region
        self._file = file
        self._position = 0
        self._unwritten = 0

    def replace(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` where the bytes from `offset` on are, after all that comes before them."""
        self.copy_to(offset)
        self._write(data)
        self._position += len(data)

    def copy_to(self, offset: int) -> None:
        """Copy all that comes before `offset`."""
        start = self._region.start
        copy(self._region.source, start + self._position, start + offset, self._write)
        self._position = offset

    def copy_rest(self) -> None:
        """Copy all that is left."""
        self.copy_to(self._region.size)

    def _write(self, data: bytes | memoryview) -> None:
        self.crc = isal_zlib.crc32(data, self.crc)
        self._seen(data)
        self._file.write(data)
        self._unwritten += len(data)
        if self._unwritten >= WRITEBACK and hasattr(os, "posix_fadvise"):
            self._file.flush()
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self._unwritten = 0
