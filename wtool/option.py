"""Options, written once: fields of frozen dataclasses, whose metadata the command line, Python and the docs read."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields
from functools import cache
from inspect import cleandoc
from typing import Any, get_type_hints

from wtool.choices import check_choice
from wtool.errors import Usage, one_line
from wtool.option_types import called, fits, is_list, is_number, parameter_of, plain, read_words
from wtool.values import dataclass
from wtool.words import Path

_KEY = "option"
_PYTHON = "argument"


@dataclass(frozen=True, slots=True)
class Option:
    """All that a field tells of its option besides the name, the type and the default.

    Attributes:
        help: its text in `wtool COMMAND --help`, which names other options as on the command line (`--sparsity`).
        metavar: the word that stands for its value there.
        short: its short form there, such as `-o`.
        choices: the words that it takes; any, if there are none.
        noun: what such a word is called in messages.
        low, high: the smallest and the largest value; None for no such end.
        above, below: numbers between which the value is; None for none.
        wrong: the message about a value out of range, with `{}` for the value.
        has_negation: whether a switch that is off by default has a `--no-...` form too; one that is on always has it.
        words: its names on the command line, such as `metric`, where the field's own name is none of them.
        is_repeatable: whether it may be given several times, though its type is no list of texts.
        is_recorded: whether a record of the lineage tells the default too; not so for options that came later, so that
            results of earlier versions are known again.
    """

    help: str
    metavar: str | None = None
    short: str | None = None
    choices: tuple[str, ...] = ()
    noun: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    wrong: str = ""
    has_negation: bool = False
    words: tuple[str, ...] = ()
    is_repeatable: bool = False
    is_recorded: bool = True

    def admits(self, value: float) -> bool:
        """Returns whether a number is in the range; NaN never is, and infinity only if it is an end."""
        low = -math.inf if self.low is None else self.low
        exceeds = self.above is None or value > self.above
        falls_short = self.below is None or value < self.below
        return (
            exceeds and falls_short and low <= value and (value < math.inf if self.high is None else value <= self.high)
        )


def told(help: str, **more: Any) -> Mapping[str, Option]:  # noqa: A002  as Click calls it
    """Returns metadata for `dataclasses.field`, for a required option; `option` makes all other options."""
    return {_KEY: Option(help, **more)}


def option(
    default: Any,
    help: str,  # noqa: A002  as Click calls it
    *,
    metavar: str | None = None,
    short: str | None = None,
    choices: Sequence[str] = (),
    noun: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    wrong: str = "",
    has_negation: bool = False,
    words: Sequence[str] = (),
    is_repeatable: bool = False,
    is_recorded: bool = True,
) -> Any:
    """Returns a field of a dataclass that is an option with a default; `Option` says what the arguments are.

    Example:
        >>> @dataclass(frozen=True)
        ... class Prune:
        ...     sparsity: float | None = option(None, "The share to prune, 0 to 1.", metavar="S", low=0, high=1)
    """
    ends = {"low": low, "high": high, "above": above, "below": below, "wrong": wrong}
    more: dict[str, Any] = {"has_negation": has_negation, "words": tuple(words), "is_repeatable": is_repeatable}
    more["is_recorded"] = is_recorded
    return field(
        default=default,
        metadata=told(help, metavar=metavar, short=short, choices=tuple(choices), noun=noun, **ends, **more),
    )


def argument(default: Any, text: str) -> Any:
    """Returns a field of a dataclass that is an argument from Python only; `text` says what the argument is."""
    return field(default=default, metadata={_PYTHON: text})


def like(kind: type, name: str) -> Any:
    """Returns a field with the default and the texts of another dataclass's field."""
    found: Field[Any] = kind.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field(default=found.default, metadata=found.metadata)


def arguments_of(kind: Any) -> dict[str, str]:
    """Returns what the fields of a dataclass are that only Python knows, by name."""
    return {each.name: each.metadata[_PYTHON] for each in fields(kind) if _PYTHON in each.metadata}


def options_of(kind: Any) -> dict[str, Option]:
    """Returns the options among the fields of a dataclass or of its instance, by name."""
    return {each.name: each.metadata[_KEY] for each in fields(kind) if _KEY in each.metadata}


def recorded_fields(given: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass's instance that a record of the lineage tells, by name; None tells nothing."""
    values = {each.name: getattr(given, each.name) for each in fields(given)}
    later = [name for name, each in options_of(given).items() if not each.is_recorded]
    untold = {name for name in later if values[name] == type(given).__dataclass_fields__[name].default}
    return {name: value for name, value in values.items() if value is not None and name not in untold}


@cache
def types_of(kind: type) -> dict[str, Any]:
    """Returns the types of a dataclass's fields, by name."""
    return get_type_hints(kind)


def check_fields(given: Any) -> None:
    """Checks the values of a dataclass's options and arguments, which come unchecked from Python.

    Values become those of Python's own types: see `option_types.plain`.

    Raises:
        Usage: a value is of another type, is no choice, or is out of its range.
    """
    kind: type = type(given)
    options, types = options_of(kind), types_of(kind)
    for name in (*options, *arguments_of(kind)):
        object.__setattr__(given, name, checked(name, types[name], getattr(given, name), options.get(name)))


class Checked:
    """Options that are checked when they are put together."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_fields(self)


def checked(name: str, kind: Any, value: Any, known: Option | None = None) -> Any:
    """Returns the value of an argument in Python's own types.

    Args:
        name: name of the argument, for messages.
        kind: type of the argument.
        value: the value as given.
        known: the option that the argument is, if it is one.

    Raises:
        Usage: the value is of another type, is no choice, or is out of its range.
    """
    value = plain(kind, value)
    is_right = fits(kind, value)
    if value is None and is_right:
        return None
    if known is not None and known.wrong and is_number(value) and not (is_right and known.admits(value)):
        raise Usage(known.wrong.format(value))
    if known is not None and known.choices and (is_right or not is_list(kind)):
        for each in value if is_list(kind) else [value]:
            check_choice(each, known.noun, known.choices)
    if not is_right:
        told = "a single text" if is_list(kind) and isinstance(value, str) else one_line(reprlib.repr(value))
        raise Usage(f"{name} is {called(kind)}, not {told}")
    return value


def path_of(name: str, value: Any) -> str:
    """Returns the path that an argument is.

    Raises:
        Usage: the value is no path.
    """
    path: Path = checked(name, Path, value)
    return os.fspath(path)


def given_words(given: str | Mapping[str, Any], types: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Returns the values that words give to parameters, by parameter.

    Args:
        given: a text such as `ratio=.05,cutoff=3`, or a dictionary from Python.
        types: parameter -> type of its values.
        option: name of the option that has the words, for messages.

    Raises:
        Usage: no parameter has a word, several may be meant, or a value is of another type.
    """
    if isinstance(given, str):
        return read_words(given, types, option)
    names = {parameter_of(str(word), types, option): value for word, value in given.items()}
    return {name: checked(name, types[name], value) for name, value in names.items()}


@dataclass(frozen=True, slots=True)
class Description:
    """What the docstring of an operation's dataclass says.

    Attributes:
        summary: its first paragraph, which is the first one of `wtool COMMAND --help` as well.
        prose: its further paragraphs.
        source: its last one, if that tells where the operation comes from.
        commands: examples on the command line, a line each.
        calls: examples in Python, a line each.
    """

    summary: str
    prose: tuple[str, ...]
    source: str
    commands: tuple[str, ...]
    calls: tuple[str, ...]


def described(kind: type) -> Description:
    """Reads the docstring of an operation's dataclass, with its sections `Raises:`, `Examples:` and `Source:`."""
    paragraphs = cleandoc(kind.__doc__ or "").split("\n\n")
    named = [part for part in paragraphs if part.startswith(("Raises:", "Examples:", "Source:"))]
    sections = {part.partition(":")[0]: part for part in named}
    examples = [line.strip() for line in sections.get("Examples", "").splitlines()[1:]]
    return Description(
        paragraphs[0],
        tuple(part for part in paragraphs[1:] if part not in named),
        sections.get("Source", ""),
        tuple(line for line in examples if line.startswith("wtool ")),
        tuple(line for line in examples if line.startswith(">>> ")),
    )
