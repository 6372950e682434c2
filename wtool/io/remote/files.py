"""Files in stores as bytes by position: what a reader jumps to is kept in blocks, and long reads are one request."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import accumulate

from wtool.errors import Missing
from wtool.io.addresses import without_query
from wtool.io.remote.faults import explained, is_refused_login
from wtool.io.remote.ranges import Range, Ranges, ranges_of
from wtool.io.remote.stores import Found, Store, store_of, told
from wtool.io.remote.streams import Stream, stream_of
from wtool.io.stored import LocalFile, Stamp, Stored
from wtool.io.system import write_all_at

HEAD = 128 << 10
"""Bytes from the start of a file that are fetched when it is opened: an archive's configuration, usually."""

TAIL = 128 << 10
"""Bytes of the end that are fetched with them: the directory of an archive is looked for in the last 64 KiB."""

SMALL = 2 << 20
"""Bytes of a file that is fetched whole when it is opened: the tables of so small a model are nearly everywhere."""

BLOCK = 16 << 10
"""Bytes that are kept together."""

BEFORE, BEHIND = 2, 2
"""Blocks that are fetched along with one: HDF5 puts tables of a layer and of the next ones side by side."""

GAP = 128 << 10
"""Bytes between two ranges that are fetched along: another request costs more."""

KEPT = 64 << 20
"""Bytes of blocks that are kept for all open files."""

COPIED = 4 << 20
"""Bytes of a local copy that are written at once."""

LONG = 256 << 10
"""Bytes from which on a read is no look at a table, and is not kept."""

NEAR = 1 << 20
"""Bytes behind the end of a read within which the next one is a part of the same pass."""


def opened(address: str) -> Stored:
    """Open a file at an address for reading.

    Raises:
        Missing: no file is there.
        WtoolError: the store refuses it, or cannot be reached.
    """
    store = store_of(address)
    try:
        with told(address):
            ranges = ranges_of(store)
            start = ranges.first(HEAD)
            if start is not None:
                return RemoteFile(store, ranges, start)
            return FetchedFile(store, ranges)
    except FileNotFoundError as error:
        if is_refused_login(error):  # a hub does not tell whether there is what it does not show
            raise explained(error, address) from None
        raise Missing(os.strerror(errno.ENOENT), without_query(address)) from None


def _stamp(store: Store, ranges: Ranges) -> Stamp:
    return Found(store.at(store.path), False, ranges.size, ranges.version).stamp


class FetchedFile(LocalFile):
    """An unnamed local copy of a file in a store that sends nothing but whole files (see `Stored`).

    Args:
        store: with the address.
        ranges: of the file, which has been fetched.
    """

    def __init__(self, store: Store, ranges: Ranges) -> None:
        super().__init__(ranges.fetched(), store.address)
        self.stamp = _stamp(store, ranges)
        self.identity = (store.address,)

    def is_changed(self) -> bool:
        """Returns False: the copy is of one answer, whatever happened to the file since."""
        return False

    def is_replaced(self, name: str) -> bool:
        """Returns True: who asks wants to know whether another look is worth it."""
        return True


class RemoteFile:
    """A file in a store that is read by ranges (see `Stored`).

    Args:
        store: with the address.
        ranges: of the file, whose size is known.
        start: the first bytes of the file.
    """

    def __init__(self, store: Store, ranges: Ranges, start: bytes) -> None:
        assert ranges.size is not None
        self.size = ranges.size
        self.stamp: Stamp = _stamp(store, ranges)
        self.identity: Stamp = (store.address,)
        self._address = store.address
        self._ranges = ranges
        self._blocks: set[int] = set()  # that were kept, some of which are forgotten by now
        self._stream: Stream | None = None
        self._last = -1  # where the last long read ended
        self._turn = threading.Lock()  # of the stream
        self._local: int | None = None
        self._keep(0, start)
        if self.size > len(start):
            self.prefetch([(0 if self.size <= SMALL else self.size - TAIL, self.size)])

    def read(self, offset: int, count: int) -> bytes:
        """Returns `count` bytes from `offset`, all of which are in the file."""
        if count >= LONG:
            buffer = bytearray(count)
            self.read_into(offset, memoryview(buffer))
            return bytes(buffer)
        first = offset // BLOCK
        at = offset - first * BLOCK
        block = _SHELF.get((self, first))
        if block is not None and at + count <= len(block):
            return block[at : at + count]
        self.prefetch([(offset, offset + count)])
        data = self._of_blocks(offset, count)
        return self._gather([(offset, offset + count)])[0] if data is None else data

    def _of_blocks(self, offset: int, count: int) -> bytes | None:
        """Returns some bytes that are at hand; None where they are not, or no longer."""
        first = offset // BLOCK
        blocks = [_SHELF.get((self, each)) for each in range(first, -(-(offset + count) // BLOCK))]
        if None in blocks:
            return None
        return b"".join(filter(None, blocks))[offset - first * BLOCK :][:count]

    def read_into(self, offset: int, view: memoryview) -> int:
        """Put bytes from `offset` into the view, or to the end of the file; returns how many."""
        view = view[: max(0, self.size - offset)]
        with self._turn:
            if self.has(offset, len(view)) and (data := self._of_blocks(offset, len(view))) is not None:
                view[:] = data  # and the pass goes on
                return len(view)
            if self._is_next(offset):
                self._pass_on(offset, view)
            else:
                view[:] = self._gather([(offset, offset + len(view))])[0]
            self._last = offset + len(view)
        return len(view)

    def _is_next(self, offset: int) -> bool:
        """Returns whether a read goes on where the pass, or the last request, ended: then it is part of a pass."""
        ends = (self._last,) if self._stream is None else (self._last, self._stream.position)
        return any(0 <= offset - end <= NEAR for end in ends)

    def _pass_on(self, offset: int, view: memoryview) -> None:
        """Fill a view from the stream, which passes over the bytes before `offset`."""
        stream = self._stream
        if stream is None or not 0 <= offset - stream.position <= NEAR:
            self._end_pass()
            self._forget()  # all bytes come again
            stream = self._stream = stream_of(self._ranges, offset, self.size)
        with told(self._address, is_open=True):
            if stream.position < offset:
                stream.fill(memoryview(bytearray(offset - stream.position)))
            stream.fill(view)
        if stream.position == self.size:
            self._end_pass()

    def _end_pass(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def has(self, offset: int, count: int) -> bool:
        """Returns whether some bytes are at hand."""
        blocks = range(offset // BLOCK, -(-(offset + count) // BLOCK))
        return len(blocks) <= len(self._blocks) and all(_SHELF.get((self, each)) is not None for each in blocks)

    def prefetch(self, ranges: Iterable[Range]) -> None:
        """Have the bytes of these ranges (start, stop) at hand: all that are missing are asked for at once."""
        wanted = list(ranges)
        missing = list(self._missing(wanted, BEFORE, BEHIND))
        if sum(stop - start for start, stop in missing) > KEPT // 2:  # they would not stay until they are read
            missing = list(self._missing(wanted, 0, 0))
            sizes = accumulate(stop - start for start, stop in missing)
            missing = [each for each, size in zip(missing, sizes, strict=True) if size <= KEPT // 2]
        if missing:
            for (start, _), data in zip(missing, self._gather(missing), strict=True):
                self._keep(start, data)

    def is_changed(self) -> bool:
        """Returns whether the file has other bytes by now than those that were read."""
        with told(self._address, is_open=True):
            return self._ranges.is_changed()

    def is_replaced(self, name: str) -> bool:
        """Returns whether the address has another file by now, or none."""
        try:
            with told(self._address):
                return self._ranges.is_replaced()
        except FileNotFoundError:
            return True

    def descriptor(self) -> int:
        """Returns a descriptor of an unnamed local copy, which is made once."""
        if self._local is None:
            with tempfile.TemporaryFile() as copy:
                buffer = memoryview(bytearray(min(COPIED, self.size)))
                for at in range(0, self.size, COPIED):
                    count = self.read_into(at, buffer)
                    write_all_at(copy.fileno(), buffer[:count], at)
                self._local = os.dup(copy.fileno())
        return self._local

    def close(self) -> None:
        """Forget all bytes; a second call does nothing."""
        self._forget()
        self._end_pass()
        if self._local is not None:
            os.close(self._local)
            self._local = None

    def _missing(self, ranges: Iterable[Range], before: int, behind: int) -> Iterator[Range]:
        """Yields the ranges of blocks that are not at hand, and of some before and behind them; near ones as one."""
        last = -(-self.size // BLOCK)
        wanted: set[int] = set()
        for start, stop in ranges:
            first, end = start // BLOCK, -(-stop // BLOCK)
            if any(_SHELF.get((self, block)) is None for block in range(first, end)):
                wanted.update(range(max(0, first - before), min(last, end + behind)))
        start = stop = -1
        for block in sorted(each for each in wanted if _SHELF.get((self, each)) is None):
            low, high = block * BLOCK, min((block + 1) * BLOCK, self.size)
            if start >= 0 and low - stop > GAP:
                yield start, stop
                start = -1
            start, stop = low if start < 0 else start, high
        if start >= 0:
            yield start, stop

    def _gather(self, ranges: list[Range]) -> list[bytes]:
        with told(self._address, is_open=True):
            return self._ranges.gather(ranges)

    def _keep(self, start: int, data: bytes) -> None:
        """Keep all whole blocks of some bytes, which begin with a block."""
        for at in range(0, len(data), BLOCK):
            block = data[at : at + BLOCK]
            if len(block) == BLOCK or start + at + len(block) == self.size:
                self._blocks.add((start + at) // BLOCK)
                _SHELF.put((self, (start + at) // BLOCK), block)

    def _forget(self) -> None:
        """Keep no blocks."""
        for block in self._blocks:
            _SHELF.drop((self, block))
        self._blocks.clear()


class _Shelf:
    """Blocks of all open files, of which the oldest are forgotten: hundreds of files may be open at the same time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[RemoteFile, int], bytes] = {}
        self._turn = threading.Lock()

    def get(self, key: tuple[RemoteFile, int]) -> bytes | None:
        """Returns a block, or None where it was forgotten."""
        return self._kept.get(key)

    def put(self, key: tuple[RemoteFile, int], block: bytes) -> None:
        """Keep a block."""
        with self._turn:
            self._kept[key] = block
            while len(self._kept) > KEPT // BLOCK:
                del self._kept[next(iter(self._kept))]

    def drop(self, key: tuple[RemoteFile, int]) -> None:
        """Forget a block, if it is kept."""
        with self._turn:
            self._kept.pop(key, None)


_SHELF = _Shelf()
