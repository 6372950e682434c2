"""Options, written once: fields of frozen dataclasses, whose metadata the command line, Python and the docs read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from inspect import cleandoc
from typing import Any, get_args, get_origin, get_type_hints

from wtool.choices import check_choice
from wtool.errors import Usage

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
) -> Any:
    """Returns a field of a dataclass that is an option with a default; `Option` says what the arguments are.

    Example:
        >>> @dataclass(frozen=True)
        ... class Prune:
        ...     sparsity: float | None = option(None, "The share to prune, 0 to 1.", metavar="S", low=0, high=1)
    """
    ends = {"low": low, "high": high, "above": above, "below": below, "wrong": wrong}
    more: dict[str, Any] = {"has_negation": has_negation, "words": tuple(words), "is_repeatable": is_repeatable}
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


@cache
def types_of(kind: type) -> dict[str, Any]:
    """Returns the types of a dataclass's fields, by name."""
    return get_type_hints(kind)


def check_fields(given: Any) -> None:
    """Checks the values of a dataclass's options, which come unchecked from Python.

    Raises:
        Usage: a value is no choice or out of its range, or a single text is given for a list of texts.
    """
    kind: type = type(given)
    types = types_of(kind)
    for name, known in options_of(given).items():
        value = getattr(given, name)
        if value is not None:
            _check(name, known, types[name], value)


def _check(name: str, known: Option, kind: Any, value: Any) -> None:
    if is_list(kind) and (isinstance(value, str) or not all(isinstance(each, str) for each in value)):
        raise Usage(f"{name} is a list of texts, not a single text")
    for each in value if is_list(kind) else [value]:
        if known.choices:
            check_choice(each, known.noun, known.choices)
    if known.wrong and not (known.admits(value) and (isinstance(value, int) or int not in alternatives(kind))):
        raise Usage(known.wrong.format(value))


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the types of a union with None, such as `float | None`; of any other type, the type alone."""
    return get_args(kind) if type(None) in get_args(kind) else (kind,)


def is_list(kind: Any) -> bool:
    """Returns whether the values of a type are lists of texts."""
    return get_origin(kind) in (tuple, Sequence)


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
