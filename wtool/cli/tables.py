"""The tables of all commands: whole numbers and names in a pipe, and on a terminal as much as fits.

A terminal that is too narrow for a table gets names that are shortened in the middle, and fewer columns. A number is
never split or shortened, and a line never wraps.
"""

from __future__ import annotations

import math
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

import click

from wtool.errors import counted, one_line
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.run.action import Action

GAP = "  "
CUT = "..."
NAME, PROSE = 24, 30
"""Characters of a name, and of the sentence at the end of a row, for which columns of lower rank are left out."""

SHORTEST = 8
"""Characters of a name where there is room for nothing else."""

HEADS = (1 / 2, 1 / 3, 2 / 3, 1 / 6, 5 / 6, 0.0, 1.0)
"""Shares of a shortened name that stand before the cut; the first one that tells most names apart is taken."""


@dataclass(slots=True)
class _Column:
    """A column of a table, and how wide it is drawn."""

    name: str
    cells: list[str]
    is_right: bool
    is_prose: bool
    width: int = 0
    least: int = 0

    def __post_init__(self) -> None:
        self.width = max(map(_width, (self.name, *self.cells)))
        self.least = self.width
        if not self.is_right:
            self.least = min(self.width, max(_width(self.name), PROSE if self.is_prose else NAME))

    def lines(self) -> list[list[str]]:
        """Returns the lines of the name and of each cell, none of them wider than the column."""
        texts = [self.name, *self.cells]
        if self.is_prose:
            return [[_cut(line, self.width, HEADS[0]) for line in wrapped(text, self.width)] for text in texts]
        return [[text] for text in (texts if self.is_right else shortened(texts, self.width))]


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
    is_error: bool = False,
    least: Sequence[str] = (),
) -> None:
    """Print a table. A column is left out if none of its cells has a text, and so is a table without rows.

    Args:
        header: name of each column.
        rows: the cells of each row.
        right: indices of the columns of numbers, which are right-aligned. The last column is prose if it is none of
            these, and wraps between words; all others are names.
        is_error: print on standard error instead of standard output.
        least: names of the columns that a narrow terminal has no room for, the first one first.
    """
    stream = sys.stderr if is_error else sys.stdout
    columns = [
        _Column(name, [one_line(row[at]) for row in rows], at in right, at == len(header) - 1 and at > 0)
        for at, name in enumerate(header)
        if any(row[at] for row in rows)
    ]
    if not columns:
        return
    gone = _fit(columns, least, room) if (room := room_of(stream)) else []
    for number, line in enumerate(_lines(columns)):
        is_header = number == 0 and room and is_styled(stream)
        print(click.style(line, bold=True) if is_header else line, file=stream)
    stream.flush()  # so that the reader who has left is noticed here
    if gone:
        print_text(f"no room for {', '.join(gone)}: a wider terminal, a pipe or --json has them", is_error)


def print_actions(actions: Mapping[str, Action], is_error: bool = False) -> None:
    """Print what would become of tensors: a line for each, and one for all slots of the optimizer that are kept."""
    kept = [path for path, each in actions.items() if each.kind == "kept" and path.startswith("optimizer/")]
    rows = [[path, str(each)] for path, each in actions.items() if path not in set(kept)]
    if len(kept) > 1:
        rows.append([f"optimizer/... ({counted(len(kept), 'variable')})", "kept"])
    elif kept:
        rows.append([kept[0], "kept"])
    print_table(["tensor", "what would become of it"], rows, is_error=is_error)


def print_text(text: str, is_error: bool = False) -> None:
    """Print a line on standard output or standard error; a terminal gets one that is wrapped between words."""
    stream = sys.stderr if is_error else sys.stdout
    room = room_of(stream)
    for number, line in enumerate(wrapped(one_line(text), room - len(GAP)) if room else [one_line(text)]):
        print(f"{GAP if number else ''}{line}", file=stream)


def room_of(stream: TextIO) -> int | None:
    """Returns the columns of the terminal behind a stream; None if it is a pipe or file, where nothing is cut."""
    if not stream.isatty():
        return None
    import shutil  # slow to import, and no pipe needs it

    fallback = shutil.get_terminal_size().columns
    if "COLUMNS" in os.environ:
        return fallback
    try:
        return os.get_terminal_size(stream.fileno()).columns or fallback
    except OSError:
        return fallback


def is_styled(stream: TextIO) -> bool:
    """Returns whether text on a stream may be bold: on terminals that can, of users who do not refuse it."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def lined_up(values: Sequence[float | None], digits: int) -> list[str]:
    """Returns numbers of a column with as many significant digits each, and their decimal points below each other.

    Args:
        values: the numbers; None stands for an empty cell.
        digits: significant digits, zeros at the end included: `0.795970` above `0.823678`.
    """
    texts = ["" if value is None else _number(value, digits) for value in values]
    behind = [len(text) - (text + ".").index(".") for text in texts]
    most = max((size for text, size in zip(texts, behind, strict=True) if text), default=0)
    return [text + " " * (most - size) if text else "" for text, size in zip(texts, behind, strict=True)]


def _number(value: float, digits: int) -> str:
    text = f"{value:#.{digits}g}"
    return text.removesuffix(".") if math.isfinite(value) else f"{value:g}"


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Returns names no longer than a width, shortened in the middle; different names stay different if possible.

    Of a list with commas, as many entries as there is room for are kept.
    """
    long = {name for name in names if _width(name) > width}
    others = set(names) - long
    best: dict[str, str] = {}
    for found in _attempts(long, width) if long else ():
        if not best or _different(found, others) > _different(best, others):
            best = found
        if _different(best, others) == len(long) + len(others):
            break
    return [best.get(name, name) for name in names]


def _different(found: dict[str, str], others: set[str]) -> int:
    return len({*found.values(), *others})


def _attempts(long: set[str], width: int) -> Iterator[dict[str, str]]:
    """Yields ways to shorten names: cut at several places, and at last to what surrounds the first difference."""
    for share in HEADS:
        yield {name: _shorter(name, width, share) for name in long}
    start = max(0, _common_start(min(long), max(long)) - width // 2)
    yield {name: CUT + _cut(name[start:], width - len(CUT), 1.0) for name in long}


def _common_start(first: str, last: str) -> int:
    """Returns how many characters two names have in common at their starts."""
    pairs = enumerate(zip(first, last, strict=False))
    return next((number for number, (left, right) in pairs if left != right), min(len(first), len(last)))


def _shorter(name: str, width: int, share: float) -> str:
    kept = ""
    for entry in name.split(", ")[:-1]:
        longer = f"{kept}{entry}, "
        if _width(longer) + len(CUT) > width:
            break
        kept = longer
    return f"{kept}{CUT}" if kept else _cut(name, width, share)


def _cut(text: str, width: int, share: float) -> str:
    """Returns a text with `...` in place of its middle if it is wider than a width."""
    if _width(text) <= width:
        return text
    room = max(0, width - len(CUT))
    head = round(room * share)
    return f"{_first(text, head)}{CUT}{_first(text[::-1], room - head)[::-1]}"[: max(1, width)]


def _first(text: str, width: int) -> str:
    """Returns as many characters of the start of a text as fit."""
    if text.isascii():
        return text[:width]
    taken = 0
    for number, each in enumerate(text):
        taken += _width(each)
        if taken > width:
            return text[:number]
    return text


def _width(text: str) -> int:
    """Returns how many columns of a terminal a text takes: two for East Asian characters, none for accents."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def wrapped(text: str, width: int) -> list[str]:
    """Returns the lines of a text, which end between words; a word that is longer than the width stays whole."""
    if _width(text) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if _width(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fit(columns: list[_Column], least: Sequence[str], room: int) -> list[str]:
    """Make columns as narrow as a terminal, and leave some out if needed; returns the names of those."""
    gone = []
    for name in least:
        if _total(columns) <= room:
            break
        found = [column for column in columns if column.name == name]
        gone += [name for _ in found]
        columns[:] = [column for column in columns if column not in found]
    flexible = sorted((column for column in columns if not column.is_right), key=lambda column: column.width)
    if _total(columns) > room:
        for column in flexible:
            column.least = min(column.least, SHORTEST)
    spare = max(0, room - _total(columns))
    for left, column in zip(range(len(flexible), 0, -1), flexible, strict=True):
        more = min(column.width - column.least, spare // left)
        column.width = column.least + more
        spare -= more
    return gone


def _total(columns: Sequence[_Column]) -> int:
    """Returns how many columns of a terminal a table takes at least."""
    return sum(column.least for column in columns) + len(GAP) * (len(columns) - 1)


def _lines(columns: Sequence[_Column]) -> Iterator[str]:
    """Yields the lines of a table, the header first."""
    for cells in zip(*(column.lines() for column in columns), strict=True):
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (_padded(part, column) for part, column in zip(parts, columns, strict=True))
            yield GAP.join(padded).rstrip()


def _padded(text: str, column: _Column) -> str:
    blanks = " " * (column.width - _width(text))
    return blanks + text if column.is_right else text + blanks
