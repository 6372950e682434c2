"""What data is, as lineages tell it: the content of files, and the listing of folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from blake3 import blake3

from wtool.checkpoint.lineage import Input
from wtool.training.data.words import paths_of


def entries(words: Any, role: str) -> list[Input]:
    """A lineage entry for each file or folder that words for data name; functions and data from Python have none.

    Args:
        words: see `data.read`.
        role: what the data is for.
    """
    found = []
    for path in paths_of(words) or ():
        if os.path.isdir(path):
            found.append(Input.at(os.path.abspath(path), [_of_folder(path)], {"as": role}))
        elif os.path.isfile(path):
            told = os.stat(path)
            found.append(Input.at(path, [_of_file(path, told.st_size, told.st_mtime_ns)], {"as": role}))
    return found


@lru_cache
def _of_file(path: str, size: int, changed: int) -> str:
    """The hash of a file's content; size and time say when it has to be read again."""
    digest = blake3(max_threads=blake3.AUTO)
    digest.update_mmap(path)
    return f"blake3:{digest.hexdigest()}"


def _of_folder(path: str) -> str:
    """The hash of the names and sizes of all files: contents are read only when they are trained with."""
    digest = blake3()
    for name, size in sorted(_listed(path)):
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return f"blake3:{digest.hexdigest()}"


def _listed(path: str) -> Iterator[tuple[str, int]]:
    """Files, also in folders that links in `path` lead to, but not further; a link that leads nowhere has no size."""
    links = [entry.path for entry in os.scandir(path) if entry.is_symlink() and entry.is_dir()]
    for top in (path, *links):
        for folder, _, names in os.walk(top):
            for name in names:
                file = os.path.join(folder, name)
                yield os.path.relpath(file, path), os.path.getsize(file) if os.path.exists(file) else -1
