"""Words that name data: what can be told about them without Keras."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from wtool.errors import Usage, WtoolError
from wtool.io import tree
from wtool.io.addresses import is_address, name_of, text_of, without_query
from wtool.option_types import split_words

FORMS = ".npz, .csv, two .npy, a folder, or package.module:function"


def paths_of(words: Any) -> list[str] | None:
    """Returns the words that name data, as texts; None for data from Python."""
    if isinstance(words, (str, os.PathLike)):
        return [text_of(words)]
    if isinstance(words, (list, tuple)) and words and all(isinstance(each, (str, os.PathLike)) for each in words):
        return [text_of(each) for each in words]
    return None


def words_in_records(words: Any) -> list[str] | None:
    """Returns the words that name data as records keep them: of an address the name alone, as of a file here."""
    paths = paths_of(words)
    return None if paths is None else [name_of(path) if is_address(path) else path for path in paths]


def is_function(word: str) -> bool:
    """Returns whether a word names a function: `package.module:function`."""
    module, colon, name = word.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def check_data(words: Any, labelled: bool = True) -> None:
    """Check that words can name data; data from Python is not looked at.

    Args:
        words: see `reading.read_data`.
        labelled: whether there have to be targets; without, a single `.npy` file will do.

    Raises:
        WtoolError: a file is missing, or of a kind that is no data.
        Usage: there are too many files.
    """
    paths = paths_of(words) or []
    for path in paths:
        kind = tree.kind_of(path) if is_address(path) else None
        if kind == tree.FOLDER:
            raise WtoolError("data in a folder has to be on this machine; copy the folder first", path)
        if kind == tree.NOTHING or not (kind or os.path.exists(path) or is_function(path)):
            raise WtoolError("no such file or folder", without_query(path))
    if len(paths) == 2 and all(name_of(path).endswith(".npy") for path in paths):
        return
    if len(paths) > 1:
        raise Usage("data is one file or folder, or two .npy files (x, then y)")
    endings = (".npz", ".csv") if labelled else (".npz", ".csv", ".npy")
    forms = FORMS if labelled else FORMS.replace("two .npy", ".npy")
    for path in paths:
        if not (is_function(path) or os.path.isdir(path) or name_of(path).endswith(endings)):
            raise WtoolError(f"no data that wtool knows: {forms}", without_query(path))


def class_weights(given: str | Mapping[Any, Any]) -> dict[int, float]:
    """Returns class -> weight of its samples, as a text such as `3=5,7=.5` or a dictionary says.

    Raises:
        Usage: a class is no whole number from 0 up, a weight is no number from 0 up, or a class is given twice.
    """
    pairs = split_words(given, "--class-weight") if isinstance(given, str) else list(given.items())
    found: dict[int, float] = {}
    for name, weight in pairs:
        try:
            number, value = int(name), float(weight)
        except (TypeError, ValueError):
            number, value = -1, -1.0
        if number < 0 or not 0 <= value < math.inf:
            raise Usage(f"--class-weight: {name}={weight} is no class and its weight, such as 3=5")
        if number in found:
            raise Usage(f"--class-weight: class {number} is given twice")
        found[number] = value
    return dict(sorted(found.items()))
