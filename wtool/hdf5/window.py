"""A part of an open file as a file of its own, for libraries that want a file object."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any


class Window(io.RawIOBase):
    """A part of an open file, as a file of its own, read and written by position.

    Attributes:
        error: number of the first operating system's error, which h5py would hide.
    """

    def __init__(self, fd: int, start: int = 0, size: int | None = None) -> None:
        self._fd = fd
        self._start = start
        self._size = size
        self._position = 0
        self.error = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """Whether it is a whole file."""
        return self._size is None

    def _end(self) -> int:
        return os.fstat(self._fd).st_size if self._size is None else self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end()}[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as there are bytes."""
        view = memoryview(buffer).cast("B")
        done, most = 0, max(0, min(len(view), self._end() - self._position))
        while done < most:
            count = self._try(os.preadv, [view[done:most]], self._start + self._position)
            if not count:
                break
            done += count
            self._position += count
        return done

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            count = self._try(os.pwrite, view[done:], self._position)
            done += count
            self._position += count
        return done

    def truncate(self, size: int | None = None) -> int:
        """Make the file end here."""
        size = self._position if size is None else size
        self._try(os.ftruncate, size)
        return size

    def flush(self) -> None:
        """Nothing is held back."""

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(self._fd, *arguments)
        except OSError as error:
            self.error = self.error or error.errno or 5
            raise
