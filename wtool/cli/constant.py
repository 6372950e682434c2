"""`wtool constant`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("constant")
@options.transforming(
    *options.reinitialising,
    click.option("--value", type=float, metavar="V", help="Its magnitude; that of the initializer by default."),
)
def command(**chosen: Any) -> int:
    """Give the initial checkpoint the mask of a pruned model, with plus or minus one value where weights are kept.

    \b
        wtool constant pruned.keras --initial init.keras --value 0.05 -o ticket.keras
    """
    return run("constant", **chosen)
