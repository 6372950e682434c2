"""What data is, as lineages tell it: the content of files, and the listing of folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from blake3 import blake3

from wtool.files.lineage import lineage_entry
from wtool.training.data import named


def entries(words: Any, role: str) -> list[dict[str, Any]]:
    """A lineage entry for each file or folder that words for data name; functions and data from Python have none.

    Args:
        words: see `data.read`.
        role: what the data is for.
    """
    found = []
    for path in named(words) or ():
        if os.path.isdir(path):
            found.append(lineage_entry(os.path.abspath(path), [_of_folder(path)], {"as": role}))
        elif os.path.isfile(path):
            told = os.stat(path)
            found.append(lineage_entry(path, [_of_file(path, told.st_size, told.st_mtime_ns)], {"as": role}))
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
    for name, size in sorted(_listed(path, "")):
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    return f"blake3:{digest.hexdigest()}"


def _listed(folder: str, place: str) -> Iterator[tuple[str, int]]:
    for entry in os.scandir(folder):
        name = f"{place}{entry.name}"
        if entry.is_dir():
            yield from _listed(entry.path, f"{name}/")
        else:
            yield name, entry.stat().st_size
