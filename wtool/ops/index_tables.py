"""The files of indexes: their formats, and what an index from before still tells of its models."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import field
from itertools import groupby
from typing import BinaryIO, TypeAlias

from wtool.checkpoint.file_stamps import ModelStamp
from wtool.checkpoint.inputs import natural_key
from wtool.errors import Refused, Usage, WtoolError
from wtool.io.columns import Column, Row
from wtool.io.json_rows import JsonTable, JsonWriter
from wtool.io.parquet_rows import ParquetTable, ParquetWriter
from wtool.values import dataclass
from wtool.version import __version__

MARK = {"wtool": "index"}
"""What a Parquet file says of itself if it is an index."""

NAMES = ("path", "stamp", "wtool", "hash", "error")
"""Columns by which an index is known, and that tell whether its rows are still true."""

LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"


Writer: TypeAlias = JsonWriter | ParquetWriter
Table: TypeAlias = JsonTable | ParquetTable


def format_of(output: str, is_stream: bool) -> tuple[type[Writer], type[Table]]:
    """Returns what writes and what reads an index.

    Args:
        output: its path.
        is_stream: whether it is standard output, or another stream, which gets JSON Lines.

    Raises:
        Usage: the ending of the name is none of an index.
    """
    ending = os.path.splitext(output)[1].lower()
    if ending == PARQUET and not is_stream:
        return ParquetWriter, ParquetTable
    if ending in LINES or is_stream:
        return JsonWriter, JsonTable
    raise Usage(f"an index is a table: the output's name has to end in {PARQUET} or {LINES[0]}", output)


@dataclass(slots=True)
class Before:
    """The index from before, as far as its rows are still true.

    Attributes:
        output: path of the index.
        table: its rows; None where there is no index, or nothing of it is of use.
        columns: of its rows.
        stamps: path of a model -> stamp of its files then, for models whose rows may be kept.
        paths: of all its models.
        rows: how many there are.
        notes: why nothing of it is of use, or not all.
    """

    output: str
    table: Table | None = None
    columns: Sequence[Column] = ()
    stamps: dict[str, str] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    rows: int = 0
    notes: list[str] = field(default_factory=list)

    def is_true_of(self, path: str, stamp: ModelStamp | None) -> bool:
        """Returns whether the rows of a model may be kept.

        Args:
            path: of the model, as its rows tell it.
            stamp: of its files now.
        """
        return stamp is not None and self.stamps.get(path) == stamp.text

    def models(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Yields the path and the rows of each model, in the order of the index; the rows are read before the next."""
        if self.table is not None:
            yield from groupby(self.table.rows(self.columns), lambda row: row["path"])


def before(file: BinaryIO, output: str, kind: type[Table], columns: Sequence[Column], has_statistics: bool) -> Before:
    """Reads what an index from before tells of its models.

    Args:
        file: the open index.
        output: its path.
        kind: what reads it.
        columns: that the new index has.
        has_statistics: whether the new index has statistics.

    Raises:
        WtoolError: the file is no index, damaged, or not in the order of its paths.
    """
    try:
        table = kind(file, output)
        if not table.is_marked(MARK, NAMES):
            raise Refused("its columns are others")
        if not table.has(columns):
            return Before(
                output, notes=[f"{output} has the columns of other options, or of another version: made anew"]
            )
        return _looked_through(output, table, columns, has_statistics)
    except Refused as error:
        text = f"is there already, and is no index that can be brought up to date ({error.message})"
        raise WtoolError(f"{text}; --force replaces it", output) from None


def _looked_through(output: str, table: Table, columns: Sequence[Column], has_statistics: bool) -> Before:
    found = Before(output, table, columns)
    versions: set[str] = set()
    other_options = 0
    last: tuple[object, str] | None = None
    for path, rows in groupby(table.rows(columns, NAMES), lambda row: row["path"]):
        key = natural_key(_text(path))
        if last is not None and key <= last:
            raise Refused("its rows are not in the order of their paths")
        last = key
        row, *others = rows
        found.rows += 1 + len(others)
        found.paths.add(path)
        if row["error"] is not None or row["stamp"] is None:
            continue
        if row["wtool"] != __version__:
            versions.add(_text(row["wtool"]))
        elif (row["hash"] is not None) is not has_statistics:
            other_options += 1
        else:
            found.stamps[path] = row["stamp"]
    if versions:
        found.notes.append(f"the rows that wtool {', '.join(sorted(versions)[:3])} made are made anew")
    if other_options:
        found.notes.append(f"the rows {'without' if has_statistics else 'with'} statistics are made anew")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("a row tells no path or no version of wtool")
    return value


def merged(
    paths: Iterable[str], kept: Collection[str], old: Before, new: Iterator[tuple[str, list[Row]]]
) -> Iterator[tuple[str, Iterator[Row]]]:
    """Yields the path and the rows of each model of the new index; both indexes are gone through once.

    Args:
        paths: of all models, in the order of the indexes.
        kept: paths of the models whose rows are those of the old index.
        old: the old index.
        new: path and rows of each of the other models, in the order of `paths`.

    Raises:
        WtoolError: the old index is another one by now.
    """
    models = old.models()
    for path in paths:
        if path not in kept:
            read, rows = next(new)
            assert read == path
            yield path, iter(rows)
            continue
        for name, found in models:
            if name == path:
                yield path, found
                break
        else:
            raise WtoolError("was changed by somebody else since this command began; run the command again", old.output)
