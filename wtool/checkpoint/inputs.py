"""From the words of a command line to the paths of the models that they name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.search import is_model_name, models_in, passed_by
from wtool.checkpoint.unzipped import is_saved_model, kind_of_folder
from wtool.errors import Refused, Usage, WtoolError
from wtool.io import tree
from wtool.io.addresses import below, folder_of, is_address, is_below, name_of, trimmed
from wtool.values import dataclass


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
    """Returns the paths of the models that one word names; see `named_models`."""
    return [each.path for each in named_models(word, foreign)]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that a word of the user names.

    Attributes:
        word: of the user.
        path: of the model, or `-`.
        is_folder: whether the model is a folder: an unzipped one, or a SavedModel.
        size: in bytes, of a file in a store that was listed.
        version: of a file in a store that was listed: what changes with its content.
    """

    word: str
    path: str
    is_folder: bool = False
    size: int | None = None
    version: str = ""


def named_models(word: str, foreign: bool = False) -> list[NamedModel]:
    """Returns the models that one word names.

    Args:
        word: of the user.
        foreign: see `search.models_in`.

    Raises:
        WtoolError: a folder or pattern has no model; or the store of an address cannot be reached, or refuses.
        Refused: a folder is a model of a kind that wtool does not read.
        Usage: the word is an empty text.
    """
    if not word:
        raise Usage("the name of a model is empty")
    return [each for match in matched(word) for each in _models_in(word, match, foreign)]


def _models_in(word: str, match: tree.Match, foreign: bool) -> list[NamedModel]:
    """Returns the model that a path is, or those that are found there; what is missing, the opener tells."""
    path = match.path
    if match.kind != tree.FOLDER:
        return [NamedModel(word, path, False, match.size, match.version)]
    found = sorted(models_in(path, foreign, match.within), key=lambda each: natural_key(each.path))
    if not found:
        if is_saved_model(path):
            return [NamedModel(word, path, True)]  # the opener says what can be done with one
        if what := kind_of_folder(path):
            raise Refused(what, path)
        there = passed_by(path)
        raise WtoolError(f"a folder without models (.keras, .h5, .weights.json){there and f': {there}'}", path)
    return [NamedModel(word, each.path, each.is_folder, each.size, each.version) for each in found]


def _kind_of(word: str) -> str:
    """Returns whether a word names a file (or is `-`) or a folder; the store is not asked where an address tells it.

    An address that ends in a slash is a folder, and one that ends like a model and has no wildcards is a file.
    """
    if word == "-":
        return tree.FILE
    if is_address(word) and not tree.has_magic(word):
        if tree.ends_like_folder(word):
            return tree.FOLDER
        if is_model_name(name_of(word)):
            return tree.FILE
    return tree.kind_of(word)


def matched(word: str) -> list[tree.Match]:
    """Returns what a pattern matches; a word that is no pattern, or that names something, stands for itself.

    Raises:
        WtoolError: the pattern matches nothing; or the store of an address cannot be reached, or refuses.
    """
    if tree.has_magic(word):
        tree.refuse_wild_bucket(word)
    kind = _kind_of(word)
    if kind != tree.NOTHING or not tree.has_magic(word) or (not is_address(word) and os.path.lexists(word)):
        return [tree.Match(word, kind)]
    found = sorted(tree.matches(word), key=lambda each: natural_key(each.path))
    if not found:
        raise WtoolError("no file matches this pattern", word)
    return [replace(each, kind=_kind_of(each.path)) if each.kind is None else each for each in found]


def stem_and_ending(path: str, is_folder: bool | None = None) -> tuple[str, str]:
    """Returns a model's path without its extension, and the extension of what is made of it: `.keras` of a folder.

    Args:
        path: of the model.
        is_folder: whether it is a folder; None where that is to be looked at. (Of an address, the name tells that.)
    """
    if is_address(path):
        path = trimmed(path)
        has_ending = is_model_name(name_of(path)) if is_folder is None else not is_folder
        ending = extension(path) if has_ending else ".keras"
        return path.removesuffix(extension(path)) if has_ending else path, ending
    if os.path.isdir(path) if is_folder is None else is_folder:
        path = path.rstrip(os.sep)
        return path if os.path.basename(path) not in ("", ".", "..") else os.path.abspath(path), ".keras"
    return path.removesuffix(extension(path)), extension(path)


def root_of(word: str, path: str, is_folder: bool | None = None) -> str:
    """Returns the folder below which the tree is kept: the one that was named, or in which a pattern begins.

    Args:
        word: of the user.
        path: of a model that the word names.
        is_folder: see `stem_and_ending`.
    """
    if path in (word, trimmed(word)):
        return folder_of(stem_and_ending(path, is_folder)[0]) or "."
    if is_below(word, path) if is_address(word) else os.path.isdir(word):
        return word
    fixed = tree.fixed_part(word)
    return folder_of(path) or "." if path == fixed else fixed  # a folder that a pattern matches may be a model itself


def inside(word: str, path: str) -> str:
    """Returns the path of a model below the folder that the user named; see `root_of`."""
    return below(root_of(word, path), path)


def searched_folders(words: Sequence[str]) -> list[str]:
    """Returns the folders among the words that are searched for models, and are none themselves."""
    return [word for word in words if _kind_of(word) == tree.FOLDER and not is_saved_model(word)]


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Returns a sort key in which numbers compare as numbers, so that `ckpt2` comes before `ckpt10`."""
    parts = re.split(r"([0-9]+)", path)
    numbers = (part.lstrip("0") if part.isascii() and part.isdigit() else None for part in parts)
    keys = (
        (0, 0, part) if number is None else (1, len(number), number)
        for part, number in zip(parts, numbers, strict=True)
    )
    return list(keys), path
