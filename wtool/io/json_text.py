"""JSON from strangers: read as data, within limits, and only where every reader reads the same values.

Readers differ: Python takes the last of two equal keys, others the first; Python alone has integers of any length, and
reads 1e999 as infinity; some readers know UTF-16, byte order marks and lone surrogates, others do not. Texts with any
of these are refused. NaN and Infinity are no JSON either, but Python writes them, and models hold them.
"""

from __future__ import annotations

import codecs
import json
import math
from collections import Counter
from typing import Any

from wtool.errors import Differs, Refused, WtoolError
from wtool.io.limits import MAX_JSON, MAX_JSON_DEPTH, MAX_JSON_VALUES

BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Byte order marks; those of UTF-32 begin with one of these, or with a NUL."""


def parse_object(text: bytes | str, what: str) -> dict[str, Any]:
    """Returns the JSON object in `text`.

    Args:
        text: bytes in UTF-8, or characters. NaN, Infinity and -Infinity may stand for numbers.
        what: names the text in errors.

    Raises:
        Differs: readers of JSON would read different values.
        Refused: the text is no JSON, is another value than an object, or is too large or too deep.
    """
    _refuse_large(text, what)
    text = _decoded(text, what) if isinstance(text, bytes) else text
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_real)
        if "\\u" in text or not text.isascii():
            json.dumps(value, ensure_ascii=False).encode()
    except Differs as error:
        raise error.within(what) from None
    except UnicodeEncodeError:
        raise Differs(f"{what} holds half of a character (a lone surrogate), which is no text") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is not readable JSON ({error})") from None
    return _shallow_object(value, what)


def parse_as_python(text: bytes | str, what: str) -> dict[str, Any]:
    """Returns the JSON object in `text` as Python's own reader gives it, also where other readers would differ.

    A caller who tells what loading a file would do needs the values that the loading program sees.

    Args:
        text: bytes or characters.
        what: names the text in errors.

    Raises:
        Refused: the text is no JSON, is another value than an object, or is too large or too deep.
    """
    _refuse_large(text, what)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is not readable JSON ({error})") from None
    return _shallow_object(value, what)


def _refuse_large(text: bytes | str, what: str) -> None:
    if len(text) > MAX_JSON:
        raise Refused(f"{what} is {len(text):,} bytes long; the limit is {MAX_JSON:,}")
    if _separators(text) > MAX_JSON_VALUES:
        raise Refused(f"{what} holds more than {MAX_JSON_VALUES:,} values")


def _shallow_object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"{what} holds {_kind(value)} where an object is expected")
    if _deeper_than(value, MAX_JSON_DEPTH):
        raise Refused(f"{what} nests more than {MAX_JSON_DEPTH} levels deep")
    return value


def refuse_unreadable(text: str | bytes, what: str) -> None:
    """Refuse to write a text that wtool could not read again.

    Args:
        text: a JSON text that an output will hold.
        what: names the text in the error.

    Raises:
        WtoolError: `parse_object` refuses the text.
    """
    try:
        parse_object(text, what)
    except Refused as error:
        raise WtoolError(f"nothing was written: the result could not be read again, since {error.message}") from None


def _decoded(text: bytes, what: str) -> str:
    if text.startswith(BYTE_ORDER_MARKS) or b"\0" in text[:4]:
        raise Differs(f"{what} begins with a byte order mark or is no UTF-8, as JSON has to be: save it as plain UTF-8")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise Differs(f"{what} is no UTF-8 ({error.reason} at byte {error.start})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise Differs(f"an object has the key {twice!r:.80} twice, and readers differ in which they take")
    return found


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else None
    if value is None or not -(1 << 63) <= value < 1 << 64:
        raise Differs(f"the number {text:.30} does not fit 64 bits, and readers differ in what they make of it")
    return value


def _real(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Differs(f"the number {text:.30} is too large, and readers differ in what they make of it")
    return value


def as_read(value: Any) -> Any:
    """Returns a value as it comes back from JSON: tuples become lists."""
    return json.loads(json.dumps(value))


def without_nan(value: Any) -> Any:
    """Returns a value with None for every NaN and infinity, which JSON does not have; tuples become lists."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _separators(text: bytes | str) -> int:
    """Returns a bound of the number of values, from above and but for one, without parsing the text."""
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
