"""The formats in which a composed model can be written. A new format is one entry here.

A writer knows the layout of a format (which HDF5 files the format has, and how wtool reads them) and the container
around these files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts import keras3, legacy, legacy_compose, legacy_words
from wtool.checkpoint.layouts.keras3_compose import outline_of
from wtool.checkpoint.layouts.keras3_copy import same_outline
from wtool.checkpoint.layouts.safetensors_compose import as_safetensors
from wtool.checkpoint.layouts.shards import contents_of
from wtool.checkpoint.layouts.shards_compose import file_names, in_shards, map_text, shard_files
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Contents
from wtool.checkpoint.patch import Rewrite, is_repacked, rewrite
from wtool.checkpoint.repacking import Repacking
from wtool.checkpoint.seal import MANIFEST
from wtool.checkpoint.structure import structure_text
from wtool.checkpoint.unzipping import Unzipping
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Index
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.io.zip_format import Member
from wtool.io.zip_writer import new_member
from wtool.schema.archive_members import CONFIG, METADATA, WEIGHTS
from wtool.values import dataclass

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
        contain: puts the new checkpoint without values into another file than the HDF5 files; None where these are the
            files of the format, or parts of one.
    """

    outlines: Callable[[Checkpoint, Composition], tuple[Outline, ...]]
    read: Callable[[Sequence[Index], Composition], Contents]
    begin: Begin
    contain: Callable[[Checkpoint, Composition, ExitStack], Checkpoint] | None = None


def _outlines(base: Checkpoint, composition: Composition) -> tuple[Outline, ...]:
    return (outline_of(base, composition),)


def _outlines_of_weights(base: Checkpoint, composition: Composition) -> tuple[Outline, ...]:
    return ((same_outline if composition.config is None else outline_of)(base, composition),)


def _outlines_of_shards(base: Checkpoint, composition: Composition) -> tuple[Outline, ...]:
    (whole,) = _outlines_of_weights(base, composition)
    return in_shards(whole, composition.shard_size)


def _read(indexes: Sequence[Index], composition: Composition) -> Contents:
    return keras3.contents(indexes[0], composition.config, composition.keras_version)


def _read_shards(indexes: Sequence[Index], composition: Composition) -> Contents:
    names = file_names(indexes)
    return contents_of(shard_files(indexes), names, indexes, composition.config, composition.keras_version)


def _outlines_of_legacy(base: Checkpoint, composition: Composition) -> tuple[Outline, ...]:
    return (legacy_compose.outline_of(base, composition),)


def _read_legacy(indexes: Sequence[Index], composition: Composition) -> Contents:
    assert composition.config is not None
    config, training = legacy_words.model_config(composition.config), legacy_words.training_config(composition)
    return legacy.contents(indexes[0], config, training, composition.keras_version)


def _begin_file(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    return rewrite(made, target, lineage, stack)


def _begin_shards(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    text = map_text(shard_files(made.indexes), made.indexes)
    return rewrite(replace(made, texts={MANIFEST: text}), target, lineage, stack)


def _begin_archive(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    """Start writing a `.keras` archive, with its members in the order in which Keras writes them."""
    files = _texts(made, composition)
    there = _assets(made, composition)
    texts = {METADATA: _metadata(made, composition), CONFIG: _config(made, composition)}
    members = (
        *(new_member(name, len(text)) for name, text in texts.items()),
        new_member(WEIGHTS, made.regions[0].size),
        *there,
    )
    archive = replace(made, members=members, texts=texts)
    return rewrite(archive, target, lineage, stack, {CONFIG: texts[CONFIG], **files}, composition.assets)


def _contain_in_safetensors(made: Checkpoint, composition: Composition, stack: ExitStack) -> Checkpoint:
    """Returns the new checkpoint in a safetensors file, whose header holds the texts of an archive."""
    is_whole = composition.config is not None
    texts = {CONFIG: _config(made, composition), METADATA: _metadata(made, composition)} if is_whole else {}
    return as_safetensors(made, composition, texts, stack)


def _begin_folder(
    made: Checkpoint, composition: Composition, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rewrite:
    _assets(made, composition)
    folder = replace(made, texts={METADATA: _metadata(made, composition), **_texts(made, composition)})
    config = _config(made, composition)

    def begin(base: Checkpoint) -> Rewrite:
        return Unzipping(base, config, composition.assets, target, lineage, stack)

    return Repacking(folder, {}, begin, stack) if is_repacked(folder) else begin(folder)


def _texts(base: Checkpoint, composition: Composition) -> dict[str, bytes]:
    """Returns the files of layers that a base holds as texts, by their names in the base."""
    return {name: text for name, text in base.texts.items() if name in composition.assets}


def _assets(base: Checkpoint, composition: Composition) -> list[Member]:
    """Returns the members of a base, or new ones, that hold the files of a composed model.

    Raises:
        Refused: the base lacks one.
    """
    there = {member.name: member for member in base.members}
    there |= {name: new_member(name, len(text)) for name, text in _texts(base, composition).items()}
    if missing := [name for name in composition.assets if name not in there]:
        raise Refused(f"it has no file {a_few(missing)}")
    return [there[name] for name in composition.assets]


def _config(made: Checkpoint, composition: Composition) -> bytes:
    """Returns the text of `config.json`: that of the base, to the byte, where the architecture stays."""
    assert composition.config is not None
    return made.texts.get(CONFIG) or structure_text(composition.config)


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
    "unzipped": Writer(_outlines, _read, _begin_folder),
    "h5": Writer(_outlines_of_legacy, _read_legacy, _begin_file),
    "weights.h5": Writer(_outlines_of_weights, _read, _begin_file),
    "weights.json": Writer(_outlines_of_shards, _read_shards, _begin_shards),
    "safetensors": Writer(_outlines_of_weights, _read, _begin_file, _contain_in_safetensors),
}
"""Format of a composed model -> its writer."""
