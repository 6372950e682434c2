"""Types of options: whether a value is of a type, and what the values of a type are called in messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

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
