"""The table of `wtool diff`: the tensors that differ, the largest relative difference first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from wtool.cli.tables import lined_up, print_table
from wtool.errors import counted

if TYPE_CHECKING:
    from wtool.run.difference import TensorDifference, ValueDifference

ROWS = 20
"""Tensors that are shown without `--all`."""

FLOATS: dict[str, tuple[int, Callable[[ValueDifference], float | None]]] = {
    "max |d|": (4, lambda values: values.largest),
    "rms": (4, lambda values: values.rms),
    "relative": (4, lambda values: values.relative),
    "cosine": (6, lambda values: None if math.isnan(values.cosine) else values.cosine),
}
"""Column -> significant digits of its numbers, and the number that it has of values."""

TEXTS: dict[str, Callable[[ValueDifference], str]] = {
    "at": lambda values: "" if values.where is None else ",".join(map(str, values.where)),
    "signs": lambda values: f"{values.sign_flips:,}",
    "zeros": lambda values: f"+{values.zeros_gained:,} -{values.zeros_lost:,}",
    "NaN": lambda values: "" if values.nans == (0, 0) else f"{values.nans[0]:,} -> {values.nans[1]:,}",
}
"""Column -> what it says of values."""

NUMBERS = ("changed", "max |d|", "at", "rms", "relative", "cosine", "signs", "zeros", "NaN")
HEADER = ("tensor", "shape", "dtype", *NUMBERS)

SILENT = {"signs": "0", "zeros": "+0 -0"}
"""Columns that are left out where they say this of all tensors."""

LEAST = ("at", "rms", "shape", "dtype", "zeros", "signs", "changed", "cosine")
"""Columns that a narrow terminal has no room for, the first one first."""


def print_tensors(tensors: Sequence[TensorDifference], show_all: bool) -> None:
    """Print a table of tensors that differ."""
    if not tensors:
        return
    ordered = sorted(tensors, key=_size, reverse=True)
    shown = ordered if show_all else ordered[:ROWS]
    columns = [_column(shown, name) for name in HEADER]
    right = [HEADER.index(name) for name in NUMBERS]
    print_table(HEADER, list(zip(*columns, strict=True)), right, least=LEAST)
    if len(shown) < len(ordered):
        click.echo(f"and {counted(len(ordered) - len(shown), 'tensor')} more (--all)")


def _size(tensor: TensorDifference) -> float:
    values = tensor.values
    return math.inf if values is None or math.isnan(values.relative) else values.relative


def _column(tensors: Sequence[TensorDifference], name: str) -> list[str]:
    """Returns the cells of a column; they are empty where they would say nothing of all tensors."""
    if name in FLOATS:
        digits, number = FLOATS[name]
        return lined_up([None if each.values is None else number(each.values) for each in tensors], digits)
    cells = [_cell(each, name) for each in tensors]
    is_silent = set(cells) <= {SILENT.get(name, ""), ""}
    is_one_dtype = name == "dtype" and all(len(set(each.dtypes)) == 1 for each in tensors)
    return [""] * len(cells) if is_silent or is_one_dtype else cells


def _cell(tensor: TensorDifference, name: str) -> str:
    values = tensor.values
    if name == "tensor":
        return tensor.path if tensor.path == tensor.other_path else f"{tensor.path} -> {tensor.other_path}"
    if name in ("shape", "dtype"):
        return " -> ".join(dict.fromkeys(map(_shape, tensor.shapes) if name == "shape" else tensor.dtypes))
    if values is None:
        return ""
    if name == "changed":
        return _share(values.changed, math.prod(tensor.shapes[0]))
    return TEXTS[name](values)


def _share(part: int, whole: int) -> str:
    """Returns a number with its share of another one."""
    if part in (0, whole):
        return "all" if part else "none"
    percent = 100 * part / whole
    return f"{part:,} ({'<1' if percent < 1 else '>99' if percent > 99 else round(percent)}%)"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
