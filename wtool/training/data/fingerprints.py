"""Fingerprints of data for the lineage: hashes of the contents of files, and of the listings of folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from blake3 import blake3

from wtool.checkpoint.lineage import Input
from wtool.io.addresses import is_address
from wtool.training.data.fetched import local_copy
from wtool.training.data.words import paths_of


def entries(words: Any, role: str) -> list[Input]:
    """Returns a lineage input for each file or folder that the words name; functions and data from Python have none.

    Args:
        words: see `reading.read_data`.
        role: what the data is for.
    """
    found = []
    for path in paths_of(words) or ():
        if os.path.isdir(path):
            found.append(Input.at(os.path.abspath(path), [_of_folder(path)], {"as": role}))
        elif is_address(path) or os.path.isfile(path):
            copy = local_copy(path)
            told = os.stat(copy)
            found.append(Input.at(path, [_of_file(copy, told.st_size, told.st_mtime_ns)], {"as": role}))
    return found


@lru_cache
def _of_file(path: str, size: int, changed: int) -> str:
    """Returns the hash of a file's content; a file is read again when its size or time has changed."""
    digest = blake3(max_threads=blake3.AUTO)
    digest.update_mmap(path)
    return f"blake3:{digest.hexdigest()}"


def _of_folder(path: str) -> str:
    """Returns the hash of names and sizes of all files; their contents are read only by the training."""
    digest = blake3()
    for name, size in sorted(_listed(path)):
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return f"blake3:{digest.hexdigest()}"


def _listed(path: str) -> Iterator[tuple[str, int]]:
    """Yields files, also in folders to which links in `path` lead, but not further; a broken link has no size."""
    links = [entry.path for entry in os.scandir(path) if entry.is_symlink() and entry.is_dir()]
    for top in (path, *links):
        for folder, _, names in os.walk(top):
            for name in names:
                file = os.path.join(folder, name)
                yield os.path.relpath(file, path), os.path.getsize(file) if os.path.exists(file) else -1
