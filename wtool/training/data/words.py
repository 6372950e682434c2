"""Words that name data: what can be told about them without Keras."""

from __future__ import annotations

import os
from typing import Any

from wtool.errors import Usage, WtoolError

FORMS = ".npz, .csv, two .npy, a folder, or package.module:function"


def paths_of(words: Any) -> list[str] | None:
    """Returns the words that name data, as texts; None for data from Python."""
    if isinstance(words, (str, os.PathLike)):
        return [os.fspath(words)]
    if isinstance(words, (list, tuple)) and words and all(isinstance(each, (str, os.PathLike)) for each in words):
        return [os.fspath(each) for each in words]
    return None


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
        if not os.path.exists(path) and not is_function(path):
            raise WtoolError("no such file or folder", path)
    if len(paths) == 2 and all(path.endswith(".npy") for path in paths):
        return
    if len(paths) > 1:
        raise Usage("data is one file or folder, or two .npy files (x, then y)")
    endings = (".npz", ".csv") if labelled else (".npz", ".csv", ".npy")
    forms = FORMS if labelled else FORMS.replace("two .npy", ".npy")
    for path in paths:
        if not (is_function(path) or os.path.isdir(path) or path.endswith(endings)):
            raise WtoolError(f"no data that wtool knows: {forms}", path)
