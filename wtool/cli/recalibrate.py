"""`wtool recalibrate`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import quiet_import, say, say_notes, say_skipped
from wtool.cli.tables import lined_up, print_table
from wtool.cli.transforming import help_of, run
from wtool.errors import counted, one_line
from wtool.training.recalibrate_options import Drift, Recalibrate, Recalibrated

HEADER = ("layer", "mean off by (deviations)", "variance of data / stored")


@click.command("recalibrate", help=help_of(Recalibrate, 2))
@options.models
@options.of(Recalibrate)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Recalibrate models, and tell how far off their statistics were."""
    with quiet_import():
        from wtool.ops.training import recalibrate

    return run("recalibrate", models, as_json, quiet, verbose, _say, _show, True, recalibrate, **chosen)


def _show(result: Recalibrated, is_error: bool) -> None:
    if result.layers:
        click.echo(one_line(result.model), err=is_error)
        print_drifts(result.layers, is_error)


def _say(done: Recalibrated) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    if not done.layers:  # the notes say why
        if done.output is not None:
            say(f"{done.model}: no statistics set; written to {done.output}")
        return
    seen = f"{counted(done.samples, 'sample')} in {counted(done.passes, 'pass', 'passes')}"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    say(f"{done.model}: statistics of {counted(len(done.layers), 'layer')} set, from {seen}; {where}")


def print_drifts(drifts: Mapping[str, Drift], is_error: bool) -> None:
    """Prints how far off the statistics of layers were, on standard output or standard error."""
    means = lined_up([_number(drift.mean) for drift in drifts.values()], 3)
    variances = lined_up([_number(drift.variance) for drift in drifts.values()], 3)
    print_table(HEADER, list(zip(drifts, means, variances, strict=True)), right=(1, 2), is_error=is_error)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
