"""From the words of a command line to the checkpoints that they mean."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence

from wtool.checkpoint.search import is_searched, listing, passed_by
from wtool.checkpoint.unzipped import kind_of_folder
from wtool.errors import Refused, Usage, WtoolError


def expanded(words: Sequence[str]) -> list[tuple[str, str]]:
    """(word, path of a model that it means): files as they are, folders searched, patterns matched; `-` stays.

    Raises:
        WtoolError: a folder or pattern without any model.
        Usage: `-` more than once: standard input can be read once only.
    """
    refuse_two_streams(words)
    return [(word, path) for word in words for path in models_of(word)]


def refuse_two_streams(words: Sequence[str]) -> None:
    """Raise Usage if `-` comes more than once: standard input can be read once only."""
    if sum(word == "-" for word in words) > 1:
        raise Usage("standard input (-) can be only one of the inputs")


def models_of(word: str) -> list[str]:
    """Paths of the models that one word means.

    Raises:
        WtoolError: a folder or pattern without any model.
        Refused: a folder that holds a model of a kind which wtool does not read.
    """
    if word == "-" or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        found = sorted((entry.path for entry in listing(word) if is_searched(entry)), key=natural_key)
        if not found:
            if what := kind_of_folder(word):
                raise Refused(what, word)
            there = passed_by(word)
            raise WtoolError(f"a folder without models (.keras, .h5, .weights.json){there and f': {there}'}", word)
        return found
    if glob.has_magic(word):
        return [path for match in matched(word) for path in models_of(match)]
    return [word]  # does not exist, or is no regular file: opening it says so


def matched(word: str) -> list[str]:
    """What a pattern matches; a word that is none, or that is there as it is, itself.

    Raises:
        WtoolError: a pattern that matches nothing.
    """
    if os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    found = sorted(glob.glob(word, recursive=True), key=natural_key)
    if not found:
        raise WtoolError("no file matches this pattern", word)
    return found


def searched_folders(words: Sequence[str]) -> list[str]:
    """The folders among the words that are searched for models."""
    return [word for word in words if os.path.isdir(word)]


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which numbers compare as numbers, so that `ckpt2` comes before `ckpt10`."""
    parts = re.split(r"([0-9]+)", path)
    numbers = (part.lstrip("0") if part.isascii() and part.isdigit() else None for part in parts)
    keys = (
        (0, 0, part) if number is None else (1, len(number), number)
        for part, number in zip(parts, numbers, strict=True)
    )
    return list(keys), path
