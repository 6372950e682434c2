"""`wtool plot`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, say, say_passed_by
from wtool.run.options import Execution, Selection


@click.command("plot")
@click.argument("paths", nargs=-1, required=True, metavar="MODEL...|RUN/")
@click.option("-o", "--output", required=True, metavar="FILE", help="The new .png, .svg or .pdf file.")
@options.one(Selection, "include")
@options.one(Selection, "exclude")
@options.one(Execution, "force")
@options.quiet
def command(paths: tuple[str, ...], quiet: bool, **chosen: Any) -> None:
    """Draw the weights of models, or the curves of a lottery experiment.

    Of models, for each kernel: a histogram of the weights that are not zero, the share of zeros, and the mask, side by
    side for all models. Of RUN/, the folder of an experiment: accuracy against remaining weights for every arm, and
    learning curves, with bands of one standard deviation over trials.

    \b
        wtool plot trained.keras pruned.keras -o weights.png
        wtool plot RUN/ -o curves.svg
    """
    from wtool.plotting.plot import plot

    with progress_bar("reading", quiet) as progress:
        done = plot(paths, progress=progress, **chosen)
    if not quiet:
        say(f"written to {', '.join(done.files)}")
        say_passed_by([path for path in paths if path not in done.drawn])
