"""The table of `wtool diff`: the tensors that differ, the largest relative difference first."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import click

from wtool.cli.console import counted, print_table
from wtool.errors import one_line

if TYPE_CHECKING:
    from wtool.run.difference import TensorDifference, ValueDifference

ROWS = 20
"""Tensors that are shown without `--all`."""

Values: TypeAlias = "Callable[[ValueDifference], str]"

VALUES: dict[str, Values] = {
    "max |d|": lambda values: f"{values.largest:.4g}",
    "at": lambda values: "" if values.where is None else ",".join(map(str, values.where)),
    "rms": lambda values: f"{values.rms:.4g}",
    "relative": lambda values: f"{values.relative:.4g}",
    "cosine": lambda values: "" if math.isnan(values.cosine) else f"{values.cosine:.6g}",
    "signs": lambda values: f"{values.sign_flips:,}",
    "zeros": lambda values: f"+{values.zeros_gained:,} -{values.zeros_lost:,}",
    "NaN": lambda values: "" if values.nans == (0, 0) else f"{values.nans[0]:,} -> {values.nans[1]:,}",
}
"""Column -> what it says of values."""

HEADER = ("tensor", "shape", "dtype", "changed", *VALUES)

SILENT = {"signs": "0", "zeros": "+0 -0", "NaN": ""}
"""Columns that are left out where they say this of all tensors."""

LEAST = ("at", "rms", "shape", "dtype", "zeros", "signs", "changed", "cosine")
"""Columns that a narrow terminal has no room for, the first one first."""


def print_tensors(tensors: Sequence[TensorDifference], show_all: bool) -> None:
    """Print a table of tensors that differ."""
    if not tensors:
        return
    ordered = sorted(tensors, key=_size, reverse=True)
    shown = ordered if show_all else ordered[:ROWS]
    columns = {name: [_cell(each, name) for each in shown] for name in HEADER}
    silent = [name for name, nothing in SILENT.items() if all(cell in (nothing, "") for cell in columns[name])]
    for name in [*silent, *([] if any(len(set(each.dtypes)) > 1 for each in shown) else ["dtype"])]:
        del columns[name]
    narrow = _without_room(columns) if sys.stdout.isatty() else []
    kept = [name for name in columns if name not in narrow]
    right = [number for number, name in enumerate(kept) if name in ("changed", *VALUES)]
    print_table(kept, list(zip(*(columns[name] for name in kept), strict=True)), right)
    if len(shown) < len(ordered):
        click.echo(f"and {counted(len(ordered) - len(shown), 'tensor')} more (--all)")
    if narrow:
        click.echo(f"no room for {', '.join(narrow)}: a wider terminal, a pipe or --json has them")


def _size(tensor: TensorDifference) -> float:
    values = tensor.values
    return math.inf if values is None or math.isnan(values.relative) else values.relative


def _without_room(columns: dict[str, list[str]]) -> list[str]:
    """Returns the columns that do not fit into the terminal."""
    widths = {name: max(map(len, map(one_line, [name, *cells]))) + 2 for name, cells in columns.items()}
    most = shutil.get_terminal_size().columns
    out: list[str] = []
    for name in LEAST:
        if sum(widths.values()) <= most:
            break
        if widths.pop(name, 0):
            out.append(name)
    return out


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
    return VALUES[name](values)


def _share(part: int, whole: int) -> str:
    """Returns a number with its share of another one."""
    if part in (0, whole):
        return "all" if part else "none"
    percent = 100 * part / whole
    return f"{part:,} ({'<1' if percent < 1 else '>99' if percent > 99 else round(percent)}%)"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
