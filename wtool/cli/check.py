"""`wtool check`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, say
from wtool.errors import WtoolError, one_line


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
    from wtool.files.inputs import models_of, refuse_two_streams

    refuse_two_streams(models)
    status = 0
    for word in models:
        try:
            paths = models_of(word)
        except WtoolError as error:
            say(str(error))
            status = 1
            continue
        for path in paths:
            status |= _checked(path, as_json, quiet)
    return status


def _checked(path: str, as_json: bool, quiet: bool) -> int:
    from wtool.checking import check

    try:
        with progress_bar(f"checking {one_line(path)}", quiet) as progress:
            found = check(path, progress)
    except WtoolError as error:
        say(str(error))
        return 1
    if as_json:
        click.echo(json.dumps(asdict(found)))
    for finding in () if as_json else found.findings:
        where = f"{finding.where}: " if finding.where else ""
        click.echo(one_line(f"{path}: {finding.kind}: {where}{finding.what}"))
    if not quiet and not as_json and not found.findings:
        say(f"{path}: nothing found")
    return 1 if found.findings else 0
