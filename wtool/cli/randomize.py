"""`wtool randomize`."""

from __future__ import annotations

from typing import Any

import click

from wtool.cli import options
from wtool.cli.transforming import run


@click.command("randomize")
@options.transforming(
    *options.reinitialising,
)
def command(**chosen: Any) -> int:
    """Give the initial checkpoint the mask of a pruned model, with fresh values from each layer's initializer.

    \b
        wtool randomize pruned.keras --initial init.keras -o control.keras
    """
    return run("randomize", **chosen)
