"""`wtool align`, and what it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import (
    counted,
    print_table,
    progress_bar,
    refuse_two_outputs,
    say,
    say_notes,
    say_passed_by,
    say_skipped,
)
from wtool.cli.transforming import help_of, status_of
from wtool.errors import one_line
from wtool.ops.align_options import Align
from wtool.run.options import KeepingSeeded

if TYPE_CHECKING:
    from wtool.ops.align_options import Aligned
    from wtool.run.batch import Failed

HEADER = ("channels of", "layers", "channels", "bound", "moved")


@click.command("align", help=help_of(Align, 2))
@options.models
@options.of(Align, KeepingSeeded)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Do `wtool.align` to models, and tell of each; gives the exit status."""
    import wtool

    refuse_two_outputs(as_json, chosen["output"])

    def report(result: Aligned | Failed) -> None:
        _report(result, as_json, quiet, bool(chosen["dry_run"]))

    with progress_bar("align", quiet) as progress:
        status = status_of(lambda told: wtool.align(models, progress=progress, report=told, **chosen), report, as_json)
    if not quiet and not as_json:
        say_passed_by(models)
    return status


def _report(result: Any, as_json: bool, quiet: bool, dry_run: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(result)))
    elif result.groups and (dry_run or not quiet):
        click.echo(one_line(result.model), err=not dry_run)
        rows = [
            [name, str(len(each.layers)), *(f"{count:,}" for count in (each.channels, each.bound, each.moved))]
            for name, each in result.groups.items()
        ]
        print_table(HEADER, rows, right=(1, 2, 3, 4), is_error=not dry_run)
    if not quiet:
        _say(result)


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
