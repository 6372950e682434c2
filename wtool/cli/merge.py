"""`wtool merge`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_passed_by
from wtool.cli.merging import merged
from wtool.cli.transforming import help_of
from wtool.errors import counted
from wtool.ops.merge_options import CALCULATED, Merge, Merged
from wtool.transforms.merging.registry import METHODS

LISTED = "\n".join(["\b", "Methods:", *(f"    {name:17}{method.line}" for name, method in METHODS.items())])
"""The methods with a line each, as Click leaves them."""


@click.command("merge", help=f"{help_of(Merge, 3)}\n\n{LISTED}")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=options.FILE)
@options.of(Merge)
@options.as_json
@options.quiet
def command(models: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Merge models, and tell what was done."""
    from wtool.ops.merge import merge

    done = merged(merge, models, "merging", as_json, quiet, chosen)
    if not quiet:
        _report(done)
        if not as_json:
            say_passed_by(models)


def _report(done: Merged) -> None:
    for each in done.inputs:
        say(f"{each.role:5}  {each.path}")
    for note in done.notes:
        say(f"note: {note}")
    if done.skipped:
        say(f"{done.output} is there already, made from the same models in the same way: skipped")
        return
    count = sum(action.kind in CALCULATED for action in done.actions.values())
    seed = "" if done.seed is None else f"; seed {done.seed}"
    numbers, others = counted(done.parameters, "number"), counted(len(done.actions) - count, "other")
    what = f"{counted(count, 'tensor')} merged by {done.method} ({numbers}), {others}"
    say(f"{what}{seed}; nothing written" if done.output is None else f"{what}{seed}; written to {done.output}")
