"""What wtool says of words that Click refuses: one line in wtool's own style, and where help is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from wtool.cli.commands import COMMANDS
from wtool.suggestions import any_of, nearest


def told(error: click.ClickException, words: Sequence[str]) -> str:
    """Returns one line about words that Click refuses: what is wrong, what may be meant, and how to get help.

    Args:
        error: says what is wrong.
        words: of the user, which tell the command where the error does not.
    """
    if isinstance(error, click.NoSuchOption):
        known = [each.removeprefix("--") for each in error.possibilities or ()]  # two dashes alone make none alike
        near = nearest(error.option_name.removeprefix("--"), known, 3)
        text = f"no such option: {error.option_name}{any_of(f'--{each}' for each in near)}"
    else:
        text = " ".join(error.format_message().split()).rstrip(".")
        text = text[:1].lower() + text[1:]
    context = getattr(error, "ctx", None)
    command = next((word for word in words if word in COMMANDS), "")
    path = f"wtool {command}".rstrip() if context is None else context.command_path
    return f"{text}{' ' if text.endswith('?') else '; '}see `{path} --help`"
