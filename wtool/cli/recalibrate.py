"""`wtool recalibrate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import (
    counted,
    print_table,
    progress_bar,
    quiet_import,
    refuse_two_outputs,
    say,
    say_notes,
    say_passed_by,
    say_skipped,
)
from wtool.cli.transforming import help_of, status_of
from wtool.errors import one_line
from wtool.training.recalibrate_options import Drift, Recalibrate, Recalibrated

HEADER = ("layer", "mean off by (deviations)", "variance of data / stored")


@click.command("recalibrate", help=help_of(Recalibrate, 2))
@options.models
@options.of(Recalibrate)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Recalibrate models, and tell how far off their statistics were."""
    refuse_two_outputs(as_json, chosen["output"])
    with quiet_import():
        from wtool.ops.training import recalibrate

    def report(result: Recalibrated) -> None:
        if as_json:
            click.echo(json.dumps(asdict(result)))
        elif result.layers and (chosen["dry_run"] or not quiet):
            click.echo(one_line(result.model), err=not chosen["dry_run"])
            print_drifts(result.layers, is_error=not chosen["dry_run"])
        if not quiet:
            _say(result)

    with progress_bar("recalibrate", quiet) as progress:
        status = status_of(lambda told: recalibrate(models, progress=progress, report=told, **chosen), report, as_json)
    if not quiet and not as_json:
        say_passed_by(models)
    return status


def _say(done: Recalibrated) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    if not done.layers:  # the notes say why
        if done.output is not None:
            say(f"{done.model}: no statistics set; written to {done.output}")
        return
    seen = f"{counted(done.samples, 'sample')} in {done.passes:,} {'pass' if done.passes == 1 else 'passes'}"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    say(f"{done.model}: statistics of {counted(len(done.layers), 'layer')} set, from {seen}; {where}")


def print_drifts(drifts: Mapping[str, Drift], is_error: bool) -> None:
    """Prints how far off the statistics of layers were, on standard output or standard error."""
    rows = [[name, _told(drift.mean), _told(drift.variance)] for name, drift in drifts.items()]
    print_table(HEADER, rows, right=(1, 2), is_error=is_error)


def _told(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.3g}"
