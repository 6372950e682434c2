"""Writing a checkpoint of another structure: with more or fewer layers, other classes, or arrays of other shapes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from tempfile import TemporaryFile

from wtool.checkpoint.layouts import keras3, keras3_rebuild, legacy, legacy_rebuild
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.optimizer.reread import misread
from wtool.checkpoint.patch import Rewrite, rewrite
from wtool.checkpoint.structure import Fresh, Skeleton, Structure, structure_text
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Dataset, Index, read_index
from wtool.hdf5.writer import write_skeleton
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.io.source import Region, Source
from wtool.schema.archive_members import CONFIG


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


def rebuild(
    base: Checkpoint, structure: Structure, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rebuilt:
    """Start writing a checkpoint of another structure to `target`, in the base's format.

    Args:
        base: a whole model, `.keras` or `.h5`; it stays open until the new one is published.
        structure: what it becomes.
        target: where the checkpoint goes.
        lineage: see `patch.rewrite`.
        stack: throws drafts away when it closes.

    Raises:
        Refused: the new file would not be one that can be read.
        WtoolError: the target cannot be written.
    """
    skeleton, names = _skeleton_of(base, structure)
    made, index = _opened(skeleton, base, structure, stack)
    texts = {CONFIG: structure_text(structure.config)} if base.format == "keras" else {}
    output = rewrite(made, target, lineage, stack, texts, names)
    return Rebuilt(output, tuple(_filled(index.datasets, skeleton.sources)))


def _filled(datasets: Mapping[str, Dataset], sources: Mapping[str, Dataset | Fresh]) -> Iterator[Filled]:
    for path, dataset in datasets.items():
        source = sources[path]
        if isinstance(source, Fresh):
            yield Filled(_array(dataset, source.shape, source.dtype), source)
        elif dataset.nbytes:
            yield Filled(_bytes(dataset), _bytes(source))


def _array(dataset: Dataset, shape: tuple[int, ...], dtype: str) -> Tensor:
    return Tensor(dataset.path, "array", "", None, None, shape, dtype, dataset.path, dataset.offset, dataset.nbytes)


def _bytes(dataset: Dataset) -> Tensor:
    return _array(dataset, (dataset.nbytes,), "uint8")


def check_structure(base: Checkpoint, structure: Structure, stack: ExitStack) -> Checkpoint:
    """Returns the new checkpoint without its values; its names are those that files of this structure have.

    Raises:
        Refused: the new file would not be one that can be read.
    """
    return _opened(_skeleton_of(base, structure)[0], base, structure, stack)[0]


def _skeleton_of(base: Checkpoint, structure: Structure) -> tuple[Skeleton, dict[str, str]]:
    """Returns the new HDF5 file, and old name -> new name of the archive's members that get other names."""
    if base.format != "keras":
        return legacy_rebuild.skeleton_of(base, structure), {}
    moves = keras3_rebuild.Moves(base, structure)
    return keras3_rebuild.skeleton_of(base, structure, moves), keras3_rebuild.moved_assets(base, moves)


def _opened(skeleton: Skeleton, base: Checkpoint, structure: Structure, stack: ExitStack) -> tuple[Checkpoint, Index]:
    with TemporaryFile() as file:
        write_skeleton(file, skeleton.groups, skeleton.rooms)
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
    if wrong := misread(base, structure, made):
        raise Refused(f"the new file would not tell what is {a_few(wrong)}; --optimizer drop leaves the state out")
    return made, index
