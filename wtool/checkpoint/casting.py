"""Arrays of an HDF5 file in other number types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import BinaryIO, NamedTuple

import numpy as np

from wtool.checkpoint.demands import PACKED
from wtool.dtypes import Array, dtype_of, round_into
from wtool.hdf5.packing import in_file_order
from wtool.hdf5.reader import Dataset
from wtool.io.source import STREAM_BLOCK, Region

BLOCK = STREAM_BLOCK // 8
"""Values that are rounded at a time."""


class Cast(NamedTuple):
    """The number type of an array, and the one that the array gets."""

    old: str
    new: str


Casts = Mapping[tuple[int, str], Cast]
"""Shard and path inside the HDF5 file -> what becomes of the array."""


def rounded(values: Array, dtype: str) -> Array:
    """Returns values in another floating dtype, rounded once, to nearest, ties to even."""
    made: Array = np.empty(values.shape, dtype_of(dtype))
    round_into(made, values.astype(np.float64))
    return made


def cast_arrays(
    values: Region, datasets: Mapping[str, Dataset], shard: int, casts: Casts, target: BinaryIO
) -> dict[str, Dataset]:
    """Write all arrays of a file, some of them in another number type, one behind the other.

    Args:
        values: the arrays, at the offsets that the datasets tell.
        datasets: path -> array.
        shard: number of the file.
        casts: which arrays get another number type.
        target: an empty file.

    Returns:
        path -> array, with offset, dtype and attributes in the new file.
    """
    made = {}
    for path, array in in_file_order(datasets).items():
        start = target.tell()
        cast = casts.get((shard, path))
        if cast is None:
            for at in range(0, array.nbytes, STREAM_BLOCK):
                target.write(values.read(array.offset + at, min(STREAM_BLOCK, array.nbytes - at)))
            made[path] = replace(array, offset=start)
            continue
        size, count = dtype_of(cast.old).itemsize, prod(array.shape)
        for at in range(0, count, BLOCK):
            block = values.read(array.offset + at * size, min(BLOCK, count - at) * size)
            target.write(rounded(np.frombuffer(block, dtype_of(cast.old)), cast.new).tobytes())
        told = {"dtype": cast.new} if cast.new in PACKED else {}
        attributes = {**{name: value for name, value in array.attributes.items() if name != "dtype"}, **told}
        nbytes = count * dtype_of(cast.new).itemsize
        dtype = PACKED.get(cast.new, cast.new)
        made[path] = replace(array, offset=start, nbytes=nbytes, dtype=dtype, attributes=attributes)
    target.flush()
    return made
