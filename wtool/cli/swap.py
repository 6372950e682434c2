"""`wtool swap`, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wtool.cli import options
from wtool.cli.console import say, say_notes, say_skipped
from wtool.cli.tables import lined_up, print_table
from wtool.cli.transforming import help_of, run
from wtool.errors import counted, one_line
from wtool.graphs.swap import Swap, Verification
from wtool.run.options import Common

if TYPE_CHECKING:
    from wtool.ops.swapped import Swapped


MILLION = 1_000_000


@click.command("swap", help=help_of(Swap))
@options.models
@options.of(Swap, Verification, Common)
@options.as_json
@options.quiet
@options.verbose
def command(models: tuple[str, ...], as_json: bool, quiet: bool, verbose: bool, **chosen: Any) -> int:
    """Do `wtool.swap` to models, and tell of each; gives the exit status."""
    return run("swap", models, as_json, quiet, verbose, _say, _show, **chosen)


def _show(result: Swapped, is_error: bool) -> None:
    """The tables of a dry run: layers and tensors, and what rotation does."""
    click.echo(one_line(result.model), err=is_error)
    rows = [*result.layers.items(), *((path, str(each)) for path, each in result.tensors.items())]
    print_table(["layer or tensor", "what would become of it"], rows, is_error=is_error)
    if result.rho:
        columns = [lined_up(column, 4) for column in zip(*result.rho.values(), strict=True)]
        rho = list(zip(result.rho, *columns, strict=True))
        print_table(["rotated layer", "rho: min", "median", "max"], rho, right=(1, 2, 3), is_error=is_error)


def _rho(result: Swapped) -> list[list[str]]:
    return [[path, *(f"{value:.4g}" for value in values)] for path, values in result.rho.items()]


def _say(done: Swapped) -> None:
    say_notes(done.model, done.notes)
    if done.skipped:
        say_skipped(done.model, done.output)
        return
    if done.output is not None:
        for path, low, median, high in _rho(done):
            say(f"  rho of {path}: min {low}, median {median}, max {high}")
    seed = "" if done.seed is None else f"; seed {done.seed}"
    function = "computes the same" if done.same else "does not compute the same"
    if done.difference is not None:
        function += f" (largest difference {done.difference[0]:.3g}, of outputs up to {done.difference[1]:.3g})"
    where = "nothing written" if done.output is None else f"written to {done.output}"
    new = sum(text.startswith("new ") for text in done.layers.values())
    what = f"{counted(len(done.layers) - new, 'layer')} swapped" + (
        f", {counted(new, 'projection')} added" if new else ""
    )
    say(f"{done.model}: {what}; {_growth(done.parameters)}the model {function}{seed}; {where}")


def _growth(parameters: tuple[int, int] | None) -> str:
    """`4.1 to 50.7 million parameters; `; empty where their number is the same."""
    before, after = parameters or (0, 0)
    if before == after:
        return ""
    if max(before, after) < MILLION:
        return f"{before:,} to {counted(after, 'parameter')}; "
    return f"{before / MILLION:.1f} to {after / MILLION:.1f} million parameters; "
