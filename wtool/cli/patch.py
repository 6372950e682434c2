"""`wtool patch`."""

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
from wtool.ops.patch_options import Patch
from wtool.run.options import Unseeded

if TYPE_CHECKING:
    from wtool.run.patched import Patched


@click.command("patch", help=help_of(Patch, 3))
@click.argument("models", nargs=-1, required=True, metavar="MODEL... [PATCH]")
@options.of(Patch, Unseeded)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> int:
    """Do `wtool.patch` to models, and tell of each; gives the exit status.

    Where no option says what changes, the last word is the patch file.
    """
    import wtool

    refuse_two_outputs(as_json, chosen["output"])
    if len(models) > 1 and not (chosen["set"] or chosen["source"] or chosen["rename"]):
        *rest, chosen["patch"] = models
        models = tuple(rest)

    def report(done: Patched) -> None:
        if as_json:
            click.echo(json.dumps(asdict(done)))
        elif chosen["dry_run"]:
            click.echo(one_line(done.model))
            print_table(["tensor", "what would become of it"], list(done.actions.items()))
        if not quiet:
            _say(done, as_json)

    with progress_bar("patch", quiet) as progress:
        status = status_of(lambda told: wtool.patch(models, progress=progress, report=told, **chosen), report, as_json)
    if not quiet and not as_json:
        say_passed_by(models)
    return status


def _say(done: Patched, as_json: bool) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    if done.left and not as_json:
        print_table(["not taken", "why"], list(done.left.items()), is_error=True)
    where = "nothing written" if done.output is None else f"written to {done.output}"
    left = f", {len(done.left):,} not taken" if done.left else ""
    of_all = f"{counted(len(done.taken), 'tensor')} of {len(done.actions):,}"
    say(f"{done.model}: {of_all} patched{left}; {where}")
