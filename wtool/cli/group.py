"""The command `wtool` itself: it imports a subcommand when the subcommand is called, and suggests what was meant."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import click

from wtool.cli.commands import COMMANDS, GROUPS, WITHOUT_MODELS
from wtool.io.addresses import RETRIES, is_address, without_query
from wtool.suggestions import meant
from wtool.transforms.registry import transform


class Commands(click.Group):
    """A group that knows its commands' names and help lines without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return _with_retries(cmd_name, _command(cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns the command that the words call; refuses what Click would let pass.

        Click takes the last value of an option that is given twice; wtool refuses the second one.
        """
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise _no_such_command(args[0], ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            _refuse_repeated(command, click.Context(command, ctx, name, resilient_parsing=True), rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])


def _command(name: str) -> click.Command:
    module = f"{__package__}.{name}"
    if find_spec(module) is not None:
        own: click.Command = import_module(module).command
        return own
    from wtool.cli.transforming import command_of

    return command_of(transform(name))


def _with_retries(name: str, command: click.Command) -> click.Command:
    """Returns a command with the option of all commands that take addresses."""
    is_there = any(each.name == "retries" for each in command.params)
    if name not in WITHOUT_MODELS and not is_there:
        command.params.append(
            click.Option(
                ["--retries"],
                type=click.IntRange(0, 9999),
                metavar="N",
                help="How often a request to a store is tried again; 5 by default.",
                expose_value=False,
                callback=_set_retries,
            )
        )
    return command


def _set_retries(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    """Tell this process, and those that it starts, how often requests are tried again."""
    if value is not None and not ctx.resilient_parsing:
        os.environ[RETRIES] = str(value)


def _no_such_command(word: str, ctx: click.Context) -> click.UsageError:
    if is_address(word) or os.path.exists(word):
        name = without_query(word)
        return click.UsageError(f"no such command: {name!r}; did you mean wtool inspect {name}?", ctx)
    return click.UsageError(f"no such command: {word!r}{meant(word, COMMANDS)}", ctx)


def _refuse_repeated(command: click.Command, ctx: click.Context, words: Sequence[str]) -> None:
    """Raise UsageError if an option that takes one value, or that is on or off, is given several times.

    Args:
        command: the command.
        ctx: a context of it in which nothing but this is an error yet.
        words: of the user, behind the name of the command.
    """
    _, _, given = command.make_parser(ctx).parse_args(list(words))
    for each, count in Counter(given).items():
        if count > 1 and isinstance(each, click.Option) and _is_single(each):
            raise click.UsageError(f"{max(each.opts, key=len)} is given {count} times; give it once", ctx)


def _is_single(each: click.Option) -> bool:
    """Returns whether an option is to be given once; a mere switch says the same twice."""
    is_switch = each.is_flag and not each.secondary_opts
    return not (each.multiple or each.count or is_switch)
