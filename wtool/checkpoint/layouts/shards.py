"""Sharded weights: a `.weights.json` that maps groups to HDF5 files beside it (Keras 3.10 and newer)."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wtool.checkpoint.indexing import indexed
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.layout import Opening
from wtool.checkpoint.lineage import lineage_in
from wtool.checkpoint.model import Checkpoint, Contents
from wtool.checkpoint.other_formats import ARCHITECTURE
from wtool.errors import Differs, Missing, Refused, WtoolError
from wtool.hdf5.reader import Dataset, Index, Value
from wtool.io.addresses import folder_of, is_address, joined
from wtool.io.descriptor import source_of
from wtool.io.json_text import parse_object
from wtool.io.source import Region, Source
from wtool.io.system import UNFOLLOWED

MAX_SHARDS = 10_000
"""Files of a sharded checkpoint. Keras makes shards of gigabytes."""


def shard_map(text: bytes) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """Returns what a `.weights.json` says: group (no slash in front) -> names of its shards; and the metadata.

    Raises:
        Differs: the map has two entries for one group.
        Refused: the text is no such map, or names anything but plain files beside itself.
    """
    parsed = parse_object(text, "the weights.json")
    weight_map, metadata = parsed.get("weight_map"), parsed.get("metadata")
    if "class_name" in parsed and "config" in parsed:
        raise Refused(ARCHITECTURE)
    if not isinstance(weight_map, dict):
        raise Refused("JSON without a weight_map: neither a .weights.json nor any other Keras model")
    groups = {path.strip("/"): _names(path, value) for path, value in weight_map.items()}
    if len(groups) < len(weight_map):
        raise Differs("the weight_map has two entries for one group: no telling which is meant")
    if len(shard_names(groups)) > MAX_SHARDS:
        raise Refused(f"the weight_map names more than {MAX_SHARDS:,} files")
    return groups, metadata if isinstance(metadata, dict) else {}


def shard_names(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the names of the shards in a map, each once, in the order of the map."""
    return list(dict.fromkeys(name for shards in groups.values() for name in shards))


def _names(path: str, value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise Refused(f"the weight_map's entry {path!r} is not a file name or a list of them")
        if name != os.path.basename(name) or "\\" in name or "\0" in name or not name.endswith(".h5"):
            raise Refused(f"the weight_map names {name!r}, which is no .weights.h5 file beside it")
    return tuple(names)


def open_shard(manifest: str, name: str) -> Source:
    """Returns the shard `name` in the folder of `manifest`, open; symbolic links are not followed.

    Raises:
        WtoolError: the shard is missing, unreadable, or a link.
    """
    if manifest == "-":
        raise WtoolError("a .weights.json cannot be piped: its shards are in the files beside it", manifest)
    path = joined(folder_of(manifest), name)
    if is_address(path):
        try:
            found = source_of(path)
        except Missing as error:
            raise Refused(f"its shard {name!r} cannot be opened ({error.message})") from None
        found.name = name
        return found
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise Refused(f"its shard {name!r} is a symbolic link, which may lead anywhere")
        return Source(os.open(path, UNFOLLOWED), name)
    except OSError as error:
        raise Refused(f"its shard {name!r} cannot be opened ({error.strerror})") from None


def merged_index(groups: Mapping[str, Sequence[str]], names: Sequence[str], indexes: Sequence[Index]) -> Index:
    """Returns one index of all shards, as if they were one file.

    Raises:
        Refused: a group is not in the shard that should have it, or a variable is in two.
    """
    for path, shards in groups.items():
        for name in shards:
            if path not in indexes[names.index(name)].groups:
                raise Refused(f"the weight_map says that {path!r} is in {name!r}, but it is not")
    attributes: dict[str, Mapping[str, Value]] = {}
    datasets: dict[str, Dataset] = {}
    for index in indexes:
        for path, values in index.groups.items():
            attributes[path] = {**attributes.get(path, {}), **values}
        for path, dataset in index.datasets.items():
            if path in datasets:
                raise Refused(f"{path} is in two shards: no telling which is meant")
            datasets[path] = dataset
    return Index(sum(index.size for index in indexes), attributes, datasets)


def contents_of(
    groups: Mapping[str, Sequence[str]],
    names: Sequence[str],
    indexes: Sequence[Index],
    config: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> Contents:
    """Returns the contents of all shards together, with the number of its shard in each tensor.

    Args:
        groups: group -> names of its shards.
        names: of all shards, in the order of `indexes`.
        indexes: of the shards.
        config: the architecture; None for weights alone.
        version: of the Keras that wrote the architecture.
    """
    found = keras3.contents(merged_index(groups, names, indexes), config, version)
    where = {path: shard for shard, index in enumerate(indexes) for path in index.datasets}
    return replace(found, tensors=tuple(replace(each, shard=where[each.stored]) for each in found.tensors))


def opened(source: Source, opening: Opening) -> Checkpoint:
    """Open a `.weights.json` and the shards beside it.

    Raises:
        Refused: the map or a shard is damaged, or the map names files that are not beside it.
        WtoolError: another process replaced the map meanwhile, and removed the shards of the old one.
    """
    manifest = source.read(0, source.size)
    groups, metadata = shard_map(manifest)
    names = shard_names(groups)
    try:
        sources = [opening.adopt(open_shard(source.name, name)) for name in names]
    except Refused:
        if source.is_replaced():
            text = "was changed by somebody else while it was being opened; nothing was written, run the command again"
            raise WtoolError(text) from None
        raise
    parts = [indexed(Region(shard, 0, shard.size), opening) for shard in sources]
    indexes = [index for _, index in parts]
    kept = {path: shards for path, shards in groups.items() if path.split("/")[0] not in opening.drop}
    contents = contents_of(kept, names, indexes)
    return Checkpoint(
        name=source.name, format="weights.json", keras_version=None, config=None, contents=contents,
        lineage=lineage_in(metadata), sources=(source, *sources), regions=tuple(region for region, _ in parts),
        indexes=tuple(indexes), texts={"weights.json": manifest}, notes=contents.notes, closing=opening.stack.pop_all(),
    )  # fmt: skip


def configurations(source: Source, opening: Opening) -> list[tuple[str, dict[str, Any]]]:
    """Returns nothing: shards come without a configuration."""
    return []
