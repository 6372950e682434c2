"""A composed model as shards: which arrays each shard holds, and the map of groups to shards.

Source: `ShardedH5IOStore` of keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from wtool.checkpoint.composition import Outline
from wtool.dtypes import dtype_of
from wtool.errors import Refused
from wtool.hdf5.reader import Index

ROOT_GROUP = "vars"
"""The group of the variables that belong to the model itself: the one in the map of a model without any variable."""


def in_shards(whole: Outline, most: int | None) -> tuple[Outline, ...]:
    """Returns the outlines of shards; arrays stay in their order, and each goes into the last shard that has room.

    Args:
        whole: the outline of one file with all arrays.
        most: the most bytes of values in one shard; None for one shard.

    Raises:
        Refused: an array alone is larger than a shard may be.
    """
    if most is None:
        return (whole,)
    shards, filled = [Outline()], 0
    for path, source in whole.skeleton.sources.items():
        size = _bytes_in(whole, path)
        if size > most:
            raise Refused(
                f"{path} has {size:,} bytes, more than a shard may have ({most:,}); make shards larger (--shard-size)"
            )
        if filled + size > most:
            shards.append(Outline())
            filled = 0
        filled += size
        shard, group = shards[-1].skeleton, _group_of(path)
        shard.groups.setdefault(group, whole.skeleton.groups.get(group, {}))
        shard.put(path, source, whole.skeleton.rooms[path].attributes)
        shards[-1].meanings[path] = whole.meanings[path]
    for group, attributes in whole.skeleton.groups.items():
        if not any(group in each.skeleton.groups for each in shards):
            shards[0].skeleton.groups[group] = attributes
    return tuple(shards)


def _bytes_in(whole: Outline, path: str) -> int:
    room = whole.skeleton.rooms[path]
    size = int(room.dtype.removeprefix("opaque")) if room.dtype.startswith("opaque") else dtype_of(room.dtype).itemsize
    for length in room.shape:
        size *= length
    return size


def _group_of(path: str) -> str:
    """Returns the group of the object that an array belongs to; keys of custom classes may have slashes."""
    parts = path.split("/")
    return "/".join(parts[: len(parts) - 1 - parts[-2::-1].index("vars")])


def shard_files(indexes: Sequence[Index]) -> dict[str, tuple[str, ...]]:
    """Returns group -> the files that hold variables of the group, for new files that have no name of their own yet."""
    found: dict[str, dict[str, None]] = {}
    for name, index in zip(file_names(indexes), indexes, strict=True):
        groups = dict.fromkeys(map(_group_of, index.datasets)) or {ROOT_GROUP: None}
        for group in groups:
            found.setdefault(group, {})[name] = None
    return {group: tuple(names) for group, names in found.items()}


def file_names(indexes: Sequence[Index]) -> list[str]:
    """Returns names for new shards, which get those of their target later."""
    return [f"_{number:05d}.weights.h5" for number in range(len(indexes))]


def map_text(groups: Mapping[str, Sequence[str]], indexes: Sequence[Index]) -> bytes:
    """Returns the text of a new `.weights.json`.

    As Keras does, the map names one file for a group in one shard, which older versions of Keras need, else a list.
    """
    told = {f"/{group}": names[0] if len(names) == 1 else list(names) for group, names in groups.items()}
    total = float(sum(_sizes(indexes)))
    return json.dumps({"metadata": {"total_size": total}, "weight_map": told}, indent=4).encode()


def _sizes(indexes: Sequence[Index]) -> Iterator[int]:
    for index in indexes:
        yield from (dataset.nbytes for dataset in index.datasets.values())
