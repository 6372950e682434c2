"""`wtool ema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.transforming import help_of, run
from wtool.errors import counted
from wtool.ops.ema_options import Ema
from wtool.run.options import Unseeded

if TYPE_CHECKING:
    from wtool.run.moving_average import MovingAverage


@click.command("ema", help=help_of(Ema, 3))
@options.models
@options.of(Ema, Unseeded)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.ema` to models, and tell of each; gives the exit status."""
    return run("ema", models, as_json, quiet, verbose, _say, **chosen)


def _say(done: MovingAverage) -> None:
    for each in done.inputs:
        say(f"{each.coefficient:12.7f}  {each.path}")
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    where = "nothing written" if done.output is None else f"written to {done.output}"
    if done.error is None:
        of_all = f"{done.rewritten:,} of {counted(done.selected, 'weight')}"
        say(f"{done.model}: {of_all} differed from their averages; {where}")
    else:
        say(f"{counted(done.selected, 'number')} averaged; the weighting of steps is {done.error:.2g} off; {where}")
