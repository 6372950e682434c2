"""Search of a folder for models: every file, with the reason why it is taken for a model or passed by."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from wtool.checkpoint.layouts.registry import ALL
from wtool.checkpoint.layouts.shards import shard_map, shard_names
from wtool.checkpoint.unzipped import ASSETS, KERAS_METADATA, OF_SAVED_MODEL, PARTS, is_model_folder
from wtool.errors import Missing, WtoolError
from wtool.io import tree
from wtool.io.addresses import folder_of, is_address, joined, trimmed
from wtool.io.limits import MAX_JSON
from wtool.io.tree import Entry, Named, Tree
from wtool.values import dataclass

SUFFIXES = tuple(sorted(ALL))
"""Endings of the names of models, in lower case."""

SHARD = re.compile(r".+_\d{5}\.weights\.h5", re.IGNORECASE)
"""Pattern of the names that Keras gives the shards of a `.weights.json`."""

MODEL, PART, HIDDEN, LINK, SPECIAL, CLOSED = "model", "part", "hidden", "link", "special", "closed"
SAVED, OTHER, NAMELESS = "saved", "other", "nameless"

TOLD = {
    HIDDEN: ("hidden file", "hidden files"),
    LINK: ("symbolic link", "symbolic links"),
    SPECIAL: ("pipe, socket or device", "pipes, sockets or devices"),
    CLOSED: ("folder that cannot be read", "folders that cannot be read"),
    SAVED: (
        "SavedModel of TensorFlow (wtool convert takes the name of its folder)",
        "SavedModels of TensorFlow (wtool convert takes the names of their folders)",
    ),
    NAMELESS: ("file whose name no address can have", "files whose names no address can have"),
    OTHER: ("file that is no model by its name", "files that are no models by their names"),
}
"""Kind of file that a search passes by -> its name for messages, singular and plural."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file or folder in a searched folder.

    Attributes:
        path: of the file.
        kind: `model` (by its name, or an unzipped one: a folder), `part` (a shard that a `.weights.json` beside it
            names, or a file of an unzipped model), `hidden` (its name or that of a folder around it begins with a dot),
            `link` (symbolic; links are never followed here), `special` (a pipe, socket or device), `closed` (a folder
            that cannot be read), `saved` (the graph of a TensorFlow SavedModel), `nameless` (in a store, under a name
            that no address can have) or `other` (no model by its name).
        of: path of the model that a part, or a link among the parts, belongs to; empty for all others.
        is_hidden: whether its name or that of a folder around it begins with a dot.
        is_folder: whether it is an unzipped model.
        size: in bytes, of a file in a store that tells it.
        version: of a file in a store that tells it: what changes with its content.
    """

    path: str
    kind: str
    of: str = ""
    is_hidden: bool = False
    is_folder: bool = False
    size: int | None = None
    version: str = ""


def listing(folder: str, within: Tree | None = None) -> Iterator[FoundFile]:
    """Yields every file below a folder, in the order of names within each folder, and every unzipped model.

    Symbolic links are listed and not followed. The contents of hidden folders are listed as hidden.

    Args:
        folder: a path or an address.
        within: the folder itself or one around it, where that is listed already.

    Raises:
        Missing: nothing is at an address.
        WtoolError: the store of an address cannot be reached, or refuses.
    """
    whole = tree.tree_of(folder) if within is None else within
    if is_address(folder) and within is None and not whole.entries(trimmed(folder)) and not tree.exists(folder):
        raise Missing(os.strerror(errno.ENOENT), folder)
    waiting = [(trimmed(folder) or os.sep, False, "")]
    while waiting:
        here, hidden, model = waiting.pop()
        try:
            entries = whole.entries(here)
        except OSError:
            yield FoundFile(here, CLOSED)
            continue
        if not model and is_model_folder(here, [entry.name for entry in entries] if is_address(here) else None):
            yield FoundFile(here, HIDDEN if hidden else MODEL, is_folder=True)
            own = dict.fromkeys((*PARTS, ASSETS), here)
        else:
            own = {}
        parts = own | (dict.fromkeys((entry.name for entry in entries), model) if model else _parts(here, entries))
        below = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append((entry.path, hidden or entry.name.startswith("."), parts.get(entry.name, "")))
            else:
                yield _listed(entry, hidden, parts)
        waiting += reversed(below)


def _listed(entry: Named, hidden: bool, parts: Mapping[str, str]) -> FoundFile:
    is_hidden = hidden or entry.name.startswith(".")
    if entry.is_symlink():
        return FoundFile(entry.path, LINK, parts.get(entry.name, ""), is_hidden)
    if not entry.is_file(follow_symlinks=False):
        return FoundFile(entry.path, NAMELESS if isinstance(entry, Entry) else SPECIAL)
    if entry.name in parts:
        return FoundFile(entry.path, PART, parts[entry.name])
    if is_hidden:
        return FoundFile(entry.path, HIDDEN)
    if entry.name in OF_SAVED_MODEL:
        return FoundFile(entry.path, SAVED)
    size, version = (entry.size, entry.version) if isinstance(entry, Entry) else (None, "")
    return FoundFile(entry.path, MODEL if is_model_name(entry.name) else OTHER, size=size, version=version)


def is_model_name(path: str) -> bool:
    """Returns whether a name ends like that of a model, in lower or upper case."""
    return path.lower().endswith(SUFFIXES)


def _parts(folder: str, entries: Iterable[Named]) -> dict[str, str]:
    """Returns name of each shard in a folder -> path of the `.weights.json` whose map names it.

    A map could name any `.h5` file; a file whose name is not that of a shard stays a model of its own.
    """
    found: dict[str, str] = {}
    for entry in entries:
        if entry.name.lower().endswith(".weights.json") and entry.is_file(follow_symlinks=False):
            names = _named_shards(joined(folder, entry.name))
            found |= {name: entry.path for name in names if SHARD.fullmatch(name)}
    return found


def files_of(model: str) -> list[str]:
    """Returns the paths of the files in which a local model is stored: one, all in its folder, or a map and shards."""
    if os.path.isdir(model):
        return [os.path.join(folder, name) for folder, _, names in os.walk(model) for name in names]
    if not model.lower().endswith(".json"):
        return [model]
    return [model, *(os.path.join(os.path.dirname(model), name) for name in _named_shards(model))]


def _named_shards(manifest: str) -> list[str]:
    with suppress(OSError, WtoolError):
        return shard_names(shard_map(tree.start_of(manifest, MAX_JSON + 1))[0])
    return []


def models_in(folder: str, foreign: bool = False, within: Tree | None = None) -> Iterator[FoundFile]:
    """Yields each model below a folder.

    Args:
        folder: that is searched.
        foreign: whether SavedModels of Keras on this machine are among the models, which only a conversion reads.
        within: see `listing`.
    """
    for entry in listing(folder, within):
        if is_searched(entry, foreign):
            yield FoundFile(folder_of(entry.path), SAVED, is_folder=True) if entry.kind == SAVED else entry


def is_searched(entry: FoundFile, foreign: bool = False) -> bool:
    """Returns whether a search takes an entry for a model; links to files count if their names are models'."""
    if foreign and entry.kind == SAVED and not is_address(entry.path):
        return os.path.isfile(os.path.join(os.path.dirname(entry.path), KERAS_METADATA))
    if entry.kind != LINK:
        return entry.kind == MODEL
    is_own = not entry.is_hidden and not entry.of
    return is_own and is_model_name(entry.path) and not os.path.isdir(entry.path)


def passed_by(folder: str, foreign: bool = False) -> str:
    """Returns counts of the files that a search passes by, `2 hidden files, 1 symbolic link`, or nothing.

    Args:
        folder, foreign: see `models_in`.
    """
    counts = Counter(entry.kind for entry in listing(folder) if not is_searched(entry, foreign))
    return ", ".join(f"{counts[kind]:,} {TOLD[kind][counts[kind] > 1]}" for kind in TOLD if counts[kind])
