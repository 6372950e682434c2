"""Which tables of an HDF5 file will be read, level by level, for files in stores where each request takes long.

The tables of all objects of a level are asked for at once, so that a file takes a few rounds of requests, however many
objects it has. Nothing is judged here: what is wrong with a file is found by the strict reader afterwards, and what is
not announced is fetched when the strict reader wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error as StructError
from typing import Protocol, TypeVar

from wtool.errors import Refused
from wtool.hdf5.attribute_reader import parse_attribute
from wtool.hdf5.btree import Link, Table, read_entries, read_leaf, read_leaves
from wtool.hdf5.heaps import GlobalHeaps, read_local_heap
from wtool.hdf5.limits import MAX_ATTRIBUTES, MAX_OBJECTS, MAX_PATHS
from wtool.hdf5.messages import ATTRIBUTE, PAIR, SYMBOL_TABLE, Message, read_messages
from wtool.hdf5.metadata import Allowance, Metadata, NotPlain
from wtool.hdf5.reader import Superblock, read_superblock

MOST = 32 << 20
"""Bytes of tables that are announced. Tables of a thousand layers are about 5 MiB."""

Found = TypeVar("Found")


class Far(Protocol):
    """A file whose bytes are at hand in parts.

    Attributes:
        size: of the file, in bytes.
    """

    @property
    def size(self) -> int: ...

    def read(self, offset: int, count: int) -> bytes:
        """Returns exactly `count` bytes from `offset`."""

    def has(self, offset: int, count: int) -> bool:
        """Returns whether some bytes are at hand."""

    def prefetch(self, ranges: list[tuple[int, int]]) -> None:
        """Have the bytes of these ranges (start, stop) at hand."""


class _Absent(Exception):
    def __init__(self, start: int, stop: int) -> None:
        self.range = (start, stop)


class _AtHand(Metadata):
    """The metadata of a file, as far as they are at hand."""

    def __init__(self, file: Far) -> None:
        super().__init__(file.read, file.size)
        self._file = file
        # What is looked at again counts again.
        self.attributes = Allowance(MAX_ATTRIBUTES, "more attributes than are read ahead")
        self.names = Allowance(MAX_PATHS, "more names than are read ahead")
        self.heaps = GlobalHeaps(self, self.attributes.spend)

    def _fetch(self, offset: int, length: int) -> bytes:
        if not self._file.has(offset, length):
            raise _Absent(offset, offset + length)
        return super()._fetch(offset, length)

    def look(self, action: Callable[[], Found]) -> Found:
        """Returns what an action finds; it may claim bytes that another look has claimed."""
        self._claims.clear()
        return action()


def read_ahead(file: Far) -> None:
    """Have the tables of an HDF5 file at hand, as far as they can be told.

    Args:
        file: the HDF5 file, whose first bytes are at hand.
    """
    metadata = _AtHand(file)
    left = MOST
    try:
        superblock = read_superblock(metadata)
    except (_Absent, Refused, NotPlain, StructError):
        return
    waiting = [Link(b"", superblock.root, superblock.table)]
    seen = {superblock.root}
    while waiting and len(seen) <= MAX_OBJECTS:
        absent: list[tuple[int, int]] = []
        further: list[Link] = []
        for link in waiting:
            before = len(absent)
            children = _Object(metadata, superblock, link, absent).children()
            if len(absent) > before:
                further.append(link)
            for child in children:
                if child.address not in seen:
                    seen.add(child.address)
                    further.append(child)
        left -= sum(stop - start for start, stop in absent)
        if left < 0:
            return
        file.prefetch(absent)
        waiting = further


class _Object:
    """One object, whose tables are looked at as far as they are at hand; the ranges of all others are noted."""

    def __init__(self, metadata: _AtHand, superblock: Superblock, link: Link, absent: list[tuple[int, int]]) -> None:
        self._metadata = metadata
        self._superblock = superblock
        self._link = link
        self._absent = absent

    def children(self) -> list[Link]:
        """Returns the links of a group whose tables are all at hand, else none."""
        before = len(self._absent)
        messages = self._tried(lambda: read_messages(self._metadata, self._link.address)) or []
        for message in messages:
            if message.kind == ATTRIBUTE:
                self._look_at_attribute(message)
        tables = [
            PAIR.unpack_from(each.body) for each in messages if each.kind == SYMBOL_TABLE and len(each.body) == 16
        ]
        table = self._link.table or (Table(*tables[0]) if tables else None)
        if table is None:
            return []
        self._tried(lambda: read_local_heap(self._metadata, table.heap))
        leaves = self._tried(lambda: read_leaves(self._metadata, table.btree, self._superblock.internal)) or []
        for leaf in leaves:
            self._tried(lambda at=leaf: read_leaf(self._metadata, at, self._superblock.leaf))  # type: ignore[misc]
        if len(self._absent) > before:
            return []
        return self._tried(lambda: self._entries(table)) or []

    def _entries(self, table: Table) -> list[Link]:
        return read_entries(
            self._metadata, table, self._superblock.leaf, self._superblock.internal, self._metadata.names.spend
        )

    def _look_at_attribute(self, message: Message) -> None:
        metadata = self._metadata
        self._tried(lambda: parse_attribute(message.body, metadata.heaps.fetch, metadata.attributes.spend))

    def _tried(self, action: Callable[[], Found]) -> Found | None:
        try:
            return self._metadata.look(action)
        except _Absent as error:
            self._absent.append(error.range)
        except (Refused, NotPlain, StructError, ValueError, IndexError):
            pass  # the strict reader will say so
        return None
