"""Values of a step's options, read by the type of the option, as the command line reads them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from wtool.errors import Usage
from wtool.option import checked
from wtool.option_types import alternatives, called, is_list
from wtool.recipes.document import Items, Node, Scalar, Table
from wtool.recipes.operations import Argument

_SWITCHES = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
}


def value_of(node: Node, argument: Argument) -> Any:
    """Returns the value of an argument.

    Args:
        node: what the recipe says.
        argument: the argument.

    Raises:
        Usage: the value is of another type, is no choice, or is out of its range.
    """
    if isinstance(node, Scalar) and node.is_empty:
        raise Usage(f"{argument.word} has no value")
    kind = argument.kind
    return checked(argument.word, kind, _read(node, kind, argument), argument.known)


def _read(node: Node, kind: Any, argument: Argument) -> Any:
    kinds = alternatives(kind)
    of_items = next((each for each in kinds if is_list(each)), None)
    if isinstance(node, Table):
        if not any(get_origin(each) is Mapping or each is Mapping for each in kinds):
            raise Usage(f"{argument.word} is {called(kind) if kind is not Any else 'a path'}, and no words with values")
        return {word.text: _plain(each, argument) for word, each in node.entries}
    if isinstance(node, Items):
        if of_items is None and kind is not Any:
            raise Usage(f"{argument.word} is {called(kind)}, and no list")
        items = tuple(_item(each, of_items, argument) for each in node.items)
        is_mixed = of_items == Sequence[Any] and any(isinstance(each, str) for each in items)
        return tuple(map(str, items)) if is_mixed else items  # several texts, as of a repeated option
    if of_items == Sequence[float]:
        return _numbers(node, argument)
    if of_items is not None and float not in kinds and not _is_path(kinds):
        return (_item(node, of_items, argument),)
    return _scalar(node, kinds)


def _item(node: Node, of_items: Any, argument: Argument) -> Any:
    if not isinstance(node, Scalar):
        raise Usage(f"{argument.word} is a list of single values")
    kind = get_args(of_items)[0] if of_items is not None else Any
    return _plain(node, argument) if kind is Any and of_items is not None else _scalar(node, alternatives(kind))


def _plain(node: Node, argument: Argument) -> Any:
    """Returns a number where a value is one, and else a text; a list of such."""
    if isinstance(node, Items):
        return [_plain(each, argument) for each in node.items]
    if isinstance(node, Table):
        raise Usage(f"{argument.word} has words in words")
    return node.text if node.is_quoted else _scalar(node, (float, str))


def _scalar(node: Scalar, kinds: Sequence[Any]) -> Any:
    """Returns a value of the first type that a text is of; the text where none is."""
    value = node.value
    if not isinstance(value, str):
        return value
    if bool in kinds and not node.is_quoted and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    if int in kinds:
        number = _number(value)
        return int(number) if number is not None and number.is_integer() and value.lstrip("+-").isdigit() else value
    if float in kinds:
        number = _number(value)
        return value if number is None else number
    return value


def _numbers(node: Scalar, argument: Argument) -> tuple[Any, ...]:
    if not isinstance(node.value, str):
        return (node.value,)
    found = [_number(each) for each in node.value.split(",")]
    if None in found:
        raise Usage(f"{argument.word} is a list of numbers, not {node.value!r}")
    return tuple(found)


def _number(text: str) -> float | None:
    try:
        number = float(text.replace("_", "x"))  # Python alone has underscores in numbers
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _is_path(kinds: Sequence[Any]) -> bool:
    return any(get_origin(each) is os.PathLike for each in kinds)
