"""`wtool history`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from wtool.cli import options
from wtool.cli.call_words import call_words
from wtool.cli.console import say
from wtool.cli.json_lines import print_json
from wtool.cli.read_only import Looking, each_model
from wtool.errors import Usage, counted, one_line
from wtool.version import __version__

if TYPE_CHECKING:
    from wtool.ops.history_options import History, HistoryInput, HistoryStep
    from wtool.run.pipeline import Progress

DIGITS = 12
"""Digits of a content hash that are shown."""

SHOWN = 160
"""Characters of the parameters of a record that are shown, where the record is of no command."""


@click.command("history")
@options.models
@click.option("--verify", is_flag=True, help="Read the whole file: is it still what wtool wrote?")
@click.option("--recipe", is_flag=True, help="Write the recipe that made the model, for `wtool run`.")
@options.as_json
@options.quiet
def command(models: tuple[str, ...], verify: bool, recipe: bool, as_json: bool, quiet: bool) -> int:
    """Show how models were made: operations, options and inputs, by their lineage.

    The newest operation is the first, as in `git log`. Below each one stand its inputs with the beginnings of their
    content hashes; what came through a pipe stands there with its own history. Options that have their defaults are
    left out. With --verify the exit status is 1 if the file is not what wtool wrote with its last record.

    \b
        wtool history ticket.keras
        wtool history ticket.keras --verify --json
        wtool history ticket.keras --recipe > ticket.yaml
    """
    if recipe:
        return _show_recipe(models, verify or as_json)
    looking = Looking("reading", "model" if as_json else None, quiet)
    return each_model(models, looking, partial(_history, verify), partial(_shown, as_json, quiet))


def _history(verify: bool, path: str, progress: Progress | None) -> History:
    from wtool.ops.history import history

    return history(path, verify=verify)


def _shown(as_json: bool, quiet: bool, found: History) -> int:
    if as_json:
        print_json(found)
    else:
        for line in lines_of(found):
            click.echo(one_line(line))
    if found.sealed is False and not quiet:
        say(f"{found.model}: {'not what wtool wrote with the last record' if found.steps else 'has no seal of wtool'}")
    return 1 if found.sealed is False else 0


def _show_recipe(models: Sequence[str], has_others: bool) -> int:
    if has_others:
        raise Usage("--recipe is a text of its own, and goes with neither --verify nor --json")
    if len(models) > 1:
        raise Usage("a recipe is of one model: name one, with --recipe")
    from wtool.recipes.history_recipe import history_recipe

    click.echo(history_recipe(models[0]), nl=False)
    return 0


def lines_of(found: History) -> Iterator[str]:
    """Yields the lines of a history, the newest operation first."""
    sealed = {None: "", True: ", and is what wtool wrote", False: ", and is not what wtool wrote"}[found.sealed]
    made = f"made by {counted(len(found.steps), 'operation')}" if found.steps else "nothing is recorded"
    yield f"{found.model}: {made}{sealed}"
    yield from _steps(found.steps, "")


def _steps(steps: Sequence[HistoryStep], before: str) -> Iterator[str]:
    for step in reversed(steps):
        yield f"{before}* {_step(step)}"
        for each in step.inputs:
            yield f"{before}|   {_input(each)}"
            if each.steps:
                yield from _steps(each.steps, f"{before}|     ")


def _step(step: HistoryStep) -> str:
    """Returns what a line says of an operation: its words, what was counted, and the version where it is another."""
    record = step.record
    told = _words(step)
    result = record.get("result")
    counts = result if isinstance(result, dict) else {}
    selected, zeros = counts.get("selected"), counts.get("zeros")
    if isinstance(selected, int) and isinstance(zeros, int):
        told += f": {zeros:,} of {counted(selected, 'weight')} zero"
    place = [f"{name} {record[name]}" for name in ("epoch", "batch") if isinstance(record.get(name), int)]
    told += f": {', '.join(place)}" if place else ""
    version = record.get("wtool")
    return told if version == __version__ else f"{told} ({f'wtool {version}' if version else 'another tool'})"


def _words(step: HistoryStep) -> str:
    if step.operation is not None and step.options is not None:
        return call_words(step.operation, step.options)
    parameters = step.record.get("parameters")
    text = json.dumps(parameters, default=str) if parameters else ""
    return f"{step.operation or 'no operation'} {text if len(text) <= SHOWN else f'{text[:SHOWN]}...'}".rstrip()


def _input(each: HistoryInput) -> str:
    role = f"{each.role}: " if each.role else ""
    name = "what came through a pipe" if each.name == "-" else each.name or "a file without a name"
    hashes = [f" {first[: len('blake3:') + DIGITS]}" for first in each.hashes[:1]]
    more = f" and {len(each.hashes) - 1:,} more" if len(each.hashes) > 1 else ""
    return f"{role}{name}{''.join(hashes)}{more}"
