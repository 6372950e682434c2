"""Values of a metric in the log of a training: the CSV of Keras's CSVLogger, or what `wtool resume --log` writes."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_TABLE

EPOCH = "epoch"
"""Name of the column that counts epochs."""


@dataclass(frozen=True, slots=True)
class Logged:
    """The values of a metric in a log.

    Attributes:
        values: number of each epoch, counted from 1 -> the values that lines of the epoch tell; NaN is one.
        first: the number that the log itself gives the first epoch of a training: 0 or 1.
    """

    values: Mapping[int, frozenset[float]]
    first: int

    def of(self, epochs: Sequence[int], names: Sequence[str], log: str, metric: str) -> list[float]:
        """Returns the value at the end of each epoch.

        Args:
            epochs: numbers of epochs, counted from 1 as Keras's ModelCheckpoint does in names.
            names: of the checkpoints, for messages.
            log, metric: for messages.

        Raises:
            Usage: an epoch has no value, or two different ones.
        """
        found: list[float] = []
        for epoch, name in zip(epochs, names, strict=True):
            values = self.values.get(epoch, frozenset())
            line = epoch - 1 + self.first
            if len(values) != 1:
                told = f"has {' and '.join(map(str, sorted(values)))} as the" if values else "has no"
                raise Usage(f"{log} {told} {metric} of its epoch {line}, which is that of {name}")
            found += values
        return found


def logged(path: str, metric: str) -> Logged:
    """Reads a log.

    Keras's CSVLogger counts epochs from 0, and ends lines as DOS does; `wtool resume`, like the names that
    ModelCheckpoint gives, counts from 1.

    Raises:
        WtoolError: the file cannot be read.
        Refused: the file is no log.
        Usage: the log does not have the metric.
    """
    text = _text(path)
    lines = text.splitlines()[: None if text.endswith("\n") else -1]  # a killed run may have left half a line
    is_json = text.lstrip().startswith("{")
    try:
        rows = list(_json_rows(lines) if is_json else _csv_rows(lines))
        epochs = [int(str(row[EPOCH])) for row in rows]
    except (Refused, csv.Error, KeyError, ValueError):
        raise Refused(f"is no log of training, which has a column '{EPOCH}' in CSV or JSON lines", path) from None
    names = sorted({str(name) for row in rows for name in row if name} - {EPOCH})
    if metric not in names:
        raise Usage(f"{path} has no {metric}, but {', '.join(names[:20]) or 'no metric at all'}")
    first = 0 if 0 in epochs or ("\r\n" in text and not is_json) else 1
    values: dict[int, frozenset[float]] = {}
    for epoch, row in zip(epochs, rows, strict=True):
        value = _number(row.get(metric))
        if value is not None:
            values[epoch + 1 - first] = values.get(epoch + 1 - first, frozenset()) | {value}
    return Logged(values, first)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TABLE + 1)
    except OSError as error:
        raise WtoolError(error.strerror or str(error), path) from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refused("is no text, and so no log of training", path) from None
    if len(data) > MAX_TABLE:
        raise Refused(f"is longer than the {MAX_TABLE:,} bytes that a log may have", path)
    return text


def _json_rows(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    return (parse_object(line, "a line") for line in lines if line.strip())


def _csv_rows(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a CSV whose first column is the epoch, and whose separator is what follows that column's name."""
    head = lines[0] if lines else ""
    separator = head[len(EPOCH) : len(EPOCH) + 1] if head.startswith(EPOCH) else ""
    if not separator:
        raise ValueError
    return (dict(row) for row in csv.DictReader(lines, delimiter=separator) if row[EPOCH] != EPOCH)  # a header again


def _number(value: Any) -> float | None:
    """A value as a number, all NaN as the same one; None for what is no number, such as the NA of a missing value."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return math.nan if number != number else number
