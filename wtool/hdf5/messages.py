"""Messages in HDF5 object headers: how a header is cut into messages, and what those of shape and place say.

An object (a group or a dataset) is a header, a list of messages, each of one kind. Messages of datatypes are read in
`datatypes`, those of attributes in `attribute_reader`.

Source: HDF5 File Format Specification 3.0, sections IV.A.1 (object headers) and IV.A.2 (messages).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct, unpack_from
from typing import NamedTuple

from wtool.errors import Reaches, Refused
from wtool.hdf5.limits import MAX_RANK
from wtool.hdf5.metadata import UNDEFINED, Metadata, NotPlain, amount

DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, SYMBOL_TABLE = 0x01, 0x03, 0x08, 0x0B, 0x0C, 0x11
SHARED = 2
_CONTINUATION = 0x10
_USED = {DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, SYMBOL_TABLE, _CONTINUATION}
_EXTERNAL, _DRIVER = 0x07, 0x14
_HARMLESS = {0x04, 0x05, 0x0D, 0x0E, 0x12, 0x16}  # fill values, comment, times, number of hard links
_NOT_PLAIN = {
    0x02: "new-style groups",
    0x06: "new-style groups",
    0x0A: "new-style groups",
    0x0F: "shared messages",
    0x13: "its own B-tree sizes",
    0x15: "densely stored attributes",
}

PREFIX = Struct("<BxHII4x")
MESSAGE = Struct("<HHB3x")
PAIR = Struct("<QQ")


class Message(NamedTuple):
    """One message of an object header; `start` and `stop` are where it stands, its own 8-byte header included."""

    kind: int
    flags: int
    body: bytes
    start: int
    stop: int


# --- object headers ---


def read_messages(metadata: Metadata, address: int) -> list[Message]:
    """Returns all messages of the object header (version 1) at `address`.

    Raises:
        Refused: the header is damaged.
        NotPlain: the header is of version 2, or holds messages that plain files do not have.
    """
    version, count, _references, length = PREFIX.unpack(metadata.at(address, 16))
    if version != 1:
        if metadata.at(address, 4) == b"OHDR":
            raise NotPlain("object headers of version 2")
        raise Refused("damaged: there is no object header where one should be")
    metadata.claim(address, 16 + length)
    # A header may continue in other blocks; the loop appends each continuation to the list that it goes through. A
    # header whose blocks lead back to each other ends at `claim`, which lets nobody own the same bytes twice.
    blocks, messages, seen = [(address + 16, length)], [], 0
    for start, size in blocks:
        for message in _split(metadata.at(start, size), start):
            seen += 1
            if seen > count:
                raise Refused("damaged: an object header holds more than it says")
            if message.kind == _CONTINUATION:
                offset, more = PAIR.unpack_from(message.body)
                metadata.claim(offset, more)
                blocks.append((offset, more))
            messages.append(message)
    if seen != count:
        raise Refused("damaged: an object header holds less than it says")
    return messages


def _split(block: bytes, address: int) -> Iterator[Message]:
    position, end = 0, len(block)
    while position + 8 <= end:
        kind, size, flags = MESSAGE.unpack_from(block, position)
        stop = position + 8 + size
        if stop > end:
            raise Refused("damaged: a message leaves its object header")
        if kind:
            if kind not in _USED:
                _check_kind(kind)
            yield Message(kind, flags, block[position + 8 : stop], address + position, address + stop)
        else:
            yield Message(0, 0, b"", address + position, address + stop)
        position = stop
    if position != end:
        raise Refused("damaged: an object header does not end where it says")


def _check_kind(kind: int) -> None:
    if kind == _EXTERNAL:
        raise Reaches("keeps its values in another file (external storage)")
    if kind == _DRIVER:
        raise Reaches("is one part of a set of files (a driver information message)")
    if kind in _NOT_PLAIN:
        raise NotPlain(_NOT_PLAIN[kind])
    if kind not in _HARMLESS:
        raise NotPlain(f"unknown messages ({kind})")


# --- shapes ---


@lru_cache(maxsize=256)
def parse_shape(body: bytes) -> tuple[int, ...] | None:
    """Returns the shape that a dataspace message gives, or None for a null dataspace.

    Raises:
        Refused: the message is damaged.
    """
    version, rank, flags, kind = unpack_from("<BBBB", body)
    if version not in (1, 2) or rank > MAX_RANK:
        raise Refused(f"damaged: an array of {rank} dimensions" if rank > MAX_RANK else "damaged: a shape")
    if flags > 3 or (version == 2 and (kind > 2 or (kind != 1 and rank))):
        raise Refused("damaged: a shape")
    if version == 2 and kind == 2:
        return None
    start = 8 if version == 1 else 4
    shape: tuple[int, ...] = unpack_from(f"<{rank}Q", body, start)
    if flags & 1:
        most = unpack_from(f"<{rank}Q", body, start + 8 * rank)
        if any(n > m for n, m in zip(shape, most, strict=True)):
            raise Refused("damaged: a shape larger than its own limit")
    return shape


# --- places ---

NEVER_WRITTEN = "says {}, but the file holds {} of it: its values were never written"
"""Said of arrays that readers fill with zeros: nobody saves a model of values that were never written."""


def parse_layout(body: bytes, nbytes: int) -> int:
    """Returns the offset at which the `nbytes` of a contiguous dataset are stored, or 0 for no bytes.

    Raises:
        Refused: the message is damaged or contradicts shape and type, or the values were never written.
        NotPlain: the dataset is stored in another way.
    """
    version, second, third = body[0], body[1], body[2]
    if version not in (1, 2, 3, 4, 5):
        raise Refused("damaged: a data layout")
    kind = second if version >= 3 else third
    if kind == 3 and version >= 4:
        raise Reaches("takes its values from other datasets (a virtual dataset)")
    if kind != 1:
        if kind in (0, 2):
            raise NotPlain("compact datasets" if kind == 0 else "chunked datasets")
        raise Refused("damaged: a data layout")
    if version < 3:
        offset, stored = unpack_from("<Q", body, 8)[0], nbytes
    else:
        offset, stored = PAIR.unpack_from(body, 2)
    if offset == UNDEFINED:
        if nbytes:
            raise Refused(NEVER_WRITTEN.format(amount(nbytes), "none"))
        return 0
    if stored != nbytes:
        raise Refused(f"damaged: its shape takes {amount(nbytes)}, and {amount(stored)} are stored")
    return offset if nbytes else 0
