"""`wtool index`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, refuse_two_outputs, say, say_passed_by
from wtool.cli.json_lines import print_json
from wtool.cli.transforming import help_of
from wtool.errors import counted, one_line
from wtool.ops.index_options import Index
from wtool.run.options import Execution

if TYPE_CHECKING:
    from wtool.ops.index_options import Indexed, IndexedModel


@click.command("index", help=help_of(Index, 3))
@options.models
@options.of(Index, Execution)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Write a table with `wtool.index`; returns the exit status: 1 if a model could not be read."""
    import wtool

    refuse_two_outputs(as_json, chosen["output"])
    dry_run = bool(chosen["dry_run"])

    def report(model: IndexedModel) -> None:
        if model.error is not None:
            say(f"{model.model}: {model.error}")
        elif dry_run and not as_json and model.state != "kept":
            click.echo(one_line(f"{model.state:<8}{model.model}"))

    with progress_bar("reading", quiet) as progress:
        done: Indexed = wtool.index(models, progress=progress, report=report, **chosen)
    if as_json:
        print_json(done)
    if not quiet:
        _say(done)
        if not as_json:
            say_passed_by(models)
    return 1 if done.failed else 0


def _say(done: Indexed) -> None:
    for note in done.notes:
        say(f"note: {note}")
    told = f"{done.new:,} new, {done.changed:,} changed, {done.kept:,} kept, {done.gone:,} gone"
    size = f"{counted(done.rows, 'row')}, {counted(done.bytes, 'byte')}"
    if done.output is None:
        where = "nothing written"
    elif done.skipped:
        where = f"{done.output} is up to date: {size}"
    else:
        where = f"{size} written to {done.output}"
    say(f"{told}, {len(done.failed):,} failed; {where}")
