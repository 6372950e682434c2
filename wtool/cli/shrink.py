"""`wtool shrink`, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.tables import print_table
from wtool.cli.transforming import help_of, run
from wtool.errors import counted, one_line
from wtool.ops.shrink_options import Shrink
from wtool.run.options import Common

if TYPE_CHECKING:
    from wtool.ops.shrunk import Shrunk


@click.command("shrink", help=help_of(Shrink, 2))
@options.models
@options.of(Shrink, Common)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.shrink` to models, and tell of each; gives the exit status."""
    return run("shrink", models, as_json, quiet, verbose, _say, _show, **chosen)


def _show(result: Shrunk, is_error: bool) -> None:
    """The tables of a dry run: channels, and layers."""
    click.echo(one_line(result.model), err=is_error)
    rows = [[name, f"{old:,}", f"{new:,}"] for name, (old, new) in result.channels.items()]
    print_table(["channels of", "now", "would stay"], rows, right=(1, 2), is_error=is_error)
    layers = [
        [path, *_numbers(each.parameters), *(_numbers(each.multiply_adds) or ("?", "?"))]
        for path, each in result.layers.items()
    ]
    print_table(
        ["layer", "parameters", "would be", "multiply-adds", "would be"], layers, right=(1, 2, 3, 4), is_error=is_error
    )


def _numbers(pair: tuple[int, int] | None) -> tuple[str, ...]:
    return () if pair is None else tuple(f"{each:,}" for each in pair)


def _say(done: Shrunk) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    for name, why in done.stays.items():
        say(f"  {name} stays: {why}")
    gone = sum(old - new for old, new in done.channels.values())
    seed = "" if done.seed is None else f"; seed {done.seed}"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    what = f"{counted(gone, 'channel')} of {counted(len(done.channels), 'group')} taken out"
    say(f"{done.model}: {what}; {_sizes(done)}; the model {_function(done)}{seed}; {where}")


def _sizes(done: Shrunk) -> str:
    """`4,100,000 to 1,200,000 parameters (16,400,000 to 4,800,000 bytes), 600,000 to 150,000 multiply-adds`."""
    assert done.parameters is not None
    assert done.bytes is not None
    before, after = done.parameters
    adds = done.multiply_adds
    told = "" if adds is None else f", {adds[0]:,} to {adds[1]:,} multiply-adds"
    return f"{before:,} to {after:,} parameters ({done.bytes[0]:,} to {done.bytes[1]:,} bytes){told}"


def _function(done: Shrunk) -> str:
    told = "computes the same" if done.same else "does not compute the same"
    if done.difference is not None:
        told += f" (largest difference {done.difference[0]:.3g}, of outputs up to {done.difference[1]:.3g})"
    if done.seconds is not None:
        before, after = done.seconds
        told += f" and takes {after * 1000:.3g} ms for a batch instead of {before * 1000:.3g}"
    return told
