"""Tables of sorted strings (SSTables) in LevelDB's format, read strictly: all keys with their values, in order.

A table is a sequence of blocks. The index block names the others. In a block, a key is stored as the number of first
bytes that it shares with the key before, and the other bytes. Compressed blocks are refused, since the tables beside
weights have none.

Source: doc/table_format.md of LevelDB.
"""

from __future__ import annotations

from collections.abc import Iterator

from wtool.errors import Refused
from wtool.io.crc32c import crc32c, masked
from wtool.io.limits import MAX_TABLE, MAX_TABLE_KEYS
from wtool.io.protobuf import NotProtobuf, varint
from wtool.io.source import Source

MAGIC = bytes.fromhex("57fb808b247547db")
"""The last bytes of a table."""

FOOTER = 48
"""Bytes of the footer: the places of the index and of an index of further blocks, zeros, and the magic bytes."""

_TRAILER = 5  # kind of compression and checksum, behind each block

Entry = tuple[bytes, bytes]


def is_sorted_table(source: Source) -> bool:
    """Returns whether a file ends like a table."""
    return source.size >= FOOTER and source.read(source.size - len(MAGIC), len(MAGIC)) == MAGIC


def read_table(source: Source) -> Iterator[Entry]:
    """Yields (key, value) of each entry of a table, in the order of the keys.

    Raises:
        Refused: the file is damaged, compressed, or asks for more than `MAX_TABLE` and `MAX_TABLE_KEYS`.
    """
    if source.size > MAX_TABLE:
        raise Refused(f"its table is {source.size:,} bytes long; the limit is {MAX_TABLE:,}", source.name)
    if not is_sorted_table(source):
        raise Refused("damaged or cut short: it does not end like a table of sorted strings", source.name)
    try:
        yield from _read(source)
    except NotProtobuf as error:
        raise Refused(f"damaged: its table has {error}", source.name) from None


def _read(source: Source) -> Iterator[Entry]:
    end = source.size - FOOTER
    footer = source.read(end, FOOTER - len(MAGIC))
    _, _, at = _place(footer, 0)
    start, size, at = _place(footer, at)
    if any(footer[at:]):
        raise Refused("damaged: its table has more in the footer than two places", source.name)
    before: bytes | None = None
    reached = taken = 0
    for last, place in _entries(_block(source, start, size, end), source):
        start, size, at = _place(place, 0)
        if start < reached or at < len(place):
            raise Refused("damaged: the blocks of its table overlap", source.name)
        reached = start + size
        for key, value in _entries(_block(source, start, size, end), source):
            taken += len(key)
            if (before is not None and key <= before) or key > last:
                raise Refused("damaged: the keys of its table are not sorted", source.name)
            if taken > MAX_TABLE_KEYS:
                raise Refused(f"the keys of its table take more than {MAX_TABLE_KEYS:,} bytes", source.name)
            before = key
            yield key, value


def _place(data: bytes, at: int) -> tuple[int, int, int]:
    """Returns offset and size of a block, and the offset behind these two numbers."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return start, size, at


def _block(source: Source, start: int, size: int, end: int) -> bytes:
    """Returns the contents of a block; `end` is where blocks have to end."""
    if start + size + _TRAILER > end:
        raise Refused("damaged: its table names a block outside the file", source.name)
    data = source.read(start, size + _TRAILER)
    if masked(crc32c(data[: size + 1])) != int.from_bytes(data[size + 1 :], "little"):
        raise Refused("damaged: the checksum of a block of its table does not match", source.name)
    if data[size]:
        raise Refused("the blocks of its table are compressed, which tables beside weights never are", source.name)
    return data[:size]


def _entries(block: bytes, source: Source) -> Iterator[Entry]:
    """Yields the entries of a block; numbers at its end say where keys are stored whole, which nobody needs here."""
    count = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * count
    if end < 0:
        raise Refused("damaged: a block of its table is too short", source.name)
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise Refused("damaged: an entry of its table leads out of its block", source.name)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size
