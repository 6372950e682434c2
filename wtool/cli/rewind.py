"""`wtool rewind`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("rewind")
@options.transforming(
    options.initial,
    click.option(
        "--same-sign/--no-same-sign",
        default=True,
        expose_value=False,
        help="As for the other four; initial values have their signs anyway.",
    ),
    options.reinitialised,
)
def command(**chosen: Any) -> int:
    """Give the initial checkpoint the mask of a pruned model: initial values where that is not zero, zero elsewhere.

    \b
        wtool rewind pruned.keras --initial init.keras -o ticket.keras
        wtool prune trained.keras --sparsity .8 -o - | wtool rewind - --initial init.keras -o ticket.keras
    """
    return run("rewind", **chosen)
