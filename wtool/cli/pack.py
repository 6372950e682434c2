"""`wtool pack`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.transforming import help_of, run
from wtool.ops.pack_options import Pack
from wtool.run.options import Keeping

if TYPE_CHECKING:
    from wtool.run.packed import Packed


@click.command("pack", help=help_of(Pack, 2))
@options.models
@options.of(Pack, Keeping)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.pack` to models, and tell of each; gives the exit status."""
    return run("pack", models, as_json, quiet, verbose, _say, **chosen)


def _say(done: Packed) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    where = "nothing written" if done.output is None else f"written to {done.output}"
    after = "" if done.after is None else f", {done.after:,} after ({done.after / done.before:.1%})"
    gzip = "" if done.gzip is None else f"; gzip -9 would make about {done.gzip:,} of it"
    say(f"{done.model}: {done.before:,} bytes before{after}{gzip}; {where}")
