"""One more text attribute for an HDF5 file, without writing the file anew.

The root group's object header is appended to the file once more, with the attribute in it, and the superblock is led to
the new header; the old header stays behind as unused bytes. So only two addresses of the old bytes change. Where a file
ends with what this module appended, for the same attribute, the new bytes take its place: a file does not grow with
each new value, and is the same as if it had got the last value alone.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, pack
from typing import NamedTuple

from wtool.errors import Refused
from wtool.hdf5.attribute_reader import attribute_parts
from wtool.hdf5.heaps import GLOBAL, OBJECT
from wtool.hdf5.messages import ATTRIBUTE, MESSAGE, PREFIX, read_messages
from wtool.hdf5.metadata import Metadata
from wtool.hdf5.reader import read_superblock

_TEXT_TYPE = bytes.fromhex("19 01 01 00 10 00 00 00  10 00 00 00 01 00 00 00 00 00 08 00")
"""Datatype message of a variable-length UTF-8 string, null-terminated in memory, as HDF5 itself writes it."""

_SCALAR = bytes.fromhex("01 00 00 00 00 00 00 00")
_REFERENCE = Struct("<IQI")
_LEAST_HEAP = 4096
"""Least size of a global heap in bytes: the HDF5 library reads this much of one before it knows the size."""


class _Header(NamedTuple):
    references: int
    messages: list[bytes]


def with_root_attribute(
    read: Callable[[int, int], bytes], size: int, name: str, text: str
) -> tuple[int, bytes, list[tuple[int, bytes]]]:
    """Returns the changes that give a file's root group the text attribute `name`, in place of an older one.

    Args:
        read: gives exactly n bytes at an offset of the file, or raises `Refused`.
        size: of the file, in bytes.
        name: of the attribute.
        text: the value, of any length and without null characters.

    Returns:
        How many bytes of the file stay, the bytes to append to these, and a list of (offset, bytes) that replace some
        of them. Lengths and offsets depend on the length of the text alone.

    Raises:
        Refused: the file is damaged.
        NotPlain: the file uses features of HDF5 that `read_index` does not know.
    """
    metadata = Metadata(read, size)
    superblock = read_superblock(metadata)
    header = _read_header(metadata, superblock.root, name)
    if len(header.messages) + 1 > 0xFFFF:
        raise Refused("its root group has too many attributes")
    stays = superblock.root if _is_appended(read, size, superblock.root, header, name) else size
    start = _aligned(stays)
    tail = bytes(start - stays) + _appended(start, header, name, text.encode())
    end_at, root_at = superblock.addresses + 16, superblock.addresses + 40
    return stays, tail, [(end_at, pack("<Q", stays + len(tail))), (root_at, pack("<Q", start))]


def _appended(start: int, header: _Header, name: str, text: bytes) -> bytes:
    """Returns the root group's header with the attribute, and the heap with the text of the attribute behind it."""
    body = _attribute(name, len(text), 0)  # its length does not depend on the heap's address
    length = sum(map(len, header.messages)) + len(body)
    if text:
        body = _attribute(name, len(text), start + PREFIX.size + length)
    prefix = PREFIX.pack(1, len(header.messages) + 1, header.references, length)
    return b"".join((prefix, *header.messages, body, _heap(text) if text else b""))


def _is_appended(read: Callable[[int, int], bytes], size: int, root: int, header: _Header, name: str) -> bool:
    """Returns whether the file ends with what `_appended` gave for some text, and the root group's header is there."""
    at = root + len(_appended(root, header, name, b""))
    if root != _aligned(root) or at + GLOBAL.size + OBJECT.size > size:
        return False
    _, _, length = OBJECT.unpack(read(at + GLOBAL.size, OBJECT.size))
    if not 0 < length <= size - at - GLOBAL.size - OBJECT.size:
        return False
    text = read(at + GLOBAL.size + OBJECT.size, length)
    return read(root, size - root) == _appended(root, header, name, text)


def _read_header(metadata: Metadata, address: int, name: str) -> _Header:
    """Returns the root group's messages without fillers, continuations and the attribute `name`."""
    _, _, references, _ = PREFIX.unpack(metadata.at(address, PREFIX.size))
    kept = []
    for message in read_messages(metadata, address):
        old = message.kind == ATTRIBUTE and attribute_parts(message.body)[0] == name
        if not old and message.kind not in (0, 0x10):
            kept.append(_message(message.kind, message.flags, message.body))
    return _Header(references, kept)


def _attribute(name: str, length: int, heap_at: int) -> bytes:
    raw = name.encode() + b"\0"
    parts = (
        pack("<BxHHH", 1, len(raw), len(_TEXT_TYPE), len(_SCALAR)),
        _padded(raw),
        _padded(_TEXT_TYPE),
        _SCALAR,
        _REFERENCE.pack(length, heap_at, 1 if heap_at else 0),
    )
    return _message(ATTRIBUTE, 0, b"".join(parts))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    body = _padded(body)
    return MESSAGE.pack(kind, len(body), flags) + body


def _heap(text: bytes) -> bytes:
    """Returns a global heap collection that holds the text as its object 1."""
    used = GLOBAL.size + OBJECT.size + _aligned(len(text))
    size = max(_LEAST_HEAP, used + OBJECT.size)
    free = OBJECT.pack(0, 0, size - used)
    return (GLOBAL.pack(b"GCOL", 1, size) + OBJECT.pack(1, 0, len(text)) + _padded(text) + free).ljust(size, b"\0")


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


def _padded(raw: bytes) -> bytes:
    return raw.ljust(_aligned(len(raw)), b"\0")
