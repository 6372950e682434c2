"""A line for every epoch, in a CSV or JSON-lines file that goes on where training goes on."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.io.drafts import write_whole
from wtool.io.json_text import parse_object

if TYPE_CHECKING:
    from wtool.training.fitting.epoch import Epoch

SUFFIXES = (".csv", ".jsonl")
FIRST = "epoch"
"""Name of the first column."""


def check_log(path: str) -> None:
    """Check the name of a log.

    Raises:
        Usage: the name ends neither in .csv nor in .jsonl.
    """
    if os.path.splitext(path)[1] not in SUFFIXES:
        raise Usage(f"a log is called .csv or .jsonl, not {path}")


def prepare_log(path: str, epoch: int, keep: bool) -> tuple[str, ...]:
    """Make a log ready for the epochs after `epoch`: lines of later epochs, which will come again, are removed.

    Args:
        path: of the log; made if it is missing.
        epoch: the last one that stays.
        keep: whether lines that go may be another training's: the log as it was then stays under another name.

    Returns:
        notes: what became of the log as it was.

    Raises:
        WtoolError: it cannot be read or written, or is no log of this kind.
    """
    try:
        lines = _lines(path)
        head = [] if path.endswith(".jsonl") else lines[:1]
        if head and _header(path)[:1] != [FIRST]:
            raise ValueError
        kept = head + [line for line in lines[len(head) :] if _epoch(path, line) <= epoch]
    except (ValueError, Refused):
        raise WtoolError("is there already, and is no log of training; name another with --log", path) from None
    _append(path, "")
    notes: tuple[str, ...] = ()
    if keep and kept != lines:
        aside = _free_name(path)
        shutil.copyfile(path, aside)
        notes = (f"{path} had epochs after {epoch} already: as it was, it is {aside} now",)
    text = "".join(kept).encode()
    if len(text) != os.path.getsize(path):
        write_whole(path, text)
    return notes


def writer(path: str) -> Callable[[Epoch], None]:
    """Returns a function that adds an epoch's line to a log."""
    return partial(_add_json if path.endswith(".jsonl") else _add_csv, path)


def rows(path: str) -> list[dict[str, Any]]:
    """Returns the lines of a JSON-lines log.

    Raises:
        Refused: it holds something else.
    """
    try:
        return [parse_object(line, "a line") for line in _lines(path)]
    except ValueError:
        raise Refused("is no log of training", path) from None


def _lines(path: str) -> list[str]:
    try:
        with open(path, newline="") as file:
            return [line for line in file if line.endswith("\n")]  # a killed run may have left half a line
    except FileNotFoundError:
        return []


def _epoch(path: str, line: str) -> int:
    number = parse_object(line, "a line").get(FIRST) if path.endswith(".jsonl") else line.split(",")[0]
    return int(str(number))


def _header(path: str) -> list[str]:
    return next(csv.reader(_lines(path)[:1]), [])


def _free_name(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    return next(name for name in (f"{stem}-{number}{suffix}" for number in count(1)) if not os.path.exists(name))


def _append(path: str, text: str) -> None:
    with open(path, "a", newline="") as file:
        file.write(text)


def _add_json(path: str, epoch: Epoch) -> None:
    _append(path, json.dumps(_row(epoch)) + "\n")


def _add_csv(path: str, epoch: Epoch) -> None:
    """Add a line; where an earlier run had other metrics, all lines get the columns of both."""
    row, header = _row(epoch), _header(path)
    if set(row) <= set(header):
        _append(path, _csv([row], header))
        return
    before = list(csv.DictReader(_lines(path)))
    columns = list(dict.fromkeys([*header, *row]))
    write_whole(path, _csv([dict(zip(columns, columns, strict=True)), *before, row], columns).encode())


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n").writerows(rows)
    return text.getvalue()


def _row(epoch: Epoch) -> dict[str, Any]:
    return {FIRST: epoch.number, **epoch.metrics}
