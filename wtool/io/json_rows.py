"""Tables as JSON Lines: a row on each line, as an object with all columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from wtool.errors import Refused
from wtool.io.columns import Column, Row, is_row

MAX_LINE = 1 << 26
"""Bytes of a line that is read from a file."""


class JsonWriter:
    """Writes rows to an open file.

    Args:
        file: that is written to.
        columns, mark: as of `ParquetWriter`; every row here has the names of all columns, and the mark stands nowhere.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column], mark: Mapping[str, str]) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        """Write a row."""
        self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")

    def finish(self) -> None:
        """Write what is still missing of the table: nothing."""

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing has to be closed."""


class JsonTable:
    """Rows in a file that a stranger may have written.

    Args:
        file: an open file.
        name: of the file, for messages.

    Attributes:
        names: of the columns in the first row; None where there are no rows.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        first = next(self._objects(), None)
        self.names = None if first is None else list(first)

    def is_marked(self, mark: Mapping[str, str], names: Sequence[str]) -> bool:
        """Returns whether the first row, if there is one, has columns of these names; the mark is of no use here."""
        return self.names is None or set(names) <= set(self.names)

    def has(self, columns: Sequence[Column]) -> bool:
        """Returns whether the first row has exactly these columns."""
        return self.names in (None, [each.name for each in columns])

    def rows(self, columns: Sequence[Column], wanted: Sequence[str] = ()) -> Iterator[Row]:
        """Yields the rows, from the first one on.

        Args:
            columns: of the table.
            wanted: names of the columns that are needed; all, if empty.

        Raises:
            Refused: a line is no row of the columns.
        """
        for number, found in enumerate(self._objects(), 1):
            if not is_row(columns, found):
                raise Refused(f"line {number:,} is no row of these columns", self._name)
            yield found

    def _objects(self) -> Iterator[Row]:
        self._file.seek(0)
        number = 0
        while line := self._file.readline(MAX_LINE):
            number += 1
            try:
                found = json.loads(line) if line.endswith(b"\n") else None
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                raise Refused(f"line {number:,} is no row of a table: no JSON object, or cut short", self._name)
            yield found
