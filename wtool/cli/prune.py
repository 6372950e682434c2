"""`wtool prune`."""

from __future__ import annotations

from typing import Any

import click

from wtool.choices import CRITERIA, SCOPES
from wtool.cli import options
from wtool.cli.transforming import run


@click.command("prune")
@options.transforming(
    click.option("--min-value", type=float, metavar="A", help="With --max-value: what is in [A, B] is pruned."),
    click.option("--max-value", type=float, metavar="B", help="With --min-value: what is in [A, B] is pruned."),
    click.option(
        "--set-value", type=float, default=0.0, show_default=True, metavar="V", help="What pruned ones become."
    ),
    click.option("--sparsity", type=float, metavar="S", help="The share to prune, 0 to 1, by --criterion."),
    click.option(
        "--criterion",
        type=click.Choice(CRITERIA),
        default="large-final",
        show_default=True,
        help="What makes a weight matter.",
    ),
    click.option(
        "--scope",
        type=click.Choice(SCOPES),
        default="tensor",
        show_default=True,
        help="S of each tensor, or of all together.",
    ),
    click.option(
        "--last-layer-scale",
        type=float,
        default=1.0,
        show_default=True,
        metavar="F",
        help="The output layer's kernel is pruned to S*F.",
    ),
    options.initial,
    options.optimizer,
)
def command(**chosen: Any) -> int:
    """Prune models: weights in a range, or the share that matters least, become zero.

    \b
        wtool prune trained.keras --sparsity .8
        wtool prune zoo/ -o pruned/ --sparsity .8 --scope global -j 2
        wtool prune trained.keras --min-value -0.01 --max-value 0.01 -o small.keras
        wtool prune trained.keras --sparsity .8 --criterion mi --initial init.keras
    """
    return run("prune", **chosen)
