"""A copy of an open file in which some bytes are replaced, written from the first byte to the last."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from typing import BinaryIO

from isal import isal_zlib

from wtool.io.source import Region, copy
from wtool.io.system import begin_writing

WRITEBACK = 16 << 20
"""Bytes after which the disk is told to begin writing, so that the fsync at the end finds little left to do."""


class RegionCopy:
    """Writes a copy of a region, in file order, with some bytes replaced.

    Args:
        region: the bytes that are copied.
        file: the new file, at the place where the copy begins.
        seen: gets all bytes of the copy as they are written.

    Attributes:
        crc: the CRC-32 of the bytes that were written so far.
    """

    def __init__(self, region: Region, file: BinaryIO, seen: Callable[[bytes | memoryview], object]) -> None:
        self.crc = 0
        self._seen = seen
        self._region = region
        self._file = file
        self._position = 0
        self._unwritten = 0

    def replace(self, offset: int, data: bytes | memoryview) -> None:
        """Copy the bytes before `offset`, then write `data` in the place of the bytes from `offset` on."""
        self.copy_to(offset)
        self._write(data)
        self._position += len(data)

    def copy_to(self, offset: int) -> None:
        """Copy the bytes before `offset` that were not written yet."""
        start = self._region.start
        copy(self._region.source, start + self._position, start + offset, self._write)
        self._position = offset

    def copy_rest(self) -> None:
        """Copy the bytes up to the end of the region."""
        self.copy_to(self._region.size)

    def _write(self, data: bytes | memoryview) -> None:
        self.crc = isal_zlib.crc32(data, self.crc)
        self._seen(data)
        self._file.write(data)
        self._unwritten += len(data)
        if self._unwritten >= WRITEBACK:
            self._file.flush()
            with suppress(UnsupportedOperation):  # a file that goes to a store has no descriptor
                begin_writing(self._file.fileno())
            self._unwritten = 0
