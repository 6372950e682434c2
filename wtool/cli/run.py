"""`wtool run`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.transforming import help_of
from wtool.cli.transforming import run as run_all
from wtool.errors import one_line
from wtool.recipes.options import RunRecipe

if TYPE_CHECKING:
    from wtool.recipes.running import RecipeRun


@click.command("run", help=help_of(RunRecipe, 3))
@click.argument("recipe", metavar="RECIPE", type=options.FILE)
@click.argument("models", nargs=-1, metavar="[MODEL]...", type=options.FILE)
@options.of(RunRecipe)
@options.as_json
@options.quiet
@options.verbose
def command(recipe: str, models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do a recipe to models, and tell of each; gives the exit status."""
    from wtool.recipes.faults import Faulty

    try:
        return run_all("run", models, as_json, quiet, verbose, _say, _show, function=partial(_run, recipe), **chosen)
    except Faulty as error:
        for line in error.lines:
            say(line)
        return 2


def _run(recipe: str, models: tuple[str, ...], **chosen: Any) -> list[RecipeRun]:
    from wtool.recipes.run import run_recipe

    return run_recipe(recipe, models=models or None, **chosen)


def _show(result: RecipeRun, is_error: bool) -> None:
    for line in result.plan:
        click.echo(one_line(line), err=is_error)


def _say(done: RecipeRun) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    others = [each for each in done.outputs if each != done.output]
    if done.plan:
        say(f"{done.model}: nothing written")
    elif done.outputs:
        say(f"{done.model}: written to {' and '.join([*others, *([done.output] if done.output else [])])}")
    else:
        say(f"{done.model}: nothing to do; nothing written")
