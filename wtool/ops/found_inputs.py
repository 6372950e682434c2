"""Files by their content hashes: a search in folders that hashes each file at most once, and no more than needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import field

from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.search import CLOSED, NAMELESS, SAVED, SPECIAL, listing
from wtool.checkpoint.unzipped import is_model_folder, is_saved_model
from wtool.errors import WtoolError
from wtool.io import tree
from wtool.io.addresses import folder_of, is_address, joined, name_of
from wtool.io.descriptor import source_of
from wtool.io.source import copy
from wtool.values import dataclass
from wtool.words import Progress

Hashes = tuple[str, ...]
"""The content hashes of a model, one for each of its files, as `Checkpoint.finish` gives them."""

SEVERAL = (".json", ".index")
"""Endings of files that may be the first of several files of a model: the map of shards, the index of TensorFlow."""


@dataclass(slots=True)
class FoundInputs:
    """The files and models below some folders, by content hash.

    Attributes:
        folders: where files are looked for, or single files.
        progress: called with the files that were hashed and the files in all.
    """

    folders: Sequence[str]
    progress: Progress | None = None
    _paths: list[str] | None = None
    _hashed: set[str] = field(default_factory=set)
    _known: dict[Hashes, str] = field(default_factory=dict)

    def find(self, hashes: Hashes, name: str) -> str | None:
        """Returns the path of the file or model with these content hashes, or None if there is none.

        Files with the given name are hashed first.
        """
        if self._paths is None:
            self._paths = [path for folder in self.folders for path in _files(folder)]
        if not hashes:
            return None
        for path in sorted(self._paths, key=lambda path: name_of(path) != name):
            if hashes in self._known:
                break
            if path not in self._hashed:
                self._hashed.add(path)
                if self.progress is not None:
                    self.progress(len(self._hashed), len(self._paths))
                for found in _hashes_of(path):
                    self._known.setdefault(found, path)
        return self._known.get(hashes)


def _files(folder: str) -> Iterator[str]:
    """Yields the files of a folder and of those inside, and the folders that are models, in the order of names."""
    if not tree.is_folder(folder) or _is_model(folder):
        yield folder
    for each in listing(folder) if tree.is_folder(folder) else ():
        if each.kind not in (SPECIAL, CLOSED, NAMELESS):
            yield each.path
        if each.kind == SAVED:
            yield folder_of(each.path)


def _is_model(folder: str) -> bool:
    return is_model_folder(folder) or is_saved_model(folder)


def _hashes_of(path: str) -> Iterator[Hashes]:
    """Yields the content hash of a file, and those of the model that it or a folder is; none of what is unreadable."""
    with suppress(WtoolError, OSError):
        if tree.is_file(path):
            source = source_of(path)
            try:
                yield (source.finish(),)
            finally:
                source.close()
        if tree.is_folder(path) or path.endswith(SEVERAL):
            with open_checkpoint(path, foreign=True) as model:
                yield model.finish()


def is_file_name(name: str) -> bool:
    """Returns whether a recorded name is one that a file can have, without folders."""
    return name not in ("", ".", "..") and not any(sign in name for sign in ("/", "\0", os.sep))


def placed(path: str, name: str, folder: str) -> str:
    """Returns a path at which a file or a model has the name that a record tells: a link in a folder, or a copy.

    Args:
        path: of the file, or of a folder that is a model.
        name: the recorded name, without folders.
        folder: an own one, in which links may be made.

    Raises:
        WtoolError: nothing can have this name.
    """
    if not is_file_name(name):
        raise WtoolError(f"{name!r:.80} is no name of a file")
    if name_of(path) == name:
        return path
    if name_of(path) == f"{name}.index":
        return path.removesuffix(".index")
    target = os.path.join(folder, name)
    while os.path.lexists(target):
        folder = os.path.join(folder, "other")
        target = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
        _link(path, target)
        for shard in _shards_of(path):
            copied(joined(folder_of(path), shard), os.path.join(folder, shard))  # no link: readers refuse those
    except (OSError, ValueError) as error:
        raise WtoolError(f"cannot get the name {name!r:.80}: {getattr(error, 'strerror', error)}", path) from None
    return target


def _shards_of(path: str) -> list[str]:
    """Returns the names of the shards that a file maps; none of other files."""
    if path.endswith(".json"):
        with suppress(WtoolError), open_checkpoint(path) as model:
            return [name_of(each.name) for each in model.sources[1:]]
    return []


def _link(path: str, target: str) -> None:
    if not is_address(path):
        with suppress(OSError):
            os.symlink(os.path.abspath(path), target, os.path.isdir(path))
            return
    copied(path, target)


def copied(path: str, target: str) -> str:
    """Copies a file, which may be at an address, and returns the path of the copy."""
    source = source_of(path)
    try:
        with open(target, "wb") as file:
            copy(source, 0, source.size, file.write)
    finally:
        source.close()
    return target
