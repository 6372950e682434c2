"""A line for every epoch: on the console, and in a CSV or JSON-lines file that goes on where training goes on."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras

from wtool.errors import Refused, Usage, WtoolError
from wtool.files.json_text import parse_object
from wtool.files.publish import Draft

SUFFIXES = (".csv", ".jsonl")
FIRST = "epoch"
"""What the first column is called."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is over.

    Attributes:
        number: counted from 1 over all legs of the training.
        of: the number of the last one.
        seconds: it took.
        metrics: loss and metrics; those of validation begin with `val_`.
    """

    number: int
    of: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


class Log(keras.callbacks.Callback):
    """Tells of every epoch when it is over."""

    def __init__(self, report: Callable[[Epoch], None], of: int) -> None:
        super().__init__()
        self._report = report
        self._of = of
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell of it."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self._report(Epoch(epoch + 1, self._of, time.monotonic() - self._began, metrics))


def check_log(path: str) -> None:
    """Raise Usage unless the name says what kind of log it is."""
    if os.path.splitext(path)[1] not in SUFFIXES:
        raise Usage(f"a log is called .csv or .jsonl, not {path}")


def opened(path: str, epoch: int) -> Callable[[Epoch], None]:
    """A function that adds an epoch's line to a log; lines of epochs after `epoch`, which come again, go first.

    Raises:
        WtoolError: it cannot be read or written, or is no log of this kind.
    """
    try:
        lines = _lines(path)
        head = [] if path.endswith(".jsonl") else lines[:1]
        header = next(csv.reader(head), [])
        if head and header[:1] != [FIRST]:
            raise ValueError
        kept = head + [line for line in lines[len(head) :] if _epoch(path, line) <= epoch]
    except (ValueError, Refused):
        raise WtoolError("is there already, and is no log of training; name another with --log", path) from None
    if kept != lines:
        with Draft(path, force=True) as draft:
            draft.file.write("".join(kept).encode())
            draft.publish()
    return _json_lines(path) if path.endswith(".jsonl") else _csv_lines(path, header)


def rows(path: str) -> list[dict[str, Any]]:
    """The lines of a JSON-lines log.

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


def _append(path: str, text: str) -> None:
    with open(path, "a", newline="") as file:
        file.write(text)


def _row(epoch: Epoch) -> dict[str, Any]:
    return {FIRST: epoch.number, **epoch.metrics}


def _json_lines(path: str) -> Callable[[Epoch], None]:
    return lambda epoch: _append(path, json.dumps(_row(epoch)) + "\n")


def _csv_lines(path: str, header: list[str]) -> Callable[[Epoch], None]:
    def add(epoch: Epoch) -> None:
        row = _row(epoch)
        if header and header != list(row):
            raise WtoolError(f"has the columns {', '.join(header)}, but this training {', '.join(row)}", path)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not header:
            header.extend(row)
            writer.writerow(header)
        writer.writerow(row.values())
        _append(path, text.getvalue())

    return add
