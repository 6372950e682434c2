"""From the words of a command line to the paths of the models that they name."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Sequence

from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.search import models_in, passed_by
from wtool.checkpoint.unzipped import is_saved_model, kind_of_folder
from wtool.errors import Refused, Usage, WtoolError
from wtool.io.descriptor import refuse_address


def expanded(words: Sequence[str], foreign: bool = False) -> list[tuple[str, str]]:
    """Returns (word, path of a model) for each model that the words name: files, searched folders, patterns, `-`.

    Args:
        words: of the user.
        foreign: see `search.models_in`.

    Raises:
        WtoolError: a folder or pattern has no model.
        Usage: `-` comes more than once, but standard input can be read only once.
    """
    refuse_two_streams(words)
    return [(word, path) for word in words for path in models_of(word, foreign)]


def refuse_two_streams(words: Sequence[str]) -> None:
    """Refuse `-` as more than one input.

    Raises:
        Usage: `-` comes more than once, but standard input can be read only once.
    """
    if sum(word == "-" for word in words) > 1:
        raise Usage("standard input (-) can be only one of the inputs")


def models_of(word: str, foreign: bool = False) -> list[str]:
    """Returns the paths of the models that one word names.

    Args:
        word: of the user.
        foreign: see `search.models_in`.

    Raises:
        WtoolError: a folder or pattern has no model.
        Refused: a folder is a model of a kind that wtool does not read.
        Usage: the word is an empty text.
    """
    if not word:
        raise Usage("the name of a model is empty")
    if word == "-" or os.path.isfile(word):
        return [word]
    if os.path.isdir(word):
        found = sorted(models_in(word, foreign), key=natural_key)
        if not found:
            if is_saved_model(word):
                return [word]  # the opener says what can be done with one
            if what := kind_of_folder(word):
                raise Refused(what, word)
            there = passed_by(word)
            raise WtoolError(f"a folder without models (.keras, .h5, .weights.json){there and f': {there}'}", word)
        return found
    if glob.has_magic(word):
        return [path for match in matched(word) for path in models_of(match, foreign)]
    return [word]  # the file is missing or not a regular one: the opener will say so


def matched(word: str) -> list[str]:
    """Returns the paths that a pattern matches; a word that is no pattern, or is the name of a file, stands for itself.

    Raises:
        WtoolError: the pattern matches nothing.
    """
    if os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    found = sorted(glob.glob(word, recursive=True), key=natural_key)
    if not found:
        refuse_address(word)
        raise WtoolError("no file matches this pattern", word)
    return found


def stem_and_ending(path: str) -> tuple[str, str]:
    """Returns a model's path without its extension, and the extension of what is made of it: `.keras` of a folder."""
    if os.path.isdir(path):
        path = path.rstrip(os.sep)
        return path if os.path.basename(path) not in ("", ".", "..") else os.path.abspath(path), ".keras"
    return path.removesuffix(extension(path)), extension(path)


def root_of(word: str, path: str) -> str:
    """Returns the folder below which the tree is kept: the one that was named, or in which a pattern begins.

    Args:
        word: of the user.
        path: of a model that the word names.
    """
    if path in (word, word.rstrip(os.sep)):
        return os.path.dirname(stem_and_ending(path)[0]) or "."
    if os.path.isdir(word):
        return word
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), word.split(os.sep))
    return os.sep.join(fixed) or (os.sep if word.startswith(os.sep) else ".")


def inside(word: str, path: str) -> str:
    """Returns the path of a model below the folder that the user named; see `root_of`."""
    return os.path.relpath(path, root_of(word, path))


def searched_folders(words: Sequence[str]) -> list[str]:
    """Returns the folders among the words that are searched for models, and are none themselves."""
    return [word for word in words if os.path.isdir(word) and not is_saved_model(word)]


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Returns a sort key in which numbers compare as numbers, so that `ckpt2` comes before `ckpt10`."""
    parts = re.split(r"([0-9]+)", path)
    numbers = (part.lstrip("0") if part.isascii() and part.isdigit() else None for part in parts)
    keys = (
        (0, 0, part) if number is None else (1, len(number), number)
        for part, number in zip(parts, numbers, strict=True)
    )
    return list(keys), path
