"""Types of options: whether a value is of a type, what values are called in messages, and how texts give them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from wtool.errors import Usage, one_line

_CALLED = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    os.PathLike: "a path",
    Mapping: "a dictionary",
}
_SEVERAL = {float: "numbers", str: "texts", os.PathLike: "paths", Any: "values"}


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the types of a union, such as `float | None`; of any other type, the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def is_list(kind: Any) -> bool:
    """Returns whether the values of a type are lists."""
    return get_origin(kind) in (tuple, Sequence)


def plain(kind: Any, value: Any) -> Any:
    """Returns a value in Python's own types, as JSON and comparisons need them.

    A number of NumPy becomes Python's. Where the type has lists, an array or an iterator becomes a tuple: an iterator
    would be empty once it was checked.
    """
    lists = [one for one in alternatives(kind) if is_list(one)]
    if kind is Any:
        return value
    if not lists or isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return _plain_number(value)
    try:
        items = [_plain_number(each) for each in value]
    except TypeError:  # an array without dimensions says that it is iterable
        return value
    return items if isinstance(value, list) else tuple(items)


def _plain_number(value: Any) -> Any:
    if type(value).__name__ in ("bool", "bool_"):  # NumPy's own is neither a bool nor a number
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def is_number(value: Any) -> bool:
    """Returns whether a value is a number of Python; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fits(kind: Any, value: Any) -> bool:
    """Returns whether a plain value is of a type, such as `float | None`, `Sequence[str]` or `Any`."""
    return any(_is_of(one, value) for one in alternatives(kind))


def _is_of(kind: Any, value: Any) -> bool:
    if kind is Any:
        return True
    if kind in (int, float):
        return is_number(value) and (kind is float or isinstance(value, int))
    if not is_list(kind):
        return isinstance(value, get_origin(kind) or kind)
    of = [one for one in get_args(kind) if one is not Ellipsis]
    is_pair = get_origin(kind) is tuple and Ellipsis not in get_args(kind)
    if not isinstance(value, (list, tuple)) or (is_pair and len(value) != len(of)):
        return False
    return all(fits(of[0], each) for each in value)


def called(kind: Any) -> str:
    """Returns what the values of a type are called: `a number`, `a list of texts`, `a path or a list of paths`."""
    known = [one for one in alternatives(kind) if one is not NoneType]
    if any(get_origin(one) is os.PathLike for one in known):
        known.remove(str)  # a path may be a text
    return " or ".join(map(_called, known))


def _called(kind: Any) -> str:
    if is_list(kind):
        of = get_args(kind)
        several = _SEVERAL[get_origin(alternatives(of[0])[-1]) or of[0]]
        return f"a list of {several}" if get_origin(kind) is Sequence or Ellipsis in of else f"{len(of)} {several}"
    return "a function" if get_origin(kind) is Callable else _CALLED[get_origin(kind) or kind]


_SWITCHES = {"yes": True, "no": False, "true": True, "false": False}


def read_words(text: str, types: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Returns the values that a text such as `ratio=.05,cutoff=3,biases=yes` gives to parameters, by parameter.

    A word is the name of a parameter, or an ending of the name that no other parameter has: `ratio` is
    `volatility_ratio`. A parameter whose values are lists takes one item from each of its words.

    Args:
        text: words and values with commas between them.
        types: parameter -> type of its values: numbers, whole numbers, texts, switches (yes or no), lists of texts.
        option: name of the option that has the text, for messages.

    Raises:
        Usage: no parameter has a word, several may be meant, one is given twice, or a value is of another type.
    """
    found: dict[str, Any] = {}
    for word, value in split_words(text, option):
        name = parameter_of(word, types, option)
        kind = types[name]
        item = _read(value, get_args(kind)[0] if is_list(kind) else kind)
        if item is None:
            told = "yes or no" if bool in alternatives(kind) else called(kind)
            raise Usage(f"{option}: {name} is {told}, not {one_line(repr(value))}")
        if name in found and not is_list(kind):
            raise Usage(f"{option}: {name} is given twice")
        found[name] = (*found.get(name, ()), item) if is_list(kind) else item
    return found


def split_words(text: str, option: str) -> list[tuple[str, str]]:
    """Returns the words and values of a text such as `ratio=.05,cutoff=3`, as they stand there.

    Raises:
        Usage: a part of the text is no word with a value.
    """
    pairs = []
    for part in text.split(","):
        word, sign, value = (each.strip() for each in part.partition("="))
        if not (word and sign and value):
            raise Usage(f"{option}: {part!r} is no word with a value, such as word=value,word=value")
        pairs.append((word, value))
    return pairs


def parameter_of(word: str, types: Mapping[str, Any], option: str) -> str:
    """Returns the name of the parameter that a word means.

    Raises:
        Usage: no parameter has the word, or several may be meant.
    """
    name = word.replace("-", "_")
    found = [name] if name in types else [each for each in types if each.endswith(f"_{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise Usage(f"{option}: {word!r} may be {' or '.join(found)}")
    from difflib import get_close_matches  # slow to import, and seldom needed

    endings = {each.split("_", start)[-1]: each for each in types for start in range(each.count("_"), -1, -1)}
    near = [endings[each] for each in get_close_matches(name, endings, n=1)]
    near += [each for each in types if each.startswith(f"{name}_")]
    hint = f"did you mean {near[0]}?" if near else f"its words are {', '.join(types)}"
    raise Usage(f"{option} has no word {word!r}; {hint}")


def _read(text: str, kind: Any) -> Any:
    """Returns the value of a type that a text says, or None if the text says no such value."""
    kinds = alternatives(kind)
    if bool in kinds:
        return _SWITCHES.get(text.lower())
    if str in kinds:
        return text
    try:
        number = int(text) if float not in kinds else float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number
