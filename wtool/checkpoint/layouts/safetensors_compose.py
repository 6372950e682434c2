"""A composed model as a safetensors file, of which the header is there and the data is yet to be written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryFile

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts.safetensors import meaning_of
from wtool.checkpoint.layouts.safetensors_places import PLACES, Places
from wtool.checkpoint.layouts.signs import HEADER, SAFETENSORS
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.unzipped import file_text
from wtool.errors import Refused
from wtool.hdf5.reader import Index
from wtool.io.safetensors_header import Entry, header_text, laid_out, read_header, with_length
from wtool.io.source import Region, Source
from wtool.io.zip_unpack import member_bytes


def as_safetensors(
    made: Checkpoint, composition: Composition, members: Mapping[str, bytes], stack: ExitStack
) -> Checkpoint:
    """Returns a composed model with the header of a safetensors file in place of the HDF5 file.

    Args:
        made: the composed model without values; its index is that of the HDF5 file of an archive.
        composition: the model.
        members: the texts that an archive would hold besides the weights and the files of layers, by name.
        stack: closes the file, which has no name on the disk.

    Raises:
        Refused: the format has no name for a number type, a file of a layer is no text, or the header would not be one
            that can be read.
    """
    (index,) = made.indexes
    names = {tensor.stored: tensor.path for tensor in made.tensors}
    dtypes = {tensor.stored: tensor.dtype for tensor in made.tensors}
    entries = laid_out((names[place], dtypes[place], dataset.shape) for place, dataset in index.datasets.items())
    in_order = sorted(index.datasets, key=lambda place: index.datasets[place].offset)
    places = Places({names[place]: place for place in in_order}, _groups(index))
    texts = {name: text.decode() for name, text in members.items()}
    texts |= {name: _asset(made, old) for old, name in composition.assets.items()}
    text = header_text({**texts, PLACES: places.text()}, entries)
    with TemporaryFile() as file:
        file.write(with_length(text))
        file.truncate(len(with_length(text)) + max((each.stop for each in entries), default=0))
        source = Source(os.dup(file.fileno()), made.name)
    stack.callback(source.close)
    header = read_header(source.read, source.size)
    read = meaning_of(header)
    if [(each.path, each.stored, each.slot) for each in read.contents.tensors] != [
        (each.path, each.stored, each.slot) for each in made.tensors
    ]:
        raise Refused("the new file would be read otherwise than it is meant")
    found = {places.arrays[entry.name]: entry for entry in entries}
    return replace(
        made, format=SAFETENSORS, contents=read.contents, regions=(Region(source, 0, source.size),),
        indexes=(_index(index, found, header.size),), texts={HEADER: header.text},
    )  # fmt: skip


def _groups(index: Index) -> dict[str, dict[str, str]]:
    """Returns path of each group -> those of its attributes that are texts, which are all that readers look at."""
    return {
        path: {name: value for name, value in told.items() if isinstance(value, str)}
        for path, told in index.groups.items()
    }


def _asset(base: Checkpoint, name: str) -> str:
    """Returns the text of a file that a layer keeps in an archive, a folder or a header."""
    if name in base.texts:
        data = base.texts[name]
    elif base.parts:
        data = file_text(base.parts[name], name)
    else:
        member = next((each for each in base.members if each.name == name), None)
        if member is None:
            raise Refused(f"it has no file {name}")
        data = member_bytes(base.sources[0], member)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{name} is no text, and a safetensors file has a place for texts alone") from None


def _index(old: Index, entries: Mapping[str, Entry], start: int) -> Index:
    """Returns the index with the offsets that arrays have in the safetensors file, whose data begins at `start`."""
    datasets = {place: replace(each, offset=start + entries[place].start) for place, each in old.datasets.items()}
    return replace(old, datasets=datasets)
