"""`wtool report`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, refuse_two_outputs, say, say_passed_by
from wtool.cli.json_lines import print_json
from wtool.cli.transforming import help_of
from wtool.errors import Usage, counted
from wtool.io.addresses import is_address
from wtool.reporting.options import Report


@click.command("report", help=help_of(Report, 3))
@click.argument("paths", nargs=-1, required=True, metavar="MODEL...|RUN/...|LOG...", type=options.FILE)
@options.of(Report)
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@options.as_json
@options.quiet
def command(paths: tuple[str, ...], opens: bool, as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Write a page with `wtool.report`; returns the exit status: 1 if a model could not be read."""
    if opens and (is_address(chosen["output"]) or not os.path.splitext(chosen["output"])[1]):
        raise Usage("--open shows a file of this machine, and not standard output", chosen["output"])
    refuse_two_outputs(as_json, chosen["output"])
    from wtool.reporting.report import report

    with progress_bar("reading", quiet) as progress:
        done = report(paths, progress=progress, **chosen)
    if as_json:
        print_json(done)
    for path, reason in done.failed.items():
        say(f"{path}: {reason}")
    if not quiet:
        shown = [counted(len(done.models), "model")] if done.models else []
        shown += [counted(len(done.trainings), "training")] if done.trainings else []
        say(f"{' and '.join(shown)}: {done.bytes:,} bytes written to {done.output}")
        if not as_json:
            say_passed_by([path for path in paths if path not in (*done.models, *done.trainings)])
    if opens:
        import webbrowser

        if not webbrowser.open(Path(done.output).absolute().as_uri()):
            say(f"no browser could be started; open {done.output} in one")
    return 1 if done.failed else 0
