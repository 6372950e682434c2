"""Writing a checkpoint of another structure: with more or fewer layers, other classes, or arrays of other shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from wtool.checkpoint.layouts import keras3, keras3_rebuild, legacy, legacy_rebuild
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Contents
from wtool.checkpoint.optimizer.reread import misread
from wtool.checkpoint.patch import rewrite
from wtool.checkpoint.structure import Skeleton, Structure, structure_text
from wtool.checkpoint.unfilled import Rebuilt, arrays_of, unfilled
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Index
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.schema.archive_members import CONFIG


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
    return Rebuilt(output, tuple(arrays_of(index, skeleton)))


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
    moves = keras3_rebuild.Moves(base, structure.config)
    return keras3_rebuild.skeleton_of(base, structure, moves), keras3_rebuild.moved_assets(base, moves)


def _opened(skeleton: Skeleton, base: Checkpoint, structure: Structure, stack: ExitStack) -> tuple[Checkpoint, Index]:
    region, index = unfilled(skeleton, base.name, stack)
    contents = contents_of(base, structure.config, index)
    made = replace(base, config=structure.config, contents=contents, regions=(region,), indexes=(index,))
    if wrong := misread(base, structure, made):
        raise Refused(f"the new file would not tell what is {a_few(wrong)}; --optimizer drop leaves the state out")
    return made, index


def contents_of(base: Checkpoint, config: Mapping[str, Any], index: Index) -> Contents:
    """Returns what the file of a whole model with another architecture holds.

    Args:
        base: the model, `.keras` or `.h5`.
        config: its new architecture.
        index: of its new HDF5 file.

    Raises:
        Refused: the file contradicts the architecture.
    """
    if base.format == "keras":
        return keras3.contents(index, config, base.keras_version)
    training = index.groups[""].get("training_config")
    parsed = parse_object(training, "the attribute training_config") if isinstance(training, str) else None
    return legacy.contents(index, config, parsed, base.keras_version)
