"""Bytes of one open file: read by position, and checked and hashed in one pass on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import TypeAlias

from blake3 import blake3
from isal import isal_zlib

from wtool.errors import Refused
from wtool.io.stored import LocalFile, Stored
from wtool.values import dataclass

STREAM_BLOCK = 1 << 20  # large enough to amortise a system call, small enough to stay in the L2 cache


_scratch = threading.local()  # fresh memory costs a page fault every 4 KiB


def scratch(count: int) -> memoryview:
    """Returns at most `STREAM_BLOCK` bytes of memory to read into, valid until this thread asks again."""
    if not hasattr(_scratch, "space"):
        _scratch.space = bytearray(STREAM_BLOCK)
    return memoryview(_scratch.space)[: min(count, STREAM_BLOCK)]


Update: TypeAlias = Callable[[memoryview, int], int]


@dataclass(slots=True)
class Checksum:
    """A checksum that a range of a file's bytes must have.

    Attributes:
        start: offset of the first byte.
        stop: offset behind the last byte.
        expected: the checksum that the bytes must have.
        what: names the bytes in the error.
        update: gives the checksum of some bytes, which follow others whose checksum is known.
        running: the checksum of the bytes that were seen so far.
    """

    start: int
    stop: int
    expected: int
    what: str
    update: Update
    running: int = 0


@dataclass(slots=True, eq=False)
class Look:
    """Bytes of a file that somebody wants to see when a pass comes by.

    Attributes:
        start: offset of the first byte.
        count: number of bytes.
        judge: gets the bytes; raises `Refused`.
        seen: the first of the bytes, as far as the pass came.
    """

    start: int
    count: int
    judge: Callable[[bytes], None]
    seen: bytearray = field(default_factory=bytearray)


class Source:
    """An open file, read by position only, so that threads may share it.

    `take` reads like `read_into` and also feeds the file's content hash and checksums. These need every byte once and
    in file order: bytes that the caller skipped are read for them first, and bytes that were seen before are not fed
    again. One thread at a time may call `take` and `finish`.

    Args:
        file: the open file, owned by this object from now on; or an open descriptor of one.
        name: what the user calls the file.

    Attributes:
        size: of the file when it was opened, in bytes.
        stamp: what tells the file and its content from others when it was opened (see `stamp_of`).
        identity: what is equal for two names of one file.

    Raises:
        Refused: the descriptor is not one of a regular file.
    """

    def __init__(self, file: int | Stored, name: str) -> None:
        self._file: Stored = LocalFile(file, name) if isinstance(file, int) else file
        self.name = name
        self.size, self.stamp, self.identity = self._file.size, self._file.stamp, self._file.identity
        self._hash: blake3 | None = blake3()
        self._position = 0
        self._checksums: list[Checksum] = []
        self._looks: list[Look] = []
        self._reached = 0  # how many checksums end before the position

    @property
    def has_checksums(self) -> bool:
        """Whether `finish` has any checksum to compare."""
        return bool(self._checksums)

    def read(self, offset: int, count: int) -> bytes:
        """Returns exactly `count` bytes from `offset`.

        Raises:
            Refused: the file ends before them.
        """
        # One call serves nearly all reads; the buffer below is filled in several, and knows what went wrong.
        data = self._file.read(offset, count) if offset >= 0 and offset + count <= self.size else b""
        if len(data) == count:
            return data
        buffer = bytearray(count)  # a short read, or a read of more than 2 GiB
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill `view` with the bytes from `offset`.

        Raises:
            Refused: the file ends before them, or became shorter since it was opened.
        """
        if offset < 0 or offset + len(view) > self.size:
            raise Refused(f"damaged or cut short: bytes {offset} to {offset + len(view)} of {self.size}", self.name)
        done = 0
        while done < len(view):
            count = self._file.read_into(offset + done, view[done:])
            if count == 0:
                raise Refused("became shorter while it was being read", self.name)
            done += count

    def expect(self, start: int, stop: int, crc: int, what: str, update: Update = isal_zlib.crc32) -> None:
        """Have `finish` refuse the file unless the bytes [start, stop) have this checksum.

        Callers name ranges in file order and without overlaps, so that each byte feeds at most one checksum.

        Args:
            start: offset of the first byte.
            stop: offset behind the last byte.
            crc: the checksum that they must have.
            what: names the bytes in the error.
            update: gives the checksum of bytes behind others; CRC-32 by default.
        """
        assert not self._checksums or self._checksums[-1].stop <= start
        self._checksums.append(Checksum(start, stop, crc, what, update))

    def take(self, offset: int, view: memoryview) -> None:
        """Read like `read_into`, and feed the content hash and the checksums with all bytes up to the end of `view`."""
        self._catch_up(offset)
        self.read_into(offset, view)
        if offset + len(view) > self._position:
            self._feed(view[self._position - offset :])

    def leave_out_hash(self) -> None:
        """Feed checksums alone from now on: hashing costs three times as much. `verify` ends the pass, not `finish`."""
        self._hash = None

    def finish(self) -> str:
        """Read and verify the rest of the file; returns its content hash, `blake3:` and 64 hexadecimal digits.

        Raises:
            Refused: see `verify`.
        """
        self._catch_up(self.size)
        self.verify()
        assert self._hash is not None
        return f"blake3:{self._hash.hexdigest()}"

    def verify(self) -> None:
        """Read what the checksums still need, and compare them.

        Raises:
            Refused: a checksum is wrong, or the file changed since it was opened.
        """
        if self._checksums:
            self._catch_up(self._checksums[-1].stop)
        self._look_later()
        for checksum in self._checksums:
            if checksum.running != checksum.expected:
                raise Refused(f"damaged: the file's checksum of {checksum.what} does not match its bytes", self.name)
        self.refuse_changed()

    def _look_later(self) -> None:
        """Do the looks that waited; those bytes that no pass came by are asked for."""
        missing = [each for each in self._looks if len(each.seen) < each.count]
        self._file.prefetch([(each.start, each.start + each.count) for each in missing])
        for each in self._looks:
            each.judge(self.read(each.start, each.count) if each in missing else bytes(each.seen))

    def refuse_changed(self) -> None:
        """Raise Refused if the file changed since it was opened."""
        if self._file.is_changed():
            raise Refused("changed while it was being read; nothing was written, run the command again", self.name)

    def _catch_up(self, offset: int) -> None:
        """Feed the hash and the checksums with the bytes before `offset` that were not read yet."""
        if self._position >= offset:
            return
        buffer = scratch(offset - self._position)
        while self._position < offset:
            view = buffer[: min(len(buffer), offset - self._position)]
            self.read_into(self._position, view)
            self._feed(view)

    def _feed(self, view: memoryview) -> None:
        """Take the bytes at `_position` into the hash, and into the checksums whose ranges they touch."""
        if self._hash is not None:
            self._hash.update(view)
        start, stop = self._position, self._position + len(view)
        for look in self._looks:
            look.seen += view[max(0, look.start - start) : max(0, look.start + look.count - start)]
        while self._reached < len(self._checksums):
            checksum = self._checksums[self._reached]
            low, high = max(start, checksum.start), min(stop, checksum.stop)
            if low < high:
                checksum.running = checksum.update(view[low - start : high - start], checksum.running)
            if stop < checksum.stop:
                break
            self._reached += 1
        self._position = stop

    def has(self, offset: int, count: int) -> bool:
        """Returns whether some bytes of the file are at hand, so that reading them takes no request; True of a file
        on this machine."""
        return self._file.has(offset, count)

    def look(self, start: int, count: int, judge: Callable[[bytes], None]) -> None:
        """Have a function see the bytes of a file, and refuse the file where it must.

        Where it would take a request to have the bytes, the function sees them when a pass comes by, or when `verify`
        is called.

        Args:
            start: offset of the first byte.
            count: number of bytes, all of which are in the file.
            judge: gets the bytes; raises `Refused`.
        """
        if self._file.has(start, count):
            judge(self.read(start, count))
        else:
            self._looks.append(Look(start, count, judge))

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have the bytes of these ranges (start, stop) at hand, since they are read soon; all at once from a store."""
        self._file.prefetch(ranges)

    def is_replaced(self) -> bool:
        """Returns whether another file has the name of this one by now, or none has."""
        return self._file.is_replaced(self.name)

    def descriptor(self) -> int:
        """Returns a descriptor with all bytes of the file; a file elsewhere is fetched whole for it."""
        return self._file.descriptor()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a file: `size` bytes of `source` from `start` (the whole file, or a stored member of an archive)."""

    source: Source
    start: int
    size: int

    def read(self, offset: int, count: int) -> bytes:
        """Returns exactly `count` bytes from `offset` of the region.

        Raises:
            Refused: the region ends before them.
        """
        if offset < 0 or offset + count > self.size:
            raise Refused(f"damaged: bytes {offset} to {offset + count} of {self.size} are asked for", self.source.name)
        return self.source.read(self.start + offset, count)

    def has(self, offset: int, count: int) -> bool:
        """Returns whether some bytes are at hand, so that reading them takes no request."""
        return self.source.has(self.start + offset, count)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have the bytes of these ranges (start, stop) at hand, since they are read soon."""
        self.source.prefetch((self.start + start, self.start + stop) for start, stop in ranges)


def copy(source: Source, start: int, stop: int, write: Callable[[memoryview], object]) -> None:
    """Hand the bytes [start, stop) of `source` to `write`, block by block; an empty range writes nothing."""
    if start >= stop:
        return
    buffer = scratch(stop - start)
    while start < stop:
        view = buffer[: min(len(buffer), stop - start)]
        source.read_into(start, view)
        write(view)
        start += len(view)
