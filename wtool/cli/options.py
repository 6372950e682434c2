"""Options of commands: those that dataclasses tell, and others that all commands share.

This module imports none of the dataclasses: a command that needs no options of theirs starts without them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeAlias, get_origin

import click
from click.shell_completion import CompletionItem

from wtool.io.addresses import text_of
from wtool.option import Option, options_of, types_of
from wtool.option_types import alternatives, is_list

Decorator: TypeAlias = Callable[[Any], Any]


def of(*groups: type) -> Decorator:
    """Returns a decorator that gives a command all options of dataclasses, in the order of their fields."""

    def decorate(command: Any) -> Any:
        for group in reversed(groups):
            for name in reversed(options_of(group)):
                command = one(group, name)(command)
        return command

    return decorate


def one(group: type, name: str) -> Decorator:
    """Returns one option of a dataclass, for a command that does not take all of them."""
    (found,) = [each for each in fields(group) if each.name == name]
    return _option(found, options_of(group)[name], types_of(group)[name])


def of_looks(group: type) -> Decorator:
    """Returns the options of how several models are looked at, of the dataclass that has them."""

    def decorate(command: Any) -> Any:
        for name in ("shard", "cluster", "jobs"):  # the last one is shown first
            command = one(group, name)(command)
        return command

    return decorate


def _option(field: Field[Any], known: Option, kind: Any) -> Decorator:
    """Returns a Click option. Click checks ranges of whole numbers; the dataclass checks all other values."""
    names = [f"--{each.replace('_', '-')}" for each in known.words or (field.name,)]
    short = () if known.short is None else (known.short,)
    if bool in alternatives(kind):
        (name,) = names
        has_negation = known.has_negation or field.default is True
        word = f"{name}/--no-{name[2:]}" if has_negation else name
        return click.option(
            *short, word, field.name, is_flag=True, default=field.default, show_default=has_negation, help=known.help
        )
    how: dict[str, Any] = {"multiple": True} if known.is_repeatable or is_list(kind) else {}
    if field.default is MISSING:
        how |= {"required": True}
    elif field.default != ():
        how |= {"default": field.default, "show_default": True}
    return click.option(
        *short,
        *names,
        field.name,
        type=_type(known, kind),
        metavar=known.metavar,
        help=known.help,
        **how,
    )


def _type(known: Option, kind: Any) -> Any:
    if known.choices:
        return click.Choice(known.choices)
    kinds = alternatives(kind)
    if kind is Any or any(get_origin(each) is os.PathLike for each in kinds):
        return FILE
    if str in kinds:
        return str
    if int in kinds:
        return int if known.low is None else click.IntRange(int(known.low))
    if Sequence[float] in kinds:
        return _Numbers()
    if known.below is not None:
        return click.FloatRange(known.above, known.below, min_open=True, max_open=True)
    return float if float in kinds else str


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(float(each) for each in (value if isinstance(value, tuple) else value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2,3", param, ctx)


class _File(click.ParamType):  # type: ignore[type-arg]
    """A path, or another word that is mostly one, for which shells complete files and folders."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return text_of(value) if isinstance(value, str) else value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


FILE = _File()
models = click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=FILE)
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, an object per model.")
verbose = click.option("-v", "--verbose", is_flag=True, help="A line also for each model that is skipped.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and no report.")
