"""`wtool check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from wtool.cli import options
from wtool.cli.console import say
from wtool.cli.looking import each_model
from wtool.errors import SEVERITIES, one_line

if TYPE_CHECKING:
    from wtool.pipeline import Progress


@click.command("check")
@options.models
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="odd",
    show_default=True,
    help="From which severity on a finding makes the exit status 1.",
)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], fail_on: str, as_json: bool, quiet: bool) -> int:
    """Say what loading models with Keras would run, import or fetch, and whether they are whole.

    A line for each finding on standard output, most severe first: Lambda layers and other code, names outside Keras,
    files and addresses, what two readers would read differently, damage, NaN. Nothing in a file is imported or run. The
    exit status is 1 if a finding is at least as severe as `--fail-on` says.

    \b
        wtool check zoo/
        wtool check download.keras --json
        wtool check zoo/ --fail-on reaches
    """
    look = partial(_checked, fail_on, as_json, quiet)
    return each_model(models, "checking", "model" if as_json else None, quiet, look)


def _checked(fail_on: str, as_json: bool, quiet: bool, path: str, progress: Progress | None) -> int:
    from wtool.checking import check

    found = check(path, progress)
    if as_json:
        click.echo(json.dumps(asdict(found)))
    for finding in () if as_json else found.findings:
        kind = f" ({finding.kind})" if finding.kind != finding.severity else ""
        where = f"{finding.where}: " if finding.where else ""
        click.echo(one_line(f"{path}: {finding.severity}{kind}: {where}{finding.what}"))
    if not quiet and not as_json and not found.findings:
        say(f"{path}: nothing found")
    return 1 if found.reaches(fail_on) else 0
