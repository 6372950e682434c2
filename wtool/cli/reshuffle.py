"""`wtool reshuffle`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("reshuffle")
@options.transforming(
    *options.reinitialising,
)
def command(**chosen: Any) -> int:
    """Give the initial checkpoint the mask of a pruned model, with the kept values of each tensor permuted.

    \b
        wtool reshuffle pruned.keras --initial init.keras -o control.keras
    """
    return run("reshuffle", **chosen)
