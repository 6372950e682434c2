"""A new checkpoint whose arrays are yet to be filled: groups and attributes are there, and room for every array.

The HDF5 library makes the file, and wtool's own reader reads the file again, so that a file that could not be opened is
never written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryFile

from wtool.checkpoint.model import Tensor
from wtool.checkpoint.patch import Rewrite
from wtool.checkpoint.structure import Fresh, Skeleton
from wtool.hdf5.reader import Dataset, Index, read_index
from wtool.hdf5.writer import write_skeleton
from wtool.io.source import Region, Source
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """An array of the new file, and the values that fill it.

    Attributes:
        target: the array; one that comes from the base is there as bytes, whatever their dtype is.
        source: bytes of the base, or values that are made.
    """

    target: Tensor
    source: Tensor | Fresh


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A new file with all groups and attributes, and room for the arrays.

    Attributes:
        output: takes the arrays.
        arrays: all of them, each with what fills it.
    """

    output: Rewrite
    arrays: tuple[Filled, ...]


def unfilled(skeleton: Skeleton, name: str, stack: ExitStack) -> tuple[Region, Index]:
    """Returns a new HDF5 file without the values of its arrays, and its index as wtool reads it.

    Args:
        skeleton: of the file.
        name: what messages call the file.
        stack: closes the file, which has no name on the disk.

    Raises:
        Refused: the file would not be one that can be read.
    """
    with TemporaryFile() as file:
        write_skeleton(file, skeleton.groups, skeleton.rooms)
        file.flush()
        source = Source(os.dup(file.fileno()), name)
    stack.callback(source.close)
    region = Region(source, 0, source.size)
    return region, read_index(region.read, region.size)


def arrays_of(index: Index, skeleton: Skeleton, shard: int = 0) -> Iterator[Filled]:
    """Yields the arrays of a new file, each with what fills it.

    Args:
        index: of the file.
        skeleton: of the file.
        shard: number of the file among those of the new checkpoint.
    """
    for path, dataset in index.datasets.items():
        source = skeleton.sources[path]
        if isinstance(source, Fresh):
            yield Filled(_array(dataset, source.shape, source.dtype, shard), source)
        elif dataset.nbytes:
            bytes_ = _bytes(source) if isinstance(source, Dataset) else _as_bytes(source)
            yield Filled(_bytes(dataset, shard), bytes_)


def _array(dataset: Dataset, shape: tuple[int, ...], dtype: str, shard: int) -> Tensor:
    path, start, size = dataset.path, dataset.offset, dataset.nbytes
    return Tensor(path, "array", "", None, None, shape, dtype, path, start, size, shard)


def _bytes(dataset: Dataset, shard: int = 0) -> Tensor:
    return _array(dataset, (dataset.nbytes,), "uint8", shard)


def _as_bytes(tensor: Tensor) -> Tensor:
    return replace(tensor, shape=(tensor.nbytes,), dtype="uint8")
