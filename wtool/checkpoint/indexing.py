"""The index of an HDF5 file: from the strict reader, from another checkpoint, or from a plain copy of the file.

Checkpoints of one run mostly differ in the values of their arrays alone. Where all other bytes of two files are equal,
one index describes both, and comparing bytes is faster than parsing them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from blake3 import blake3

from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.model import Checkpoint
from wtool.hdf5.limits import MAX_METADATA
from wtool.hdf5.reader import Index, NotPlain, read_index
from wtool.io.source import Region, Source


def indexed(region: Region, opening: Opening, like: Checkpoint | None = None) -> tuple[Region, Index]:
    """Returns a plain HDF5 file and its index.

    The file is the region itself, or a plain copy that the HDF5 library made of it in a child process: where the region
    uses features that the strict reader does not know, or where groups are to be left out. Of a packed file it is a
    file of its inflated arrays alone, which the index describes.

    Args:
        region: the bytes of the HDF5 file.
        opening: tells which groups are left out, and closes the copy.
        like: an open checkpoint of the same format, whose index is tried first.

    Raises:
        Refused: the file is damaged or hostile.
    """
    is_like = like is not None and not opening.drop and not like.indexes[0].stored
    if like is not None and is_like and _same_outside_arrays(region, like.regions[0], like.indexes[0]):
        return region, like.indexes[0]
    if not region.has(0, region.size):
        from wtool.hdf5.ahead import read_ahead  # only here: the system reads files of this machine ahead

        read_ahead(region)
    with suppress(NotPlain):
        index = read_index(region.read, region.size)
        if index.stored:
            kept = _without(index, opening.drop)
            return _unpacked(region, kept, opening), kept
        if not opening.drop:
            return region, index
    from wtool.hdf5.sandbox import make_plain  # only here: it starts processes, which takes long to import

    with make_plain(region.source.descriptor(), region.start, region.size, opening.drop) as plain:
        source = opening.adopt(Source(os.dup(plain.fileno()), region.source.name))
    made = Region(source, 0, source.size)
    return made, read_index(made.read, made.size)


def _without(index: Index, drop: Sequence[str]) -> Index:
    """Returns the index of a packed file without some groups at the root."""
    groups = {path: each for path, each in index.groups.items() if path.partition("/")[0] not in drop}
    datasets = {path: each for path, each in index.datasets.items() if path.partition("/")[0] not in drop}
    return replace(index, groups=groups, datasets=datasets, stored={path: index.stored[path] for path in datasets})


def _unpacked(region: Region, index: Index, opening: Opening) -> Region:
    """Returns the arrays of a packed file, inflated."""
    import tempfile

    from wtool.hdf5.unpacking import unpack

    with tempfile.TemporaryFile() as arrays:
        os.ftruncate(arrays.fileno(), index.size)
        unpack(region.read, index, arrays.fileno())
        source = opening.adopt(Source(os.dup(arrays.fileno()), region.source.name))
    return Region(source, 0, source.size)


def _same_outside_arrays(region: Region, other: Region, index: Index) -> bool:
    """Returns whether two files have the same bytes outside the arrays of `index`, so that it describes both."""
    arrays = sorted((array.offset, array.offset + array.nbytes) for array in index.datasets.values() if array.nbytes)
    if region.size != other.size or region.size - sum(stop - start for start, stop in arrays) > MAX_METADATA:
        return False
    others = zip([0, *(stop for _, stop in arrays)], [*(start for start, _ in arrays), region.size], strict=True)
    region.prefetch((start, stop) for start, stop in others if start < stop)
    return _hash_outside(region, tuple(arrays)) == _hash_outside(other, tuple(arrays))


@lru_cache(maxsize=2)  # all checkpoints of a run are compared with the same one
def _hash_outside(region: Region, arrays: tuple[tuple[int, int], ...]) -> bytes:
    digest = blake3()
    position = 0
    for start, stop in [*arrays, (region.size, region.size)]:
        if start > position:
            digest.update(region.read(position, start - position))
        position = max(position, stop)
    return digest.digest()
