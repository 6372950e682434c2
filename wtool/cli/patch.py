"""`wtool patch`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.tables import print_table
from wtool.cli.transforming import help_of, run
from wtool.errors import counted
from wtool.ops.patch_options import Patch
from wtool.run.options import Unseeded

if TYPE_CHECKING:
    from wtool.run.patched import Patched


@click.command("patch", help=help_of(Patch, 3))
@click.argument("models", nargs=-1, required=True, metavar="MODEL... [PATCH]", type=options.FILE)
@options.of(Patch, Unseeded)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.patch` to models, and tell of each; gives the exit status.

    Where no option says what changes, the last word is the patch file.
    """
    if len(models) > 1 and not (chosen["set"] or chosen["source"] or chosen["rename"]):
        *rest, chosen["patch"] = models
        models = tuple(rest)
    return run("patch", models, as_json, quiet, verbose, partial(_say, as_json=as_json), **chosen)


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
