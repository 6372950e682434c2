"""A new checkpoint with another structure: layers more, fewer, or of other classes, and arrays of other shapes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryFile

import numpy as np

from wtool.checkpoint.layouts import keras3, keras3_rebuild, legacy, legacy_rebuild
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.optimizer.reread import misread
from wtool.checkpoint.patch import rewrite
from wtool.checkpoint.structure import Fresh, Layout, Structure, structure_text
from wtool.dtypes import dtype_of
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Dataset, Index, read_index
from wtool.hdf5.writer import write_skeleton
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.io.source import STREAM_BLOCK, Region, Source
from wtool.schema.archive_members import CONFIG


def restructure(
    base: Checkpoint,
    structure: Structure,
    target: Target,
    lineage: Callable[[tuple[str, ...]], Sequence[Record]],
    unhashed: tuple[str, ...],
    progress: Callable[[int, int], None] | None,
    stack: ExitStack,
) -> None:
    """Write a checkpoint of another structure, in the base's format.

    Args:
        base: a whole model, `.keras` or `.h5`.
        structure: what it becomes.
        target: where the checkpoint goes.
        lineage: from the content hash of the base's file to the records.
        unhashed: what stands for the hash until it is known.
        progress: called with bytes done and bytes in all.
        stack: throws drafts away when it closes.

    Raises:
        Refused: the new file would not be one that can be read.
        WtoolError: the target cannot be written.
    """
    layout, names = _laid_out(base, structure)
    made, index = _opened(layout, base, structure, stack)
    if wrong := misread(base, structure, made):
        raise Refused(f"the new file would not tell what is {a_few(wrong)}; --optimizer drop leaves the state out")
    texts = {CONFIG: structure_text(structure.config)} if base.format == "keras" else {}
    new = rewrite(made, target, lineage(unhashed), stack, texts, names)
    total = sum(dataset.nbytes for dataset in index.datasets.values())
    done = 0
    for path, dataset in sorted(index.datasets.items(), key=lambda item: item[1].offset):
        for start, data in _blocks(base, layout.sources[path], path):
            new.replace(0, dataset.offset + start, data)
            done += len(data)
            if progress is not None:
                progress(done, total)
    new.copy_rest()
    new.publish(lineage(base.finish()))


def check_structure(base: Checkpoint, structure: Structure, stack: ExitStack) -> Checkpoint:
    """The new checkpoint without its values: its names are those that files of this structure have.

    Raises:
        Refused: the new file would not be one that can be read.
    """
    return _opened(_laid_out(base, structure)[0], base, structure, stack)[0]


def misread_slots(base: Checkpoint, structure: Structure) -> list[str]:
    """Returns, in words, the variables of the optimizer that the new file would not tell as what they are.

    Raises:
        Refused: the new file would not be one that can be read.
    """
    with ExitStack() as stack:
        return misread(base, structure, check_structure(base, structure, stack))


def _laid_out(base: Checkpoint, structure: Structure) -> tuple[Layout, dict[str, str]]:
    """The new HDF5 file, and members of the archive that are called otherwise: old name -> new name."""
    if base.format != "keras":
        return legacy_rebuild.laid_out(base, structure), {}
    moves = keras3_rebuild.Moves(base, structure)
    return keras3_rebuild.laid_out(base, structure, moves), keras3_rebuild.moved_assets(base, moves)


def _opened(layout: Layout, base: Checkpoint, structure: Structure, stack: ExitStack) -> tuple[Checkpoint, Index]:
    with TemporaryFile() as file:
        write_skeleton(file, layout.groups, layout.rooms)
        file.flush()
        source = Source(os.dup(file.fileno()), base.name)
    stack.callback(source.close)
    region = Region(source, 0, source.size)
    index = read_index(region.read, region.size)
    if base.format == "keras":
        contents = keras3.contents(index, structure.config, base.keras_version)
    else:
        training = index.groups[""].get("training_config")
        parsed = parse_object(training, "the attribute training_config") if isinstance(training, str) else None
        contents = legacy.contents(index, structure.config, parsed, base.keras_version)
    made = replace(base, config=structure.config, contents=contents, regions=(region,), indexes=(index,))
    return made, index


def _blocks(base: Checkpoint, source: Dataset | Fresh, path: str) -> Iterator[tuple[int, bytes | memoryview]]:
    """The bytes of a new array, from old ones or made."""
    if isinstance(source, Fresh):
        values = source.make()
        if values.shape != source.shape or values.dtype != dtype_of(source.dtype):
            raise AssertionError(f"{path} became {values.dtype} {values.shape}")
        if values.nbytes:
            yield 0, values.reshape(-1).view(np.uint8).data
        return
    region = base.regions[0]
    for start in range(0, source.nbytes, STREAM_BLOCK):
        yield start, region.read(source.offset + start, min(STREAM_BLOCK, source.nbytes - start))
