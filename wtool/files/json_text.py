"""JSON from strangers: read as data, within limits."""

from __future__ import annotations

import json
from typing import Any

from wtool.errors import Refused
from wtool.files.limits import MAX_JSON, MAX_JSON_DEPTH, MAX_JSON_VALUES


def parse_object(text: bytes | str, what: str) -> dict[str, Any]:
    """The JSON object in `text`; `what` names it in errors. NaN and Infinity are read, as Keras reads them.

    Raises:
        Refused: no JSON, another value than an object, or one too large or too deep.
    """
    if len(text) > MAX_JSON:
        raise Refused(f"{what} is {len(text):,} bytes long; the limit is {MAX_JSON:,}")
    if _separators(text) > MAX_JSON_VALUES:
        raise Refused(f"{what} holds more than {MAX_JSON_VALUES:,} values")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is not readable JSON ({error})") from None
    if not isinstance(value, dict):
        raise Refused(f"{what} holds {_kind(value)} where an object is expected")
    if _deeper_than(value, MAX_JSON_DEPTH):
        raise Refused(f"{what} nests more than {MAX_JSON_DEPTH} levels deep")
    return value


def as_read(value: Any) -> Any:
    """A value as JSON gives it back: tuples are lists."""
    return json.loads(json.dumps(value))


def _separators(text: bytes | str) -> int:
    """At least as many as there are values, but for one."""
    if isinstance(text, str):
        return sum(map(text.count, ",:[{"))
    return sum(map(text.count, (b",", b":", b"[", b"{")))


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")


def _deeper_than(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)  # type: ignore[attr-defined]
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
