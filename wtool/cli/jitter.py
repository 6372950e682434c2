"""`wtool jitter`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("jitter")
@options.transforming(
    options.initial,
    click.option("--sd", type=float, default=0.01, show_default=True, help="Standard deviation of the noise."),
    options.same_sign,
    options.reinitialised,
)
def command(**chosen: Any) -> int:
    """Give the initial checkpoint the mask of a pruned model, and add Gaussian noise where weights are kept.

    \b
        wtool jitter pruned.keras --initial init.keras --sd 0.01 -o ticket.keras
    """
    return run("jitter", **chosen)
