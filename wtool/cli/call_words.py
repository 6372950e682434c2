"""A call as the words of a command: `prune --sparsity 0.8`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import click


def call_words(operation: str, options: Mapping[str, Any]) -> str:
    """Returns an operation with its options as the command line writes them.

    Args:
        operation: name of the command.
        options: values by the names of arguments.
    """
    known = _parameters(operation)
    return " ".join([operation, *(word for name, value in options.items() for word in _words(known.get(name), value))])


@cache
def _parameters(operation: str) -> dict[str, click.Parameter]:
    from wtool.cli import cli

    command = cli.get_command(click.Context(cli), operation)
    assert command is not None
    return {str(each.name): each for each in command.params}


def _words(known: click.Parameter | None, value: Any) -> Iterator[str]:
    if known is None:  # `wtool patch` takes its patch among the models
        yield shlex.quote(str(value))
        return
    name = max(known.opts, key=len)
    if isinstance(value, bool):
        yield name if value else known.secondary_opts[0]
    elif isinstance(value, (list, tuple)) and known.multiple:
        for each in value:
            yield from (name, shlex.quote(str(each)))
    elif isinstance(value, (list, tuple)):
        yield from (name, ",".join(map(str, value)))
    else:
        yield from (name, shlex.quote(str(value)))
