"""A call of a public function, as a record of the lineage tells it: operation, options, inputs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from functools import cache
from typing import Any

from wtool.errors import Usage
from wtool.ops.given_values import FILE
from wtool.option import options_of
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.registry import REGISTRY, transform
from wtool.values import dataclass

HASH = re.compile("blake3:[0-9a-f]{64}")
"""The content hash of a file, as records tell it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a public function that does again what a record tells.

    Attributes:
        operation: name of the function, and of the command.
        options: its arguments by name. A content hash stands where the command had the path of a file.
        models: indices of the record's inputs that are the models, in their order.
        others: further arguments -> index of the record's input that each is.
        base: index of the input that the records before made; None where they made none of them.
    """

    operation: str
    options: Mapping[str, Any]
    models: tuple[int, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    base: int | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The options whose values are not the defaults."""
        known = arguments_of(self.operation)
        chosen = {name: value for name, value in self.options.items() if not _is_same(value, known[name].default)}
        for name in list(chosen):
            if self._follows(name, chosen):
                del chosen[name]
        return chosen

    def _follows(self, name: str, chosen: Mapping[str, Any]) -> bool:
        """Returns whether an option has the value that it gets without a word, by the other options."""
        if self.operation == "merge":
            method = METHODS.get(str(chosen.get("method")))
            takes = {} if method is None else method.takes
            return name in takes and _is_same(chosen[name], takes[name].default)
        if self.operation not in REGISTRY or name not in options_of(transform(self.operation)):
            return False
        own = {each: value for each, value in chosen.items() if each in options_of(transform(self.operation))}
        with suppress(Usage, TypeError):
            others = {each: value for each, value in own.items() if each != name}
            return transform(self.operation)(**others) == transform(self.operation)(**own)
        return False

    @property
    def files(self) -> list[str]:
        """Content hashes of the files, other than models, that options name."""
        return sorted({found for value in self.options.values() for text in _texts(value) for found in _hashes(text)})


def function_of_operation(name: str) -> Callable[..., Any]:
    """Returns the public function of an operation."""
    import wtool

    found: Callable[..., Any] = getattr(wtool, name)
    return found


@cache
def arguments_of(name: str) -> Mapping[str, inspect.Parameter]:
    """Returns the arguments of the public function of an operation, by name."""
    return inspect.signature(function_of_operation(name)).parameters


def with_paths(options: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Returns options with the paths of files in place of their content hashes."""

    def put(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [put(each) for each in value]
        for found in _hashes(value) if isinstance(value, str) else ():
            return value.removesuffix(found) + paths[found]
        return value

    return {name: put(value) for name, value in options.items()}


def _hashes(text: str) -> list[str]:
    """Returns the content hash that an option's text is or ends with."""
    found = text if HASH.fullmatch(text) else text.rpartition(f"={FILE}")[2]
    return [found] if HASH.fullmatch(found) else []


def _texts(value: Any) -> Sequence[str]:
    return [each for each in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(each, str)]


def _is_same(value: Any, default: Any) -> bool:
    """Returns whether a value is a default; the lists of records are tuples among the defaults."""
    if isinstance(value, (list, tuple)) and isinstance(default, (list, tuple)):
        return list(value) == list(default)
    return (type(value) is type(default) and value == default) or (_is_number(value, default) and value == default)


def _is_number(*values: Any) -> bool:
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in values)
