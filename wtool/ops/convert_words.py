"""Words of a conversion as values: replacements of layers, names, shapes, sizes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from blake3 import blake3

from wtool.errors import Usage, WtoolError
from wtool.io.addresses import text_of, without_query
from wtool.io.file_object import file_at
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_JSON
from wtool.ops.convert_options import Convert
from wtool.schema.upgrade.upgraded import Wishes

Told = TypeVar("Told")

MODEL = "."
"""What names the model itself, among the paths of its layers."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
"""Prefix of a unit of bytes -> bytes."""

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]I?|)B?", re.IGNORECASE)
_OPENING, _CLOSING = "[{(", "]})"


def wishes_of(options: Convert) -> Wishes:
    """Returns what a user says where a configuration does not tell.

    Raises:
        Usage: words of another form.
        WtoolError: a file that the words name cannot be read.
    """
    replacements = _once(map(_replacement, options.replace), "--replace")
    renamed = _once((_two_sides(each, "--rename", "OLD=NEW") for each in options.rename), "--rename")
    attributes = _once(map(_attributes, options.attribute), "--attribute")
    return Wishes(replacements, renamed, attributes, shape_of(options.input_shape))


def _attributes(words: str) -> tuple[str, tuple[str, ...]]:
    """Returns path of a layer, empty for the model, and the attributes that hold its layers."""
    layer, names = _two_sides(words, "--attribute", "LAYER=NAME,NAME")
    return "" if layer == MODEL else layer, tuple(name.strip() for name in names.split(","))


def _once(told: Iterable[tuple[str, Told]], option: str) -> dict[str, Told]:
    """Returns what is said under each name.

    Raises:
        Usage: two things are said under one name.
    """
    found: dict[str, Told] = {}
    for name, what in told:
        if found.setdefault(name, what) != what:
            raise Usage(f"two {option} say different things of {name or MODEL}")
    return found


def shape_of(words: str | None) -> tuple[int | None, ...] | None:
    """Returns the shape that words such as `28,28,1` or `none,3` mean; None stands for any size.

    Raises:
        Usage: the words are no shape.
    """
    if words is None:
        return None
    return tuple(map(_size, filter(None, (each.strip() for each in words.strip("()[] ").split(",")))))


def _size(word: str) -> int | None:
    if word.lower() in ("none", "null"):
        return None
    if not word.isdecimal() or int(word) < 1:
        raise Usage(f"{word!r} is no size; a shape is such as 28,28,1 or none,3")
    return int(word)


def bytes_of(size: str | None) -> int | None:
    """Returns the number of bytes that words such as `500MB`, `2GB` or `1.5GiB` mean.

    Raises:
        Usage: the words are no size, or that of less than a byte.
    """
    if size is None:
        return None
    found = _SIZE.fullmatch(size.strip())
    count = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if count < 1:
        raise Usage(f"{size!r} is no size such as 500MB or 2GB")
    return count


def _replacement(words: str) -> tuple[str, dict[str, Any]]:
    """Returns name of a layer, and the entry (`class_name`, `config`) that takes its place."""
    layer, what = _two_sides(words, "--replace", "LAYER=CLASS:key=value,key=value or LAYER=FILE.json")
    if what.lower().endswith(".json"):
        entry, _ = entry_in(what)
        if not isinstance(entry.get("class_name"), str) or not isinstance(entry.get("config"), dict):
            raise Usage("a layer in JSON has a class_name and a config, as model.to_json() writes them", what)
        return layer, entry
    class_name, _, settings = what.partition(":")
    config = {}
    for setting in _parted(settings):
        key, value = _two_sides(setting, "--replace", "key=value after CLASS:")
        config[key.strip()] = _value(value.strip())
    return layer, {"class_name": class_name.strip().removeprefix("keras.layers."), "config": config}


def entry_in(path: str | os.PathLike[str]) -> tuple[dict[str, Any], str]:
    """Returns the JSON object in a file, and the content hash of the file.

    Raises:
        WtoolError: the file cannot be read, or holds no JSON object.
    """
    name = text_of(path)
    try:
        with file_at(name) as file:
            text = file.read(MAX_JSON + 1)
        return parse_object(text, "its text"), f"blake3:{blake3(text).hexdigest()}"
    except OSError as error:
        raise WtoolError(error.strerror or str(error), name) from None
    except WtoolError as error:
        raise error.about(without_query(name)) from None


def _parted(text: str) -> Iterator[str]:
    """Yields the parts between the commas of a text that stand in no bracket."""
    start = depth = 0
    for at, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def _value(text: str) -> Any:
    """Returns a value in JSON or as Python writes it (`True`, `None`, `(1, 2)`); any other text stands for itself."""
    with suppress(ValueError):
        return json.loads(text)
    known = {"True": True, "False": False, "None": None}
    if text in known:
        return known[text]
    if text[:1] == "(" and text[-1:] == ")":
        return [_value(each.strip()) for each in _parted(text[1:-1])]
    return text


def _two_sides(words: str, option: str, form: str) -> tuple[str, str]:
    left, sign, right = words.partition("=")
    if not (left.strip() and sign and right.strip()):
        raise Usage(f"{words!r} is not {option} {form}")
    return left.strip(), right.strip()
