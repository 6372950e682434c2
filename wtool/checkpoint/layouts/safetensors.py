"""safetensors files: arrays under names, behind a JSON header.

wtool writes a Keras model so that the model comes back whole: each array is called by the path of its variable, and the
texts in the header are the small files of a `.keras` archive, under their names there. A text `wtool_places` says where
each array would be in the HDF5 file of the archive, which is read by `keras3` like that file. Files of other libraries
hold arrays and their names alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtool.checkpoint.demands import PACKED
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.layouts.safetensors_places import PLACES, Places, read_places
from wtool.checkpoint.layouts.signs import HEADER, SAFETENSORS, look_for_hdf5
from wtool.checkpoint.lineage import lineage_in
from wtool.checkpoint.model import Checkpoint, Contents, Layer, Tensor
from wtool.dtypes import is_floating
from wtool.errors import Differs, Note, Refused
from wtool.hdf5.reader import Dataset, Index
from wtool.io.json_text import parse_as_python, parse_object
from wtool.io.safetensors_header import Entry, Header, header_text, laid_out, read_header, with_length
from wtool.io.source import Region, Source, copy
from wtool.io.zip_reader import opens_as_zip
from wtool.schema.archive_members import CONFIG, METADATA
from wtool.schema.layers import role_of
from wtool.values import dataclass

ASSETS = "assets/"
"""Beginning of the names of files that layers keep in an archive."""

_PYTORCH = {"running_mean": "moving_mean", "running_var": "moving_variance"}
"""What PyTorch calls the statistics of a layer -> their roles."""


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What a header says of a model.

    Attributes:
        config: the architecture; None where the header tells none.
        keras_version: of the Keras whose layout the places are of; None where the header tells none.
        index: of the HDF5 file that an archive would have; its offsets only keep the order of the arrays.
        contents: tensors, with their offsets in the safetensors file, layers and optimizer.
    """

    config: dict[str, Any] | None
    keras_version: str | None
    index: Index
    contents: Contents


def opened(source: Source, opening: Opening) -> Checkpoint:
    """Open a safetensors file.

    Raises:
        Differs: readers would see different models in the file.
        Refused: the file is damaged or hostile.
    """
    if opens_as_zip(source):
        raise Differs("both a safetensors file and a zip archive: no telling which is meant")
    look_for_hdf5(source, _refuse_hdf5)
    header, region = read_header(source.read, source.size), Region(source, 0, source.size)
    if opening.drop:
        region, header = _without(region, header, opening)
    like = opening.like if opening.like is not None and opening.like.format == SAFETENSORS else None
    if like is not None and like.texts[HEADER] == header.text:
        texts = like.texts
        meaning = Meaning(like.config, like.keras_version, like.indexes[0], like.contents)
    else:
        texts = {HEADER: header.text, **{name: each.encode() for name, each in _members(header).items()}}
        meaning = meaning_of(header)
    return Checkpoint(
        name=source.name, format=SAFETENSORS, keras_version=meaning.keras_version, config=meaning.config,
        contents=meaning.contents, lineage=lineage_in(header.texts), sources=(source,), regions=(region,),
        indexes=(meaning.index,), texts=texts, notes=meaning.contents.notes, closing=opening.stack.pop_all(),
    )  # fmt: skip


def _refuse_hdf5(start: int) -> None:
    raise Differs("both a safetensors file and an HDF5 file: no telling which is meant")


def _members(header: Header) -> dict[str, str]:
    """Returns the texts of a header that tell of a Keras model: the places, and the files of an archive."""
    own = (CONFIG, METADATA, PLACES)
    return {name: text for name, text in header.texts.items() if name in own or name.startswith(ASSETS)}


def is_of_keras(checkpoint: Checkpoint) -> bool:
    """Returns whether an open safetensors file tells the places of its arrays in a Keras model."""
    return PLACES in checkpoint.texts


def meaning_of(header: Header) -> Meaning:
    """Returns what a header says of a model.

    Raises:
        Differs: arrays have other names than the variables in their places, so that readers would see other models.
        Refused: the texts contradict the arrays or each other.
    """
    if PLACES not in header.texts:
        index = Index(header.size, {"": {}}, {each.name: _dataset(each.name, each, 0) for each in header.entries})
        return Meaning(None, None, index, _of_names(header))
    places = read_places(header.texts[PLACES], [each.name for each in header.entries])
    index = _index(header, places)
    config = parse_object(header.texts[CONFIG], CONFIG) if CONFIG in header.texts else None
    told = parse_object(header.texts[METADATA], METADATA) if METADATA in header.texts else {}
    version = told.get("keras_version")
    version = version if isinstance(version, str) else None
    found = keras3.contents(index, config, version)
    entries = {places.arrays[each.name]: each for each in header.entries}
    return Meaning(config, version, index, replace(found, tensors=_in_file(header, found, entries)))


def _index(header: Header, places: Places) -> Index:
    """Returns the index of the HDF5 file that an archive would have, with its arrays in the order of `places`."""
    entries = {each.name: each for each in header.entries}
    datasets, end = {}, 0
    for name, place in places.arrays.items():
        datasets[place] = _dataset(place, entries[name], end)
        end += datasets[place].nbytes
    return Index(end, places.groups, datasets)


def _dataset(path: str, entry: Entry, offset: int) -> Dataset:
    attributes = {"dtype": entry.dtype} if entry.dtype in PACKED else {}
    dtype = PACKED.get(entry.dtype, entry.dtype)
    return Dataset(path, entry.shape, dtype, offset, entry.stop - entry.start, attributes)


def _in_file(header: Header, found: Contents, entries: Mapping[str, Entry]) -> tuple[Tensor, ...]:
    """Returns the tensors, with their offsets in the safetensors file.

    Args:
        header: of the file.
        found: the contents by places.
        entries: place -> array.
    """
    for tensor in found.tensors:
        if tensor.path != entries[tensor.stored].name:
            name = entries[tensor.stored].name
            raise Differs(f"{name} is in the place of {tensor.path}; readers would take it for one or the other")
    return tuple(replace(each, offset=header.size + entries[each.stored].start) for each in found.tensors)


def completed_contents(base: Checkpoint, config: Mapping[str, Any], version: str) -> Contents:
    """Returns the contents of weights alone, read along an architecture.

    Raises:
        Refused: another library wrote the file, or weights and architecture contradict each other.
    """
    if not is_of_keras(base):
        raise Refused("another library wrote the file, which tells names alone; name a model with --like MODEL")
    header = read_header(base.regions[0].read, base.regions[0].size)
    places = read_places(header.texts[PLACES], [each.name for each in header.entries])
    starts = {places.arrays[each.name]: header.size + each.start for each in header.entries}
    found = keras3.contents(base.indexes[0], config, version)
    return replace(found, tensors=tuple(replace(each, offset=starts[each.stored]) for each in found.tensors))


def _of_names(header: Header) -> Contents:
    """Returns the contents of a file that tells names alone."""
    tensors = tuple(_named(header, each) for each in sorted(header.entries, key=lambda each: each.start))
    layers = tuple(Layer(name, None) for name in dict.fromkeys(each.layer for each in tensors) if name)
    note = Note(
        "another library wrote it: names and shapes tell the roles of tensors, and nothing tells layers", "note"
    )
    return Contents(tensors, layers, None, (note,))


def _named(header: Header, entry: Entry) -> Tensor:
    layer, _, own = entry.name.rpartition("/" if "/" in entry.name else ".")
    return Tensor(
        path=entry.name, role=_role(entry, layer, own), layer=layer, layer_class=None, trainable=None,
        shape=entry.shape, dtype=entry.dtype, stored=entry.name, offset=header.size + entry.start,
        nbytes=entry.stop - entry.start,
    )  # fmt: skip


def _role(entry: Entry, layer: str, own: str) -> str:
    """Returns the role of a variable, by its name in Keras or PyTorch, which calls most variables `weight`.

    Whole numbers are counters, or codes of a quantisation that nobody tells.
    """
    if not is_floating(entry.dtype):
        return "unknown"
    if own == "weight":
        return "gamma" if len(entry.shape) < 2 else "embeddings" if "emb" in layer.lower() else "kernel"
    return _PYTORCH.get(own) or role_of(entry.shape, own, False)


def _without(region: Region, header: Header, opening: Opening) -> tuple[Region, Header]:
    """Returns a copy of a file without the arrays in some groups, and the header of the copy."""
    if PLACES not in header.texts:
        return region, header
    places = read_places(header.texts[PLACES], [each.name for each in header.entries])
    kept = places.without(opening.drop)
    old = {each.name: each for each in header.entries if each.name in kept.arrays}
    entries = laid_out((each.name, each.dtype, each.shape) for each in old.values())
    text = header_text({**header.texts, PLACES: kept.text()}, entries)
    import tempfile  # slow to import, and seldom needed

    with tempfile.TemporaryFile() as spool:
        spool.write(with_length(text))
        for each in entries:
            start = region.start + header.size
            copy(region.source, start + old[each.name].start, start + old[each.name].stop, spool.write)
        spool.flush()
        source = opening.adopt(Source(os.dup(spool.fileno()), region.source.name))
    return Region(source, 0, source.size), read_header(source.read, source.size)


def configurations(source: Source, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
    """Returns the configuration in a header, whatever else is wrong with the file."""
    texts = read_header(source.read, source.size).texts
    return [("", parse_as_python(texts[CONFIG], CONFIG))] if CONFIG in texts else []
