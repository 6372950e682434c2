"""From the words of a command line to the checkpoints that they mean."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence

from wtool.errors import Usage, WtoolError

SUFFIXES = (".keras", ".h5", ".hdf5", ".weights.json")
SHARD = re.compile(r"(.+)_\d{5}\.weights\.h5")


def expanded(words: Sequence[str]) -> list[str]:
    """Paths of models: files as they are, folders searched, patterns matched; `-` stays, for standard input.

    Raises:
        WtoolError: a folder or pattern without any model.
        Usage: `-` more than once: standard input can be read once only.
    """
    if sum(word == "-" for word in words) > 1:
        raise Usage("standard input (-) can be only one of the inputs")
    return [path for word in words for path in _models(word)]


def _models(word: str) -> list[str]:
    if word == "-" or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        found = sorted(_searched(word), key=natural_key)
        if not found:
            raise WtoolError("a folder without models (.keras, .h5, .hdf5, .weights.json)", word)
        return found
    if glob.has_magic(word):
        matched = sorted(glob.glob(word, recursive=True), key=natural_key)
        if not matched:
            raise WtoolError("no file matches this pattern", word)
        return matched
    return [word]  # does not exist, or is no regular file: opening it says so


def _searched(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        present = set(files)
        for name in files:
            shard = SHARD.fullmatch(name)
            if name.startswith(".") or (shard and f"{shard[1]}.weights.json" in present):
                continue
            if name.endswith(SUFFIXES):
                yield os.path.join(parent, name)


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which numbers compare as numbers, so that `ckpt2` comes before `ckpt10`."""
    parts = re.split(r"(\d+)", path)
    return [(1, int(part), "") if part.isdigit() and part.isascii() else (0, 0, part) for part in parts if part], path


def extension(path: str) -> str:
    """What follows a model's stem, with both parts of `.weights.h5` and `.weights.json`."""
    name = os.path.basename(path)
    for long in (".weights.h5", ".weights.json"):
        if name.endswith(long):
            return long
    return os.path.splitext(name)[1]
