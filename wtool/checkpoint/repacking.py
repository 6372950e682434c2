"""Writing a checkpoint whose HDF5 files are packed, or are made of packed ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from tempfile import TemporaryFile
from typing import BinaryIO

from wtool.checkpoint.casting import Casts, cast_arrays
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import GZIP, NONE, Checkpoint
from wtool.checkpoint.patch import Rewrite
from wtool.errors import WtoolError
from wtool.hdf5.packing import write_file
from wtool.hdf5.reader import Index
from wtool.io.source import Region, Source
from wtool.io.stream import RegionCopy


class Repacking:
    """Writes new HDF5 files of the base's arrays, deflated or not, and then the checkpoint with these files.

    How large a deflated array is shows only in the end. So the arrays wait in temporary files.

    Args:
        base: the checkpoint; its compression is that of the new files.
        casts: arrays that get another number type.
        begin: begins to write a checkpoint with other HDF5 files.
        stack: closes the temporary files.
    """

    def __init__(
        self, base: Checkpoint, casts: Casts, begin: Callable[[Checkpoint], Rewrite], stack: ExitStack
    ) -> None:
        self._base = base
        self._casts = casts
        self._begin = begin
        self._stack = stack
        self._files = [stack.enter_context(TemporaryFile()) for _ in base.regions]  # noqa: SIM115
        self._copies = [RegionCopy(region, file, len) for region, file in zip(base.regions, self._files, strict=True)]
        self._output: Rewrite | None = None

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        """Write `data` in the place of the bytes from `offset` on of one of the base's HDF5 files."""
        self._copies[shard].replace(offset, data)

    def copy_rest(self) -> None:
        """Copy the rest of the arrays, and write the new HDF5 files and all other files.

        Raises:
            Refused: an array has a dtype that no weight has.
            WtoolError: the target cannot be written.
        """
        for copy in self._copies:
            copy.copy_rest()
        regions = tuple(self._packed(shard) for shard in range(len(self._files)))
        made = replace(self._base, regions=regions, indexes=_plain(self._base), compression=NONE, is_edited=False)
        self._output = self._begin(made)
        self._output.copy_rest()

    def publish(self, lineage: Sequence[Record]) -> None:
        """Write the lineage with the seal of the result, and give the new file its name."""
        assert self._output is not None
        self._output.publish(lineage)

    def _packed(self, shard: int) -> Region:
        """Returns the new HDF5 file of a shard."""
        index, name = self._base.indexes[shard], self._base.name
        with self._files[shard] as file:
            file.flush()
            values = _region(file, name)
            datasets = index.datasets
        if any(number == shard for number, _ in self._casts):
            with closing(values.source), TemporaryFile() as file:
                datasets = cast_arrays(values, datasets, shard, self._casts, file)
                values = _region(file, name)
        with TemporaryFile() as made:
            try:
                write_file(made, index.groups, datasets, values.read, self._base.compression == GZIP)
            except WtoolError as error:
                raise error.about(name) from None
            finally:
                values.source.close()
            region = _region(made, name)
        self._stack.callback(region.source.close)
        return region


def _region(file: BinaryIO, name: str) -> Region:
    """Returns the whole of an open file, which may be closed then."""
    source = Source(os.dup(file.fileno()), name)
    return Region(source, 0, source.size)


def _plain(base: Checkpoint) -> tuple[Index, ...]:
    """Returns the indexes of a checkpoint without the places of chunks, which are others in the new files."""
    return tuple(replace(index, stored={}) for index in base.indexes)
