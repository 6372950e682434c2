"""A part of an open file as a file object of its own, for libraries that want one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

from wtool.io.system import read_into_at, write_at


class Window(io.RawIOBase):
    """A part of an open file, read and written by position.

    Args:
        fd: descriptor of the open file, which stays the caller's.
        start: offset of the part in the file.
        size: of the part, in bytes; None for the whole file, which may then be written too.

    Attributes:
        error: number of the first error of the operating system; h5py would hide it.
    """

    def __init__(self, fd: int, start: int = 0, size: int | None = None) -> None:
        self._fd = fd
        self._start = start
        self._size = size
        self._position = 0
        self.error = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def writable(self) -> bool:
        """Returns whether the window is a whole file."""
        return self._size is None

    def _end(self) -> int:
        return os.fstat(self._fd).st_size if self._size is None else self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, which is returned."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end()}[whence]
        return self._position

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the bytes at the position, as far as there are bytes; returns how many were read."""
        view = memoryview(buffer).cast("B")
        done, most = 0, max(0, min(len(view), self._end() - self._position))
        while done < most:
            count = self._try(read_into_at, view[done:most], self._start + self._position)
            if not count:
                break
            done += count
            self._position += count
        return done

    def write(self, data: Any) -> int:
        """Write all of `data` at the position; returns how many bytes that were."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            count = self._try(write_at, view[done:], self._position)
            done += count
            self._position += count
        return done

    def truncate(self, size: int | None = None) -> int:
        """Make the file end at `size`, or at the position; returns the new size."""
        size = self._position if size is None else size
        self._try(os.ftruncate, size)
        return size

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(self._fd, *arguments)
        except OSError as error:
            self.error = self.error or error.errno or 5
            raise
