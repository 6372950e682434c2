"""The formats in which a composed model can be written. A new format is one entry here.

A writer knows the layout of a format (which HDF5 files the format has, and how wtool reads them) and the container
around these files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.keras3_compose import outline_of
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Contents
from wtool.checkpoint.patch import Rewrite, rewrite
from wtool.checkpoint.structure import structure_text
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Index
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.io.zip_writer import new_member
from wtool.schema.archive_members import CONFIG, METADATA, WEIGHTS

Begin = Callable[[Checkpoint, Composition, Target, Sequence[Record], ExitStack], Rewrite]


@dataclass(frozen=True, slots=True)
class Writer:
    """How a composed model is written in one format.

    Attributes:
        outlines: gives the HDF5 files of a model, which is composed of the tensors of a base.
        read: gives the contents of these files, by their indexes, as wtool reads them.
        begin: begins to write the files. The function gets the new checkpoint without values, whose regions and indexes
            are those of the new HDF5 files and whose other files are those of the base; for the other arguments see
            `compose`.
    """

    outlines: Callable[[Checkpoint, Composition], tuple[Outline, ...]]
    read: Callable[[Sequence[Index], Composition], Contents]
    begin: Begin


def _outlines(base: Checkpoint, composition: Composition) -> tuple[Outline, ...]:
    return (outline_of(base, composition),)


def _read(indexes: Sequence[Index], composition: Composition) -> Contents:
    return keras3.contents(indexes[0], composition.config, composition.keras_version)


def _begin_file(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    return rewrite(made, target, lineage, stack)


def _begin_archive(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    """Start writing a `.keras` archive, with its members in the order in which Keras writes them."""
    assert composition.config is not None
    there = {member.name: member for member in made.members}
    if missing := [name for name in composition.assets if name not in there]:
        raise Refused(f"it has no file {a_few(missing)}")
    texts = {METADATA: _metadata(made, composition), CONFIG: structure_text(composition.config)}
    members = (
        *(new_member(name, len(text)) for name, text in texts.items()),
        new_member(WEIGHTS, made.regions[0].size),
        *(there[name] for name in composition.assets),
    )
    archive = replace(made, members=members, texts=texts)
    return rewrite(archive, target, lineage, stack, {CONFIG: texts[CONFIG]}, composition.assets)


_NEVER = "1980-01-01@00:00:00"
"""The date of archives whose base tells none: the same model always gives the same bytes."""


def _metadata(base: Checkpoint, composition: Composition) -> bytes:
    """Returns the text of `metadata.json`, with the date on which the base was saved."""
    saved = None
    with suppress(Refused):  # Keras never reads the text, so the base may hold anything there
        saved = parse_object(base.texts.get(METADATA, b"{}"), METADATA).get("date_saved")
    date = saved if isinstance(saved, str) else _NEVER
    return json.dumps({"keras_version": composition.keras_version, "date_saved": date}).encode()


WRITERS = {
    "keras": Writer(_outlines, _read, _begin_archive),
    "weights.h5": Writer(_outlines, _read, _begin_file),
}
"""Format of a composed model -> its writer."""
