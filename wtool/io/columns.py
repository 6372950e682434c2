"""Columns of tables: their names and types, and whether values are of these types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from wtool.values import dataclass

Row: TypeAlias = dict[str, Any]
"""Name of a column -> value: None, or a value of the column's kind."""

TEXT, INTEGER, NUMBER, SWITCH, TIME, TEXTS, INTEGERS = (
    "text", "integer", "number", "switch", "time", "texts", "integers",
)  # fmt: skip
"""Kinds of columns. A time is a text such as `2026-11-26T09:30:00.000001Z`, in UTC and with microseconds."""

LARGEST = 2**63 - 1
"""The largest integer that a table holds; the smallest is one further from 0."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: in lower case, with `_` between words.
        kind: one of the kinds above.
        meaning: what its values are, for people.
    """

    name: str
    kind: str
    meaning: str


def row_of(columns: Sequence[Column], values: Mapping[str, Any]) -> Row:
    """Returns the row with some values, in the order of the columns; None in those that have no value.

    A text that is no UTF-8 (the name of a file may be any bytes) is escaped. An integer that takes more than 64 bits,
    and a number that is not finite, are None.
    """
    return {each.name: _cell(each.kind, values.get(each.name)) for each in columns}


def _cell(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == TEXT:
        return as_utf8(value)
    if kind == TEXTS:
        return [as_utf8(each) for each in value]
    if kind == INTEGERS:
        return list(value)
    if kind == INTEGER:
        return value if _is_integer(value) else None
    if kind == NUMBER:
        return float(value) if math.isfinite(value) else None
    return value


def as_utf8(text: str) -> str:
    """Returns a text that UTF-8 can hold: bytes of a name that are none, and halves of characters, are escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _is_integer(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value <= LARGEST


def _is_text(value: Any) -> bool:
    return type(value) is str and as_utf8(value) == value


def _list_of(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(map(is_item, value))


_IS_OF: dict[str, Callable[[Any], bool]] = {
    TEXT: _is_text,
    TIME: _is_text,
    INTEGER: _is_integer,
    NUMBER: lambda value: type(value) in (int, float) and math.isfinite(value),
    SWITCH: lambda value: type(value) is bool,
    TEXTS: _list_of(_is_text),
    INTEGERS: _list_of(_is_integer),
}


def is_row(columns: Sequence[Column], value: Mapping[str, Any]) -> bool:
    """Returns whether an object from a file is a row of these columns: their names in their order, and their types."""
    return list(value) == [each.name for each in columns] and all(
        value[each.name] is None or _IS_OF[each.kind](value[each.name]) for each in columns
    )
