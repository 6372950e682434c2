"""`wtool neuroplast`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("neuroplast")
@options.transforming(
    click.option(
        "--min-value", type=float, default=-0.01, show_default=True, metavar="A", help="With --max-value: which."
    ),
    click.option(
        "--max-value", type=float, default=0.01, show_default=True, metavar="B", help="With --min-value: which."
    ),
    options.low_bound,
    options.high_bound,
    options.set_value,
    options.cutoff,
    options.optimizer,
)
def command(**chosen: Any) -> int:
    """Give weights near zero new values: uniform between two bounds, or one value.

    \b
        wtool neuroplast trained.keras
        wtool neuroplast trained.keras --min-value -0.001 --max-value 0.001 --low-bound -0.1 --high-bound 0.1
    """
    return run("neuroplast", **chosen)
