"""Values of a metric in the log of a training: the CSV of Keras's CSVLogger, or what `wtool resume --log` writes."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wtool.errors import Refused, Usage, WtoolError
from wtool.io.file_object import file_at
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_TABLE
from wtool.values import dataclass

EPOCH = "epoch"
"""Name of the column that counts epochs."""

MOST = 1 << 53  # epochs: whole numbers that a float64 still tells apart


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


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a log, in their order.

    Attributes:
        epochs: number of the epoch of each line, as the log counts.
        rows: name of a metric -> what the line has for it.
        first: the number that the log gives the first epoch of a training: 0 or 1.
    """

    epochs: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    first: int

    @property
    def names(self) -> list[str]:
        """Names of the metrics, in the order of the log."""
        return [name for name in dict.fromkeys(name for row in self.rows for name in row) if name and name != EPOCH]

    def values(self, metric: str) -> list[tuple[int, float]]:
        """Returns (epoch, counted from 1, value) of each line that has a number for a metric, NaN included."""
        found = [(epoch, _number(row.get(metric))) for epoch, row in zip(self.epochs, self.rows, strict=True)]
        return [(epoch + 1 - self.first, value) for epoch, value in found if value is not None]


def read_log(path: str) -> Log:
    """Reads a log.

    Keras's CSVLogger counts epochs from 0, and ends lines as DOS does; `wtool resume`, like the names that
    ModelCheckpoint gives, counts from 1.

    Raises:
        WtoolError: the file cannot be read.
        Refused: the file is no log.
    """
    text = _text(path)
    lines = text.splitlines()[: None if text.endswith("\n") else -1]  # a killed run may have left half a line
    is_json = text.lstrip().startswith("{")
    try:
        rows = list(_json_rows(lines) if is_json else _csv_rows(lines))
        epochs = [_epoch(row[EPOCH]) for row in rows]
    except (Refused, csv.Error, KeyError, ValueError):
        raise Refused(f"is no log of training, which has a column '{EPOCH}' in CSV or JSON lines", path) from None
    return Log(epochs, rows, 0 if 0 in epochs or ("\r\n" in text and not is_json) else 1)


def logged(path: str, metric: str) -> Logged:
    """Reads the values of a metric in a log.

    Raises:
        WtoolError: the file cannot be read.
        Refused: the file is no log.
        Usage: the log does not have the metric.
    """
    log = read_log(path)
    if metric not in log.names:
        raise Usage(f"{path} has no {metric}, but {', '.join(sorted(log.names)[:20]) or 'no metric at all'}")
    values: dict[int, frozenset[float]] = {}
    for epoch, value in log.values(metric):
        values[epoch] = values.get(epoch, frozenset()) | {value}
    return Logged(values, log.first)


def _text(path: str) -> str:
    try:
        with file_at(path) as file:
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


def _epoch(value: Any) -> int:
    number = int(str(value))
    if abs(number) >= MOST:
        raise ValueError
    return number


def _number(value: Any) -> float | None:
    """A value as a number, all NaN as the same one; None for what is no number, such as the NA of a missing value."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return math.nan if number != number else number
