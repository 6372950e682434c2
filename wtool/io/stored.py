"""Open files as bytes by position, wherever they lie: what `Source` reads, and the files of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Protocol, TypeAlias

from wtool.errors import Refused
from wtool.io.system import read_at, read_into_at

Stamp: TypeAlias = tuple[object, ...]


def stamp_of(status: os.stat_result) -> Stamp:
    """Returns what tells a file and its content from others: device, inode, size, nanoseconds of the last change."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Stored(Protocol):
    """An open file as a store has it: bytes by position.

    Attributes:
        size: of the file when it was opened, in bytes.
        stamp: what tells the file and its content from others when it was opened.
        identity: what is equal for two names of one file.
    """

    size: int
    stamp: Stamp
    identity: Stamp

    def read(self, offset: int, count: int) -> bytes:
        """Returns at most `count` bytes from `offset`, all of which are in the file; fewer where that is easier."""

    def read_into(self, offset: int, view: memoryview) -> int:
        """Put bytes from `offset` into the view; returns how many, 0 where the file ends."""

    def has(self, offset: int, count: int) -> bool:
        """Returns whether some bytes of the file are at hand, so that reading them takes no request."""

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have the bytes of these ranges (start, stop) at hand, since they are read soon."""

    def is_changed(self) -> bool:
        """Returns whether the open file changed since it was opened."""

    def is_replaced(self, name: str) -> bool:
        """Returns whether another file has the name by now, or none has."""

    def descriptor(self) -> int:
        """Returns a descriptor with all bytes of the file, which this object closes."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""


class LocalFile:
    """An open regular file (see `Stored`).

    Args:
        fd: an open descriptor, owned by this object from now on.
        name: what the user calls the file.

    Raises:
        Refused: the descriptor is not one of a regular file.
    """

    def __init__(self, fd: int, name: str) -> None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            folder = "a folder, where a single file is expected"
            other = "not a regular file; what comes through a pipe goes in as -"
            raise Refused(folder if stat.S_ISDIR(status.st_mode) else other, name)
        self.fd = fd
        self.size = status.st_size
        self.stamp: Stamp = stamp_of(status)
        self.identity: Stamp = (status.st_dev, status.st_ino)

    def read(self, offset: int, count: int) -> bytes:
        """Returns at most `count` bytes from `offset`; fewer of more than 2 GiB."""
        return read_at(self.fd, count, offset)

    def read_into(self, offset: int, view: memoryview) -> int:
        """Put bytes from `offset` into the view; returns how many, 0 where the file ends."""
        return read_into_at(self.fd, view, offset)

    def has(self, offset: int, count: int) -> bool:
        """Returns True."""
        return True

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Do nothing: the system reads ahead."""

    def is_changed(self) -> bool:
        """Returns whether the open file changed since it was opened."""
        return stamp_of(os.fstat(self.fd)) != self.stamp

    def is_replaced(self, name: str) -> bool:
        """Returns whether another file has the name by now, or none has."""
        try:
            return stamp_of(os.stat(name)) != self.stamp
        except OSError:
            return True

    def descriptor(self) -> int:
        """Returns the descriptor."""
        return self.fd

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
