"""`wtool average`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from wtool.choices import ORDERS
from wtool.cli import options
from wtool.cli.console import print_table, progress_bar, refuse_two_outputs, say, say_passed_by

if TYPE_CHECKING:
    from wtool.ops.average import Averaged


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        try:
            return value if isinstance(value, list) else [float(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2,3", param, ctx)


@click.command("average")
@click.argument("paths", nargs=-1, required=True, metavar="CKPT...")
@click.option("--equal", is_flag=True, help="Every checkpoint counts the same (the default).")
@click.option("--linear", is_flag=True, help="The k-th newest of n counts n-k+1.")
@click.option("--exp", "decay", type=float, metavar="D", help="Each counts D^age, the newest having age 0; 0 < D <= 1.")
@click.option("--alpha", type=float, metavar="A", help="The i-th newest counts e^(-i/A).")
@click.option("--coefficients", type=_Numbers(), metavar="C1,C2,...", help="One for each checkpoint, in order.")
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    help="From oldest to newest: by path with numbers as numbers (the default), as given (the default for "
    "--coefficients of files that are named one by one), or by time of change.",
)
@click.option("--allow-nonfinite", is_flag=True, help="Average NaN and infinities instead of refusing them.")
@options.output
@options.include
@options.exclude
@options.optimizer
@options.dry_run
@options.force
@options.as_json
@options.quiet
def command(paths: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Average checkpoints of one run into a new model, with the newest's format, configuration and optimizer class.

    Every floating variable is averaged in float64 and rounded once; seeds, counters, integer tables and quantised
    kernels are the newest's. Coefficients are normalised to add up to 1. The output is `average` with the newest's
    extension, in the current folder, unless --output says otherwise.

    \b
        wtool average ckpt*.keras --exp 0.9
        wtool average run/ --linear -o mean.keras
        wtool average a.h5 b.h5 --coefficients 1,3 -o - | wtool inspect -
    """
    from wtool.ops.average import average

    refuse_two_outputs(as_json, chosen["output"])
    with progress_bar("averaging", quiet) as progress:
        done = average(paths, progress=progress, **chosen)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    elif chosen["dry_run"]:
        print_table(["tensor", "what would become of it"], list(done.actions.items()))
    if not quiet:
        _report(done)
        if not as_json:
            say_passed_by(paths)


def _report(done: Averaged) -> None:
    for path, coefficient in done.inputs:
        say(f"{coefficient:10.7f}  {path}")
    for note in done.notes:
        say(f"note: {note}")
    if done.skipped:
        say(f"{done.output} is there already, made from the same checkpoints in the same way: skipped")
        return
    averaged = sum(action == "averaged" for action in done.actions.values())
    what = f"{averaged} tensors averaged ({done.parameters:,} numbers), {len(done.actions) - averaged} others"
    say(f"{what}; nothing written" if done.output is None else f"{what}; written to {done.output}")
