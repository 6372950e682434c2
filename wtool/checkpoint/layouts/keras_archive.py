"""The `.keras` format: a zip archive of a configuration, metadata and an HDF5 file of weights; or the same as a folder.

What the names in the weights mean is in `keras3`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from wtool.checkpoint import other_formats, unzipped
from wtool.checkpoint.indexing import indexed
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.layouts.signs import is_legacy, look_for_hdf5
from wtool.checkpoint.lineage import lineage_in
from wtool.checkpoint.model import Checkpoint
from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Index
from wtool.io import tree
from wtool.io.addresses import joined
from wtool.io.json_text import parse_as_python, parse_object
from wtool.io.source import Region, Source
from wtool.io.zip_format import STORED, Member
from wtool.io.zip_reader import read_members
from wtool.io.zip_unpack import member_bytes, unpack
from wtool.schema.archive_members import CONFIG, KNOWN, METADATA, OTHER_WEIGHTS, WEIGHTS

TWO_WEIGHTS = f"holds both {WEIGHTS} and {OTHER_WEIGHTS}: no telling which is meant"


def opened(source: Source, opening: Opening) -> Checkpoint:
    """Open a `.keras` archive.

    Raises:
        Differs: readers would see different models in the archive.
        Refused: the archive is damaged or hostile, or holds no Keras model.
    """
    members = read_members(source, KNOWN)
    by_name = {member.name: member for member in members}
    if CONFIG not in by_name or WEIGHTS not in by_name:
        raise Refused(other_formats.described_zip(list(by_name), CONFIG if CONFIG not in by_name else WEIGHTS))
    if OTHER_WEIGHTS in by_name:
        raise Differs(TWO_WEIGHTS)
    # Stored members are checked while the loop reads their bytes anyway; compressed ones when they are unpacked.
    for member in members:
        if member.method == STORED:
            source.expect(member.data, member.data + member.packed, member.crc, member.name)
    texts = {name: member_bytes(source, by_name[name]) for name in (CONFIG, METADATA) if name in by_name}
    files = {"sources": (source,), "members": members}
    model = _keras_model(source.name, texts, _weights(source, by_name[WEIGHTS], opening), files, opening)
    with ExitStack() as closing:
        closing.callback(model.close)  # the checkpoint has taken over what `opening` would close
        _refuse_second_model(source, by_name[WEIGHTS], model.indexes[0])
        closing.pop_all()
    return model


def open_folder(path: str, opening: Opening) -> Checkpoint:
    """Open an unzipped model: a folder whose files are what an archive has as members.

    Raises:
        Differs: readers would see different models in the folder.
        Refused: the folder is no unzipped model, or what it holds is damaged or hostile.
    """
    if not unzipped.is_model_folder(path):
        what = unzipped.kind_of_folder(path)
        raise Refused(what or "a folder, and no unzipped model; a single file is expected")
    parts = unzipped.open_parts(path, opening.stack)
    for name in (CONFIG, WEIGHTS):
        if name not in parts:
            raise Refused(f"an unzipped model without {name}")
    if tree.is_named(joined(path, OTHER_WEIGHTS)):
        raise Differs(TWO_WEIGHTS)
    texts = {name: unzipped.file_text(parts[name], name) for name in (CONFIG, METADATA) if name in parts}
    files = {"sources": tuple(parts.values()), "members": unzipped.as_members(parts), "parts": parts}
    return _keras_model(path, texts, Region(parts[WEIGHTS], 0, parts[WEIGHTS].size), files, opening)


def _keras_model(
    name: str, texts: dict[str, bytes], whole: Region, files: Mapping[str, Any], opening: Opening
) -> Checkpoint:
    """Returns the checkpoint of a `.keras` model.

    Args:
        name: of the model, for messages.
        texts: its JSON texts by name.
        whole: its weights.
        files: what the checkpoint knows of its files (`sources`, `members`, `parts`).
        opening: tells which checkpoint is probably alike.
    """
    metadata, notes = _metadata(texts)
    version = metadata.get("keras_version")
    version = version if isinstance(version, str) else None
    same = opening.like if opening.like is not None and opening.like.format == "keras" else None
    twin = same if same is not None and texts[CONFIG] == same.texts[CONFIG] else None  # of the same architecture
    if twin is not None:
        texts[CONFIG] = twin.texts[CONFIG]  # one copy for a whole run
    config = twin.config if twin is not None else parse_object(texts[CONFIG], CONFIG)
    region, index = indexed(whole, opening, same)
    if twin is not None and index is twin.indexes[0] and version == twin.keras_version:
        contents = twin.contents
    else:
        contents = keras3.contents(index, config, version)
    return Checkpoint(
        name=name, format="keras", keras_version=version, config=config, contents=contents,
        lineage=lineage_in(metadata), regions=(region,), indexes=(index,), texts=texts,
        notes=(*contents.notes, *notes), closing=opening.stack.pop_all(), **files,
    )  # fmt: skip


def _refuse_second_model(source: Source, weights: Member, index: Index) -> None:
    """Refuse an archive that the HDF5 library opens as well, and finds another model in.

    The library looks for HDF5 at bytes 512, 1024, ... By chance the stored weights of an archive may start just there
    (of some thousand models one): the library then reads the same weights, and nothing differs.

    Raises:
        Differs: the library would read a file other than the weights, or would take the weights for an `.h5` model.
    """

    def judge(at: int) -> None:
        if at != weights.data or weights.method != STORED:
            raise Differs(f"both a zip archive and an HDF5 file, from byte {at} on: no telling which is meant")
        if is_legacy(index):
            raise Differs(f"both a zip archive and an HDF5 file with another model, from byte {at} on")

    look_for_hdf5(source, judge)


def _metadata(texts: dict[str, bytes]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Returns what metadata.json says; Keras never reads it, so nothing in it may be a reason to refuse the file."""
    if METADATA not in texts:
        return {}, ("has no metadata.json",)
    try:
        return parse_object(texts[METADATA], METADATA), ()
    except Refused as error:
        return {}, (error.message,)


def _weights(source: Source, member: Member, opening: Opening) -> Region:
    """Returns the bytes of the weights: in place where they are stored, unpacked to an unnamed file where not."""
    if member.method == STORED:
        return Region(source, member.data, member.size)
    import tempfile  # slow to import, and seldom needed

    with tempfile.TemporaryFile() as spool:
        unpack(source, member, spool)
        unpacked = opening.adopt(Source(os.dup(spool.fileno()), source.name))
    return Region(unpacked, 0, unpacked.size)


def configurations(source: Source, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
    """Returns the configuration of an archive as Keras reads it, whatever else is wrong with the archive."""
    members = [member for member in read_members(source, KNOWN) if member.name == CONFIG]
    return [("", parse_as_python(member_bytes(source, member), CONFIG)) for member in members]


def folder_configurations(path: str, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
    """Returns the configuration of an unzipped model as Keras reads it, whatever else is wrong with the model."""
    text = unzipped.file_text(unzipped.open_parts(path, opening.stack)[CONFIG], CONFIG)
    return [("", parse_as_python(text, CONFIG))]
