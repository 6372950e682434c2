"""Packed HDF5 files: arrays in deflated chunks, which stock HDF5 libraries read; and plain files of the same content.

zlib deflates, at level 4: it has kept its streams from version to version. ISA-L and zlib-ng, which choose their
code by the processor, promise nothing of the kind.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from wtool.hdf5.chunks import CHILDREN, Coordinates, node_size, rows
from wtool.hdf5.reader import Dataset, Value
from wtool.hdf5.writer import Deflated, Room, write_skeleton
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO
from wtool.io.source import STREAM_BLOCK
from wtool.values import dataclass

LEVEL = 4
"""Of deflate: higher levels take several times as long, and save some hundredths."""

CHUNK = 128 << 10
"""The most bytes of a chunk."""

SMALLEST = 1024
"""Bytes of an array below which nothing is saved."""

MOST_ZEROS = 0.2
"""Share of zeros above which shuffling makes an array larger: measured with normal values (docs/reference/pack.md)."""

_AT_ONCE = 64
"""Chunks that are read before they are deflated, by several threads."""

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A deflated array in a temporary file: where the file has it, and the sizes of the chunks."""

    chunk: Coordinates
    is_shuffled: bool
    start: int
    sizes: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return sum(self.sizes)


def write_file(
    file: BinaryIO,
    groups: Mapping[str, Mapping[str, Value]],
    datasets: Mapping[str, Dataset],
    read: Read,
    is_packed: bool,
) -> None:
    """Write an HDF5 file of arrays whose values are elsewhere.

    Args:
        file: empty, open for reading and writing.
        groups: path -> attributes; the root is "".
        datasets: path -> array, with the offset that `read` takes.
        read: gives exactly n bytes of the values at an offset.
        is_packed: deflate the arrays that become smaller so.

    Raises:
        Refused: an array has a dtype that no weight has.
    """
    datasets = in_file_order(datasets)
    with TemporaryFile() as spool, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        kept = _deflated(datasets, read, spool, pool) if is_packed else {}
        rooms = {
            path: Room(each.shape, each.dtype, each.attributes, _room(spool, each, kept.get(path)))
            for path, each in datasets.items()
        }
        offsets = write_skeleton(file, groups, rooms)
    for path, offset in offsets.items():
        start, nbytes = datasets[path].offset, datasets[path].nbytes
        for at in range(0, nbytes, STREAM_BLOCK):
            file.seek(offset + at)
            file.write(read(start + at, min(STREAM_BLOCK, nbytes - at)))
    file.flush()


def in_file_order(datasets: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Returns arrays in the order of their bytes: in weights alone, that order tells the order of the layers."""
    return dict(sorted(datasets.items(), key=lambda each: each[1].offset))


def chunk_of(shape: Sequence[int], element: int) -> Coordinates:
    """Returns the shape of chunks of whole rows, of at most `CHUNK` bytes.

    Args:
        shape: of the array.
        element: bytes of a value.
    """
    chunk, nbytes = [1] * len(shape), element
    for axis in reversed(range(len(shape))):
        chunk[axis] = max(1, min(shape[axis], CHUNK // nbytes))
        nbytes *= chunk[axis]
        if chunk[axis] < shape[axis]:
            break
    return tuple(chunk)


def _deflated(
    datasets: Mapping[str, Dataset], read: Read, spool: BinaryIO, pool: ThreadPoolExecutor
) -> dict[str, _Kept]:
    """Deflate arrays into a temporary file; returns those that become smaller so, within the limits of readers."""
    kept: dict[str, _Kept] = {}
    for path, array in datasets.items():
        if array.nbytes >= SMALLEST and array.shape and (found := _deflate(array, read, spool, pool)) is not None:
            kept[path] = found
    # wtool refuses files that claim far more than they hold, and so does Keras, with wider limits.
    whole = sum(each.nbytes for each in datasets.values())
    taken = whole - sum(datasets[path].nbytes - each.nbytes for path, each in kept.items())
    for path in sorted(kept, key=lambda path: kept[path].nbytes / datasets[path].nbytes):
        if whole <= MAX_INFLATED_FLOOR or whole <= MAX_INFLATED_RATIO * taken:
            break
        taken += datasets[path].nbytes - kept.pop(path).nbytes
    return kept


def _deflate(array: Dataset, read: Read, spool: BinaryIO, pool: ThreadPoolExecutor) -> _Kept | None:
    element = array.nbytes // int(np.prod(array.shape))
    chunk = chunk_of(array.shape, element)
    is_shuffled = element > 1 and _zeros(array, element, read) < MOST_ZEROS * array.nbytes / element
    size = int(np.prod(chunk)) * element

    def job(place: tuple[int, int]) -> bytes:
        data = read(*place).ljust(size, b"\0")
        if is_shuffled:
            data = np.frombuffer(data, np.uint8).reshape(-1, element).T.tobytes()
        return zlib.compress(data, LEVEL)

    start, sizes = spool.tell(), []
    places = _places(array, chunk, element)
    while batch := list(islice(places, _AT_ONCE)):
        for data in pool.map(job, batch):
            sizes.append(len(data))
            spool.write(data)
    tables = node_size(len(array.shape)) * (1 + 2 * len(sizes) // CHILDREN)
    if sum(sizes) + tables < array.nbytes:
        return _Kept(chunk, is_shuffled, start, tuple(sizes))
    spool.seek(start)
    return None


def _places(array: Dataset, chunk: Coordinates, element: int) -> Iterator[tuple[int, int]]:
    """Yields offset and size of the values of each chunk."""
    offset = array.offset
    for _, values in rows(array.shape, chunk):
        yield offset, values * element
        offset += values * element


def _zeros(array: Dataset, element: int, read: Read) -> int:
    """Returns how many values of an array are zero, to the last bit."""
    zeros = 0
    block = STREAM_BLOCK // element * element
    for at in range(0, array.nbytes, block):
        data = np.frombuffer(read(array.offset + at, min(block, array.nbytes - at)), np.uint8)
        if element in (2, 4, 8):  # a count of machine words takes a tenth of the time
            zeros += data.size // element - np.count_nonzero(data.view(f"u{element}"))
        else:
            zeros += int((~data.reshape(-1, element).any(axis=1)).sum())
    return zeros


def _room(spool: BinaryIO, array: Dataset, kept: _Kept | None) -> Deflated | None:
    if kept is None:
        return None

    def chunks() -> Iterator[tuple[Coordinates, bytes]]:
        spool.seek(kept.start)
        for (coordinates, _), size in zip(rows(array.shape, kept.chunk), kept.sizes, strict=True):
            yield coordinates, spool.read(size)

    return Deflated(kept.chunk, kept.is_shuffled, LEVEL, chunks)
