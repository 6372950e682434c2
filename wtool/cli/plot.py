"""`wtool plot`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.console import progress_bar, say, say_passed_by
from wtool.cli.json_lines import print_json
from wtool.run.options import Execution, Selection


@click.command("plot")
@click.argument("paths", nargs=-1, required=True, metavar="MODEL...|RUN/...|LOG...", type=options.FILE)
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=options.FILE, help="The new .png, .svg or .pdf file."
)
@click.option("--metric", multiple=True, metavar="NAME", help="Of experiments and logs: what to draw; repeatable.")
@click.option(
    "--against",
    metavar="INIT",
    type=options.FILE,
    help="Draw the weights of models against those of this initial model.",
)
@click.option("--mask", metavar="PRUNED", type=options.FILE, help="With --against: mark what is pruned in this model.")
@options.one(Selection, "include")
@options.one(Selection, "exclude")
@options.one(Execution, "force")
@options.as_json
@options.quiet
def command(paths: tuple[str, ...], as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Draw the weights of models, or the curves of lottery experiments and of logs.

    Of models, for each kernel: a histogram of the weights that are not zero, the share of zeros, and the mask, side by
    side for all models; with --against, trained weights against initial ones. Of RUN/, the folder of an experiment, or
    several: accuracy against remaining weights for every arm, or arms side by side where they were pruned once, and
    learning curves, with one standard deviation over trials. Of LOG, what CSVLogger or `wtool resume --log` wrote:
    learning curves of training and validation.

    \b
        wtool plot trained.keras pruned.keras -o weights.png
        wtool plot trained.keras --against init.keras --mask pruned.keras -o scatter.png
        wtool plot RUN/ -o curves.svg
        wtool plot log.csv other.jsonl -o learning.svg
        wtool plot RUN/ --metric loss --metric accuracy -o curves.pdf
    """
    from wtool.plotting.plot import plot

    with progress_bar("reading", quiet) as progress:
        done = plot(paths, progress=progress, **chosen)
    if as_json:
        print_json(done)
    if not quiet:
        say(f"written to {', '.join(done.files)}")
        if not as_json:
            say_passed_by([path for path in paths if path not in done.drawn])
