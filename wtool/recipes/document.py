"""The text of a recipe as a tree of values with their places. YAML is read as data: no tags, and no object is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from wtool.errors import Usage, WtoolError, one_line
from wtool.io.descriptor import source_of
from wtool.recipes.faults import Fault, Faulty, Place
from wtool.values import dataclass

MOST_BYTES = 1 << 20
"""The largest recipe."""

MOST_NODES = 20_000
"""The most values of a recipe, where an alias counts as all that it stands for."""

DEEPEST = 20
"""How deep values of a recipe may stand in others."""

NOWHERE = Place()
"""The place of a recipe that is a value of Python."""

_TAG = "tag:yaml.org,2002:"
_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "value")}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, or a number, True, False or None from Python.

    Attributes:
        value: the text as it stands in the file, or the value of Python.
        place: where it stands.
        is_quoted: whether it stands in quotes, so that it is nothing but a text.
    """

    value: Any
    place: Place
    is_quoted: bool = False

    @property
    def text(self) -> str:
        """The value as a text."""
        return str(self.value)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return self.value is None or (not self.is_quoted and self.value in ("", "~", "null", "Null", "NULL"))


@dataclass(frozen=True, slots=True)
class Items:
    """A list of values."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """Words, each with its value."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place


Node: TypeAlias = Scalar | Items | Table


def read(path: str) -> Node:
    """Returns what a recipe's file says.

    Args:
        path: of the file, or `-` for standard input.

    Raises:
        Faulty: the file is no YAML, or has parts of YAML that no recipe needs.
        WtoolError: the file is missing or too large, or PyYAML is not installed.
    """
    source = source_of(path, "recipe")
    try:
        if source.size > MOST_BYTES:
            raise Usage(f"has {source.size:,} bytes, and a recipe has at most {MOST_BYTES:,}", path)
        data = source.read(0, source.size)
    finally:
        source.close()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Faulty(path, [Fault(Place(line, 1), "is no text in UTF-8")]) from None
    return _composed(text, path)


def _composed(text: str, path: str) -> Node:
    try:
        import yaml
    except ModuleNotFoundError:
        raise WtoolError("recipes need PyYAML: pip install 'wtool[recipes]'") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)
        problem = str(error.problem or error.context)
        hint = "; a word with others below it ends in a colon, as in - pack:" if "mapping values" in problem else ""
        raise Faulty(path, [Fault(place, f"is no YAML: {problem}{hint}")]) from None
    except yaml.YAMLError as error:
        raise Faulty(path, [Fault(Place(1, 1), f"is no YAML: {one_line(str(error))}")]) from None
    except RecursionError:
        raise Faulty(path, [Fault(Place(1, 1), "has values in values in values, deeper than a recipe goes")]) from None
    if root is None:
        raise Faulty(path, [Fault(Place(1, 1), "says nothing: a recipe is a list of steps, such as - prune")])
    reader = _Reader(path)
    found = reader.node(root, 0)
    if reader.faults:
        raise Faulty(path, reader.faults)
    return found


class _Reader:
    """Makes values of the nodes that PyYAML composes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self.faults: list[Fault] = []

    def node(self, node: Any, depth: int) -> Node:
        place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
        self._count += 1
        if self._count > MOST_NODES or depth > DEEPEST:
            told = (
                f"has more than {MOST_NODES:,} values" if depth <= DEEPEST else "has values in values, without an end"
            )
            raise Faulty(self._path, [Fault(place, told)])
        if node.tag not in _TAGS:
            self.faults.append(Fault(place, f"the tag {node.tag.removeprefix(_TAG)!r}: a recipe has none"))
        if node.id == "scalar":
            return Scalar(node.value, place, node.style is not None)
        if node.id == "sequence":
            return Items(tuple(self.node(each, depth + 1) for each in node.value), place)
        return Table(tuple(self._entries(node, depth)), place)

    def _entries(self, node: Any, depth: int) -> list[tuple[Scalar, Node]]:
        found: list[tuple[Scalar, Node]] = []
        seen: set[str] = set()
        for left, right in node.value:
            word = self.node(left, depth + 1)
            value = self.node(right, depth + 1)
            if not isinstance(word, Scalar):
                self.faults.append(Fault(word.place, "stands where a word is expected"))
            elif word.text in seen:
                self.faults.append(Fault(word.place, f"{word.text!r} is here twice"))
            else:
                seen.add(word.text)
                found.append((word, value))
        return found


def of_python(value: Any, place: Place = NOWHERE, depth: int = 0) -> Node:
    """Returns a recipe that is a value of Python: lists and dictionaries, as YAML would give them.

    Raises:
        Usage: a value is of another type, or they stand too deep in each other.
    """
    if depth > DEEPEST:
        raise Usage("a recipe's values stand too deep in each other")
    if isinstance(value, Mapping):
        entries = [(Scalar(word, place), of_python(each, place, depth + 1)) for word, each in value.items()]
        return Table(tuple(entries), place)
    if isinstance(value, (list, tuple)):
        is_steps = not place.step and all(isinstance(each, (str, Mapping)) for each in value)
        places = [Place(step=number) if is_steps else place for number in range(1, len(value) + 1)]
        return Items(tuple(of_python(each, at, depth + 1) for each, at in zip(value, places, strict=True)), place)
    if isinstance(value, os.PathLike):
        return Scalar(os.fspath(value), place, is_quoted=True)
    return Scalar(value, place, is_quoted=isinstance(value, str))
