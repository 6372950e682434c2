"""The arrays of a packed file, inflated into a file that holds nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from isal import isal_zlib

from wtool.errors import Refused
from wtool.hdf5.chunks import Place, Stored
from wtool.hdf5.metadata import shown
from wtool.hdf5.reader import Index
from wtool.io.source import STREAM_BLOCK
from wtool.io.system import write_all_at

_AT_ONCE = 64
"""Chunks that are inflated between two looks at what went wrong."""


def unpack(read: Callable[[int, int], bytes], index: Index, target: int) -> None:
    """Write the arrays of a packed file where the index says that they are.

    Args:
        read: gives exactly n bytes at an offset of the packed file.
        index: of the packed file.
        target: descriptor of an empty file, which is written by position.

    Raises:
        Refused: a chunk does not inflate to what the index says.
    """

    def write(job: tuple[str, Stored, Place, int]) -> None:
        path, stored, (offset, size, kept), position = job
        if not stored.chunk:
            for start in range(0, size, STREAM_BLOCK):
                write_all_at(target, read(offset + start, min(STREAM_BLOCK, size - start)), position + start)
            return
        data = inflated(read(offset, size), stored.chunk)
        if data is None:
            raise Refused(f"{shown(path)}: damaged: a chunk of it does not inflate")
        if stored.shuffled > 1:
            data = np.frombuffer(data, np.uint8).reshape(stored.shuffled, -1).T.tobytes()
        write_all_at(target, memoryview(data)[:kept], position)

    jobs = _jobs(index)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while batch := list(islice(jobs, _AT_ONCE)):
            for _ in pool.map(write, batch):
                pass


def _jobs(index: Index) -> Iterator[tuple[str, Stored, Place, int]]:
    """Yields each chunk, and where its values go."""
    for path, stored in index.stored.items():
        position = index.datasets[path].offset
        for place in stored.places:
            yield path, stored, place, position
            position += place[2]


def inflated(data: bytes, size: int) -> bytes | None:
    """Returns the `size` bytes of a zlib stream; None where it is damaged, or holds another number of bytes."""
    head = int.from_bytes(data[:2], "big")
    if head >> 8 & 15 != 8 or head >> 12 > 7 or head % 31 or head & 32:  # ISA-L looks at less of the header than zlib
        return None
    inflate = isal_zlib.decompressobj()
    try:
        found: bytes = inflate.decompress(data, size + 1)
    except isal_zlib.error:  # type: ignore[misc]
        return None
    return found if len(found) == size and inflate.eof and not inflate.unused_data else None
