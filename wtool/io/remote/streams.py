"""Bytes of files in stores one after the other: a whole pass is one request, which goes on where it broke off.

The system's buffers of the connection read ahead while the bytes before are worked on, so that nothing is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from wtool.io.remote.asking import Body
from wtool.io.remote.faults import Truncated, is_temporary
from wtool.io.remote.ranges import AskedRanges, Ranges
from wtool.io.remote.retrying import waits

CHUNK = 1 << 20
"""Bytes that are taken from a connection at once, at most."""

PROGRESS = 1 << 20
"""Bytes after which a request that breaks off has done well, and failures are counted from the start."""

PART = 4 << 20
"""Bytes of a request where a store knows only requests for ranges."""


class Stream(Protocol):
    """The bytes of a file from a position on.

    Attributes:
        position: offset of the next byte.
    """

    position: int

    def fill(self, view: memoryview) -> None:
        """Fill a view with the next bytes, all of which are in the file."""

    def close(self) -> None:
        """End the request."""


def stream_of(ranges: Ranges, position: int, size: int) -> Stream:
    """Returns the bytes of a file of `size` bytes from a position on."""
    if isinstance(ranges, AskedRanges):
        return AskedStream(ranges, position, size)
    return PartStream(ranges, position, size)


class AskedStream:
    """One request for all bytes from a position on (see `Stream`)."""

    def __init__(self, ranges: AskedRanges, position: int, size: int) -> None:
        self.position = position
        self._size = size
        self._ranges = ranges
        self._body: Body | None = None

    def fill(self, view: memoryview) -> None:
        """See `Stream`."""
        self._ranges.waited(lambda: self._filled(view))

    async def _filled(self, view: memoryview) -> None:
        start = well = self.position
        left = waits()
        while (done := self.position - start) < len(view):
            try:
                data = await self._next(len(view) - done)
                view[done : done + len(data)] = data
                self.position += len(data)
            except Exception as error:
                self._drop()
                if self.position - well >= PROGRESS:
                    well, left = self.position, waits()
                wait = next(left, None) if is_temporary(error) else None
                if wait is None:
                    raise
                await asyncio.sleep(wait)

    async def _next(self, most: int) -> bytes:
        if self._body is None:
            self._body = (await self._ranges.opened(self.position, self._size)).body
        data = await self._body.read(min(most, CHUNK))
        if not data:
            raise Truncated(f"the answer ends at byte {self.position} of {self._size}")
        return data

    def _drop(self) -> None:
        if self._body is not None:
            with contextlib.suppress(Exception):
                self._body.close()
            self._body = None

    def close(self) -> None:
        """See `Stream`."""
        if self._body is not None:

            async def dropped() -> None:
                self._drop()

            self._ranges.waited(dropped)


class PartStream:
    """A request for each part (see `Stream`)."""

    def __init__(self, ranges: Ranges, position: int, size: int) -> None:
        self.position = position
        self._size = size
        self._ranges = ranges
        self._part = memoryview(b"")

    def fill(self, view: memoryview) -> None:
        """See `Stream`."""
        done = 0
        while done < len(view):
            if not self._part:
                stop = min(self._size, self.position + max(PART, len(view) - done))
                self._part = memoryview(self._ranges.gather([(self.position, stop)])[0])
            count = min(len(view) - done, len(self._part))
            view[done : done + count] = self._part[:count]
            self._part = self._part[count:]
            self.position += count
            done += count

    def close(self) -> None:
        """See `Stream`."""
        self._part = memoryview(b"")
