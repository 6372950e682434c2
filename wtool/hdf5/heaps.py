"""HDF5's two old heaps: one per group for the names of its links, and global ones for variable-length strings."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from wtool.errors import Refused
from wtool.hdf5.limits import MAX_NAMES
from wtool.hdf5.metadata import Metadata

LOCAL = Struct("<4sB3xQQQ")
GLOBAL = Struct("<4sB3xQ")
OBJECT = Struct("<HH4xQ")


def read_local_heap(metadata: Metadata, address: int) -> bytes:
    """Returns the data segment of the local heap at `address`.

    Raises:
        Refused: the heap is damaged or too large.
    """
    signature, version, size, free, start = LOCAL.unpack(metadata.at(address, LOCAL.size))
    if signature != b"HEAP" or version or free >= max(size, 2):
        raise Refused("damaged: the heap of its names")
    if size > MAX_NAMES:
        raise Refused(f"the names in it take more than {MAX_NAMES >> 20} MiB")
    metadata.claim(address, LOCAL.size)
    metadata.claim(start, size)
    return metadata.at(start, size)


class GlobalHeaps:
    """The file's global heap collections, each read once.

    Args:
        metadata: of the file.
        spend: counts bytes against the limit for all attributes; raises `Refused`.
    """

    def __init__(self, metadata: Metadata, spend: Callable[[int], None]) -> None:
        self._metadata = metadata
        self._spend = spend
        self._collections: dict[int, tuple[bytes, dict[int, tuple[int, int]]]] = {}

    def fetch(self, length: int, address: int, number: int) -> bytes:
        """Returns the string of `length` bytes that is object `number` of the collection at `address`.

        Raises:
            Refused: there is no such string, or all strings together are too long.
        """
        if not length:
            return b""
        self._spend(length)
        data, places = self._collections.get(address) or self._load(address)
        start, stop = places.get(number, (0, 0))
        if start + length > stop:
            raise Refused("damaged: the text of an attribute is not where it should be")
        return data[start : start + length]

    def _load(self, address: int) -> tuple[bytes, dict[int, tuple[int, int]]]:
        signature, version, size = GLOBAL.unpack(self._metadata.at(address, GLOBAL.size))
        if signature != b"GCOL" or version != 1 or size < GLOBAL.size:
            raise Refused("damaged: the heap of its attributes' texts")
        self._spend(size)
        self._metadata.claim(address, size)
        data = self._metadata.at(address, size)
        self._collections[address] = data, _objects(data)
        return self._collections[address]


def _objects(data: bytes) -> dict[int, tuple[int, int]]:
    """Returns number -> (start, stop) of each object in a heap collection. Object 0 is the free space at the end."""
    places: dict[int, tuple[int, int]] = {}
    position = GLOBAL.size
    while position + OBJECT.size <= len(data):
        number, _references, size = OBJECT.unpack_from(data, position)
        if not number:
            break
        start = position + OBJECT.size
        position = start + -(-size // 8) * 8
        if number in places or start + size > len(data):
            raise Refused("damaged: the heap of its attributes' texts")
        places[number] = start, start + size
    return places
