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
from wtool.errors import one_line

if TYPE_CHECKING:
    from wtool.pipeline import Progress


@click.command("check")
@options.models
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Say what loading models with Keras would run, import or fetch, and whether they are whole.

    A line for each finding on standard output: Lambda layers and other code, names outside Keras, files and addresses,
    damage, NaN. Nothing in a file is imported or run. The exit status is 1 if anything was found.

    \b
        wtool check zoo/
        wtool check download.keras --json
    """
    return each_model(models, "checking", "model" if as_json else None, quiet, partial(_checked, as_json, quiet))


def _checked(as_json: bool, quiet: bool, path: str, progress: Progress | None) -> int:
    from wtool.checking import check

    found = check(path, progress)
    if as_json:
        click.echo(json.dumps(asdict(found)))
    for finding in () if as_json else found.findings:
        where = f"{finding.where}: " if finding.where else ""
        click.echo(one_line(f"{path}: {finding.kind}: {where}{finding.what}"))
    if not quiet and not as_json and not found.findings:
        say(f"{path}: nothing found")
    return 1 if found.findings else 0
