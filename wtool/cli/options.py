"""Options of commands: those that dataclasses tell, and others that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeAlias

import click

from wtool.option import Option, alternatives, is_list, options_of, types_of
from wtool.run.options import Execution, Output, Selection
from wtool.training.resume_options import Resume

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
    if int in kinds:
        return int if known.low is None else click.IntRange(int(known.low))
    if tuple[float, float] in kinds:
        return _Range()
    if known.below is not None:
        return click.FloatRange(known.above, known.below, min_open=True, max_open=True)
    return float if float in kinds else str


class _Range(click.ParamType):  # type: ignore[type-arg]
    """Two numbers with a comma between them."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        try:
            low, high = value if isinstance(value, tuple) else value.split(",")
            return float(low), float(high)
        except ValueError:
            self.fail(f"{value!r} is not a range such as -0.01,0.01", param, ctx)


models = click.argument("models", nargs=-1, required=True, metavar="MODEL...")
output = one(Resume, "output")
include, exclude = one(Selection, "include"), one(Selection, "exclude")
optimizer = one(Output, "optimizer")
dry_run, force = one(Execution, "dry_run"), one(Execution, "force")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, an object per model.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and no report.")
