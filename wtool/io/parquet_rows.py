"""Tables as Parquet files: the only module that imports pyarrow, and only where a table is read or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from io import RawIOBase
from typing import TYPE_CHECKING, Any, BinaryIO

from wtool.errors import Refused
from wtool.io.columns import INTEGER, INTEGERS, NUMBER, SWITCH, TEXT, TEXTS, TIME, Column, Row

if TYPE_CHECKING:
    import pyarrow

ROWS = 10_000
"""Rows of a row group at most: what is in memory while a table is read or written."""

TEXT_OF_GROUP = 1 << 24
"""Characters of texts in a row group, behind which it ends: a row may hold long texts."""

MAX_GROUP = 1 << 30
"""Bytes of a row group, uncompressed, that are read from a file."""

MAX_THRIFT = 1 << 26
"""Bytes and items of what Parquet calls metadata, which are read from a file."""


class _Stream(RawIOBase):
    """A file as pyarrow wants it, of one that can do no more than write and tell."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()


class ParquetWriter:
    """Writes rows to an open file. The same rows always give the same bytes with the same version of pyarrow.

    Args:
        file: that is written to, from its first byte to its last.
        columns: of the table.
        mark: what the file says of itself, key -> text.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column], mark: Mapping[str, str]) -> None:
        from pyarrow import parquet

        self._columns = columns
        self._schema = _schema(columns).with_metadata(dict(mark))
        self._writer: Any = parquet.ParquetWriter(_Stream(file), self._schema, compression="zstd", version="2.6")
        self._rows: list[Row] = []
        self._texts = 0

    def write(self, row: Row) -> None:
        """Write a row; it is in the file when its row group is full, or the table is finished."""
        self._rows.append(row)
        self._texts += sum(map(_characters, row.values()))
        if len(self._rows) >= ROWS or self._texts >= TEXT_OF_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow

        arrays = [pyarrow.array(_written(each, self._rows), _type(each)) for each in self._columns]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROWS)
        self._rows, self._texts = [], 0

    def finish(self) -> None:
        """Write what is still missing of the table."""
        if self._rows:
            self._write_group()
        self._writer.close()

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Exception):  # else pyarrow ends the table later, when its file is closed already
            self._writer.close()


class ParquetTable:
    """Rows in a file that a stranger may have written.

    Args:
        file: an open file.
        name: of the file, for messages.

    Raises:
        Refused: the file is no Parquet file, damaged, or asks for more memory than a table of ours does.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        with _refusing(name):
            from pyarrow import parquet

            limits = {"thrift_string_size_limit": MAX_THRIFT, "thrift_container_size_limit": MAX_THRIFT}
            self._file: Any = parquet.ParquetFile(file, **limits)
            self._schema: Any = self._file.schema_arrow
            groups = [self._file.metadata.row_group(at) for at in range(self._file.metadata.num_row_groups)]
            if any(each.num_rows > ROWS or each.total_byte_size > MAX_GROUP for each in groups):
                raise Refused(f"a row group has more than {ROWS:,} rows or {MAX_GROUP:,} bytes", name)

    def is_marked(self, mark: Mapping[str, str], names: Sequence[str]) -> bool:
        """Returns whether the file says some things of itself, whatever the names of its columns are."""
        told = self._schema.metadata or {}
        return all(told.get(key.encode()) == text.encode() for key, text in mark.items())

    def has(self, columns: Sequence[Column]) -> bool:
        """Returns whether the table has exactly these columns, with these types."""
        return bool(self._schema.equals(_schema(columns), check_metadata=False))

    def rows(self, columns: Sequence[Column], wanted: Sequence[str] = ()) -> Iterator[Row]:
        """Yields the rows, from the first one on.

        Args:
            columns: of the table.
            wanted: names of the columns that are needed; all, if empty.

        Raises:
            Refused: the file is damaged.
        """
        times = [each.name for each in columns if each.kind == TIME and (not wanted or each.name in wanted)]
        for group in range(self._file.metadata.num_row_groups):
            with _refusing(self._name):
                found: list[Row] = self._file.read_row_group(group, columns=list(wanted) or None).to_pylist()
                for row in found:
                    for name in times:
                        row[name] = None if row[name] is None else time_text(row[name])
            yield from found


def _characters(value: Any) -> int:
    return len(value) if type(value) is str else sum(map(_characters, value)) if type(value) is list else 0


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Refuse a file with which pyarrow is not content; its errors are of many types."""
    try:
        yield
    except (Refused, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"damaged, or no Parquet file: {first}", name) from None


def time_text(time: datetime) -> str:
    """Returns a time as `2026-11-26T09:30:00.000001Z`."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _written(column: Column, rows: Sequence[Row]) -> list[Any]:
    values = [row[column.name] for row in rows]
    if column.kind != TIME:
        return values
    return [None if each is None else datetime.fromisoformat(each.replace("Z", "+00:00")) for each in values]


def _type(column: Column) -> pyarrow.DataType:
    import pyarrow

    types = {
        TEXT: pyarrow.string(),
        INTEGER: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        SWITCH: pyarrow.bool_(),
        TIME: pyarrow.timestamp("us", "UTC"),
        TEXTS: pyarrow.list_(pyarrow.string()),
        INTEGERS: pyarrow.list_(pyarrow.int64()),
    }
    return types[column.kind]


def _schema(columns: Sequence[Column]) -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema([(each.name, _type(each)) for each in columns])
