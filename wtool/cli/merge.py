"""`wtool merge`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import print_table, progress_bar, refuse_two_outputs, say, say_passed_by
from wtool.cli.doctor import say_diagnosis
from wtool.cli.transforming import help_of
from wtool.ops.merge_options import CALCULATED, Merge, Merged
from wtool.transforms.merging.registry import METHODS

LISTED = "\n".join(["\b", "Methods:", *(f"    {name:17}{method.line}" for name, method in METHODS.items())])
"""The methods with a line each, as Click leaves them."""


@click.command("merge", help=f"{help_of(Merge, 3)}\n\n{LISTED}")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@options.of(Merge)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Merge models, and tell what was done."""
    from wtool.ops.merge import merge

    refuse_two_outputs(as_json, chosen["output"])
    chosen["recalibrate"] = chosen["recalibrate"] or None
    with progress_bar("merging", quiet) as progress:
        done = merge(models, progress=progress, diagnosed=None if as_json else partial(say_diagnosis, quiet), **chosen)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    elif chosen["dry_run"]:
        print_table(["tensor", "what would become of it"], list(done.actions.items()))
    if done.drifts and not as_json and (chosen["dry_run"] or not quiet):
        from wtool.cli.recalibrate import print_drifts

        print_drifts(done.drifts, is_error=not chosen["dry_run"])
    if not quiet:
        _report(done)
        if not as_json:
            say_passed_by(models)


def _report(done: Merged) -> None:
    for path, role in done.inputs:
        say(f"{role:5}  {path}")
    for note in done.notes:
        say(f"note: {note}")
    if done.skipped:
        say(f"{done.output} is there already, made from the same models in the same way: skipped")
        return
    merged = sum(action.startswith(CALCULATED) for action in done.actions.values())
    seed = "" if done.seed is None else f"; seed {done.seed}"
    what = (
        f"{merged} tensors merged by {done.method} ({done.parameters:,} numbers), {len(done.actions) - merged} others"
    )
    say(f"{what}{seed}; nothing written" if done.output is None else f"{what}{seed}; written to {done.output}")
