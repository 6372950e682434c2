"""Files of arrays: `.npz`, `.npy` and `.csv`."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import WtoolError, in_short
from wtool.io.addresses import is_address, name_of, without_query
from wtool.training.data.fetched import local_copy
from wtool.training.data.words import paths_of

PARTS = {
    "train": ("train", ""),
    "test": ("test", ""),
    "validation": ("val", "valid", "validation", "", "test"),
}
"""Purpose of the data -> endings of the arrays' names in a `.npz` file, the most usual one first."""


def of_npy(path: str) -> Array:
    """Returns the array of a `.npy` file, mapped into memory.

    Raises:
        WtoolError: it is none, or one of pickled objects.
    """
    copy = local_copy(path)
    try:
        found: Array = np.load(copy, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's reader raises what it likes
        raise WtoolError(f"no array that can be mapped ({in_short(error)})", without_query(path)) from error
    return found


def of_npz(path: str, inputs: Sequence[str], outputs: Sequence[str], part: str) -> Any:
    """Returns (x,), (x, y) or (x, y, sample weights) from a `.npz` file.

    Args:
        path: of the file.
        inputs, outputs: what the model calls them.
        part: one of `PARTS`.

    Raises:
        WtoolError: it is none, has pickled objects, or has none of the names.
    """
    copy = local_copy(path)
    try:
        with np.load(copy, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:  # NumPy's reader raises what it likes
        hint = "; texts are saved as numpy.array(texts, dtype=str)" if "Object arrays" in str(error) else ""
        raise WtoolError(f"no .npz file of arrays ({in_short(error)}){hint}", path) from error
    for ending in PARTS[part]:
        usual = [f"{name}_{ending}".rstrip("_") for name in ("x", "y", "sample_weight")]
        if usual[0] in arrays:
            return tuple(arrays[name] for name in usual if name in arrays)
    if inputs and set(inputs) <= arrays.keys():
        return _by_name(arrays, inputs, outputs)
    usual_ending, called = PARTS[part][0], ", ".join(inputs)
    wanted = f"x and y, x_{usual_ending} and y_{usual_ending}, or arrays called like the model's inputs ({called})"
    raise WtoolError(f"holds {', '.join(arrays) or 'nothing'}; wanted are {wanted}", path)


def names_in(path: str) -> set[str]:
    """Returns the names of the arrays in a `.npz` file; none of any other file."""
    if not name_of(path).endswith(".npz") or not (is_address(path) or os.path.isfile(path)):
        return set()
    copy = local_copy(path)
    try:
        with np.load(copy, allow_pickle=False) as stored:
            return set(stored.files)
    except Exception:  # NumPy's reader raises what it likes; reading it says what is wrong
        return set()


def has_test_part(words: Any) -> bool:
    """Returns whether data is a `.npz` file with test samples beside those for training."""
    return names_in((paths_of(words) or [""])[0]) >= {"x_train", "x_test"}


def held_out_is_test(words: Any) -> bool:
    """Returns whether the part `validation` of data is its test part: a `.npz` file has no other that is held out."""
    names = names_in((paths_of(words) or [""])[0])
    return "x_test" in names and not names & {"x", "x_val", "x_valid", "x_validation"}


def _by_name(arrays: dict[str, Array], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    x = {name: arrays[name] for name in inputs}
    targets = {name: arrays[name] for name in outputs if name in arrays}
    y: list[Any] = [targets] if len(targets) > 1 else [*targets.values(), *_some(arrays, "y")][:1]
    return (x, *y, *(_some(arrays, "sample_weight") if y else []))


def _some(arrays: dict[str, Array], name: str) -> list[Array]:
    return [arrays[name]] if name in arrays else []


def of_csv(path: str) -> tuple[Array, Array]:
    """Returns (x, y) from columns of numbers: the last column is y, as integers if all its values are whole.

    A first line of names is skipped.

    Raises:
        WtoolError: it is something else.
    """
    try:
        with open(local_copy(path), newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file), [])
            file.seek(0)
            skip = int(_are_names(first))
            is_empty = not any(line.strip() for number, line in enumerate(file) if number >= skip)
            file.seek(0)
            table = np.empty((0, 0)) if is_empty else _table(file, skip)
    except (ValueError, csv.Error) as error:
        raise WtoolError(_odd_cell(path) or f"no table of numbers ({in_short(error)})", path) from error
    if not table.size or table.shape[1] < 2:
        raise WtoolError("needs rows, and at least two columns with commas between them: the last one is y", path)
    y = table[:, -1]
    whole = bool(np.isfinite(y).all()) and np.array_equal(y, np.rint(y)) and np.abs(y).max() < 2**53
    return table[:, :-1], y.astype(np.int64) if whole else y


def _table(file: Any, skip: int) -> Array:
    return np.loadtxt(file, delimiter=",", skiprows=skip, ndmin=2, comments=None, quotechar='"')


def _are_names(cells: Sequence[str]) -> bool:
    """Returns whether a first line holds names of columns: words, or words and numbers of columns."""
    numbers = [(at, cell.strip()) for at, cell in enumerate(cells) if _number(cell) is not None]
    words = [cell for cell in cells if _number(cell) is None and cell.strip()]
    return bool(words) and all(cell in (str(at), str(at + 1)) for at, cell in numbers)


def _number(cell: str) -> float | None:
    """Returns a number as NumPy reads it: unlike Python, NumPy takes no `1_000` and no digits of other scripts."""
    try:
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def _odd_cell(path: str) -> str:
    """Returns what is wrong with a table, and in which line."""
    try:
        with open(local_copy(path), newline="", encoding="utf-8-sig") as file:
            return next(_odd_cells(csv.reader(file)), "")
    except (ValueError, csv.Error):
        return ""


def _odd_cells(rows: Any) -> Iterator[str]:
    width = None
    for number, row in enumerate(rows, 1):
        if not row or (number == 1 and _are_names(row)):
            continue
        width = len(row) if width is None else width
        if len(row) != width:
            yield f"line {rows.line_num} has {len(row)} columns, and those before it {width}"
        odd = next((cell for cell in row if _number(cell) is None), None)
        if odd is not None:
            yield f"line {rows.line_num}: {odd[:40]!r} is no number; columns have commas between them"
