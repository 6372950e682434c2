"""`wtool align`, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.tables import print_table
from wtool.cli.transforming import help_of, run
from wtool.errors import counted, one_line
from wtool.ops.align_options import Align
from wtool.run.options import KeepingSeeded

if TYPE_CHECKING:
    from wtool.ops.align_options import Aligned

HEADER = ("channels of", "layers", "channels", "bound", "moved")


@click.command("align", help=help_of(Align, 2))
@options.models
@options.of(Align, KeepingSeeded)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.align` to models, and tell of each; gives the exit status."""
    return run("align", models, as_json, quiet, verbose, _say, _show, show_always=True, **chosen)


def _show(result: Aligned, is_error: bool) -> None:
    if not result.groups:
        return
    click.echo(one_line(result.model), err=is_error)
    rows = [
        [name, str(len(each.layers)), *(f"{count:,}" for count in (each.channels, each.bound, each.moved))]
        for name, each in result.groups.items()
    ]
    print_table(HEADER, rows, right=(1, 2, 3, 4), is_error=is_error)


def _say(done: Aligned) -> None:
    say_notes(done.model, done.notes)
    if done.skipped or done.similarity is None:
        say_skipped(done.model, done.output)
        return
    before, after = done.similarity
    moved = sum(each.moved for each in done.groups.values())
    total = sum(each.channels for each in done.groups.values())
    function = "computes the same"
    if done.difference is not None:
        function += f" (largest difference {done.difference[0]:.3g}, of outputs up to {done.difference[1]:.3g})"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    say(
        f"{done.model}: {moved:,} of {counted(total, 'channel')} moved; cosine to the reference {before:.3f} before, "
        f"{after:.3f} after; the model {function}; seed {done.seed}; {where}"
    )
