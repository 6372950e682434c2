"""`wtool average`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_passed_by
from wtool.cli.merging import merged
from wtool.cli.tables import lined_up, print_table
from wtool.cli.transforming import help_of
from wtool.errors import counted
from wtool.ops.average_options import CALCULATED, Average, Averaged, Considered


@click.command("average", help=help_of(Average, 2))
@click.argument("paths", nargs=-1, required=True, metavar="CKPT...", type=options.FILE)
@options.of(Average)
@options.as_json
@options.quiet
def command(paths: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Average checkpoints, and tell what was done."""
    from wtool.ops.average import average

    done = merged(average, paths, "averaging", as_json, quiet, chosen)
    if quiet:
        for note in done.warnings:
            say(f"note: {note}")
    else:
        _report(done, chosen["by"])
        if not as_json:
            say_passed_by(paths)


def _report(done: Averaged, metric: str | None) -> None:
    if done.considered:
        _print_considered(done.considered, metric)
    for each in done.inputs:
        say(f"{each.coefficient:10.7f}  {each.path}")
    for note in done.notes:
        say(f"note: {note}")
    if done.skipped:
        say(f"{done.output} is there already, made from the same checkpoints in the same way: skipped")
        return
    averaged = sum(action.kind in CALCULATED for action in done.actions.values())
    numbers, others = counted(done.parameters, "number"), counted(len(done.actions) - averaged, "other")
    what = f"{counted(averaged, 'tensor')} averaged ({numbers}), {others}"
    say(f"{what}; nothing written" if done.output is None else f"{what}; written to {done.output}")


def _print_considered(considered: Sequence[Considered], metric: str | None) -> None:
    """Prints the checkpoints that could have been averaged, and which of them were, on standard error."""
    numbers = lined_up([math.nan if each.value is None else each.value for each in considered], 6)
    values = [[] if metric is None else [number] for number in numbers]
    rows = [[each.path, *own, "yes" if each.is_taken else ""] for each, own in zip(considered, values, strict=True)]
    header = ["checkpoint", *([] if metric is None else [metric]), "taken"]
    print_table(header, rows, right=[] if metric is None else [1], is_error=True)
