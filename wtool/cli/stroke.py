"""`wtool stroke`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("stroke")
@options.transforming(
    click.option(
        "--volatility-ratio",
        type=float,
        default=0.05,
        show_default=True,
        metavar="R",
        help="The share of each tensor, 0 to 1.",
    ),
    options.low_bound,
    options.high_bound,
    options.set_value,
    click.option("--decay", type=float, metavar="D", help="The k-th stroke of a model takes R*D^(k-1), at most 1."),
    options.cutoff,
    options.optimizer,
)
def command(**chosen: Any) -> int:
    """Give a random share of the weights new values: uniform between two bounds, or one value.

    \b
        wtool stroke trained.keras --volatility-ratio .1
        wtool stroke trained.keras --in-place --decay .9 --cutoff 20
    """
    return run("stroke", **chosen)
