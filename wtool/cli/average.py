"""`wtool average`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import print_table, progress_bar, refuse_two_outputs, say, say_passed_by
from wtool.cli.transforming import help_of
from wtool.ops.average_options import CALCULATED, Average, Averaged


@click.command("average", help=help_of(Average, 2))
@click.argument("paths", nargs=-1, required=True, metavar="CKPT...")
@options.of(Average)
@options.as_json
@options.quiet
def command(paths: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Average checkpoints, and tell what was done."""
    from wtool.ops.average import average

    refuse_two_outputs(as_json, chosen["output"])
    with progress_bar("averaging", quiet) as progress:
        done = average(paths, progress=progress, **chosen)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    elif chosen["dry_run"]:
        print_table(["tensor", "what would become of it"], list(done.actions.items()))
    if not quiet:
        _report(done)
        if not as_json:
            say_passed_by(paths)


def _report(done: Averaged) -> None:
    for path, coefficient in done.inputs:
        say(f"{coefficient:10.7f}  {path}")
    for note in done.notes:
        say(f"note: {note}")
    if done.skipped:
        say(f"{done.output} is there already, made from the same checkpoints in the same way: skipped")
        return
    averaged = sum(action in CALCULATED for action in done.actions.values())
    what = f"{averaged} tensors averaged ({done.parameters:,} numbers), {len(done.actions) - averaged} others"
    say(f"{what}; nothing written" if done.output is None else f"{what}; written to {done.output}")
