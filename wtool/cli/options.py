"""Options of commands: those that dataclasses tell, and others that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeAlias

import click

from wtool.option import Option, alternatives, is_list, options_of, types_of
from wtool.run.options import Execution, Output, Selection
from wtool.transforms.tickets import Randomize

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
    name = f"--{field.name.replace('_', '-')}"
    short = () if known.short is None else (known.short,)
    if kind is bool:
        has_negation = known.has_negation or field.default is True
        word = f"{name}/--no-{name[2:]}" if has_negation else name
        return click.option(
            *short, word, field.name, is_flag=True, default=field.default, show_default=has_negation, help=known.help
        )
    default = {"required": True} if field.default is MISSING else {"default": field.default, "show_default": True}
    return click.option(
        *short,
        name,
        field.name,
        type=_type(known, kind),
        metavar=known.metavar,
        help=known.help,
        **({"multiple": True} if is_list(kind) else default),
    )


def _type(known: Option, kind: Any) -> Any:
    if known.choices:
        return click.Choice(known.choices)
    if int in alternatives(kind):
        return int if known.low is None else click.IntRange(int(known.low))
    return float if float in alternatives(kind) else str


models = click.argument("models", nargs=-1, required=True, metavar="MODEL...")
output = click.option("-o", "--output", metavar="PATH", help="The new file; - for standard output.")
include, exclude = one(Selection, "include"), one(Selection, "exclude")
optimizer = one(Output, "optimizer")
seed, dry_run, force = one(Execution, "seed"), one(Execution, "dry_run"), one(Execution, "force")
same_sign = one(Randomize, "same_sign")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, an object per model.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and no report.")
data = click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="DATA",
    help=".npz, .csv, two .npy (twice --data), a folder, or package.module:function.",
)
validation_data = click.option("--validation-data", multiple=True, metavar="DATA", help="As --data; after each epoch.")
validation_split = click.option(
    "--validation-split", type=click.FloatRange(0, 1, True, True), metavar="S", help="Or the last share S of --data."
)
shuffle = click.option("--shuffle/--no-shuffle", default=True, show_default=True, help="Another order in each epoch.")
batch_size = click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, metavar="N")
loss = click.option("--loss", metavar="NAME", help="Keras's name of a loss, instead of the model's own.")
metric = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Keras's name of a metric, instead of the model's own; repeatable.",
)
imports = click.option(
    "--import", "imports", multiple=True, metavar="MODULE", help="A module that registers custom layers; repeatable."
)
unsafe = click.option("--unsafe", is_flag=True, help="Load models also if that runs or imports code of theirs.")
