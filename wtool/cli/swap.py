"""`wtool swap`."""

from __future__ import annotations

from typing import Any

import click

from wtool.choices import FILLS
from wtool.cli import options
from wtool.cli.swapping import run
from wtool.schema.layers import VARIANTS


@click.command("swap")
@options.models
@click.option("--to", required=True, type=click.Choice(VARIANTS), metavar="VARIANT", help=f"{', '.join(VARIANTS)}.")
@click.option(
    "--layers", multiple=True, metavar="GLOB", help="Only layers with paths like this; names output layers, too."
)
@click.option(
    "--fill", type=click.Choice(FILLS), default="zero", show_default=True, help="Linked: weights of the new half."
)
@click.option("--xmin-lim", type=float, metavar="A", help="AutoRot: inputs are from A, where no layer before tells.")
@click.option("--xmax-lim", type=float, metavar="B", help="AutoRot: inputs are up to B, where no layer before tells.")
@click.option("--L", "L", type=float, metavar="L", help="AutoRot: where the dynamic region ends; else by activation.")
@click.option("--auto-rot/--no-auto-rot", default=True, show_default=True, help="AutoRot: switched on or off.")
@click.option("--verify", is_flag=True, help="Run old and new model with Keras; tell the largest difference.")
@options.optimizer
@options.folder
@options.in_place
@options.seed
@options.dry_run
@options.force
@options.jobs
@options.fail_fast
@options.as_json
@options.quiet
def command(**chosen: Any) -> int:
    """Swap layers of models for Auto-Rotating or linked ones, and back.

    \b
        wtool swap model.keras --to linked
        wtool swap model.keras --to LKReLU --layers 'block1*' --verify
        wtool swap model.keras --to autorot --xmin-lim 0 --xmax-lim 1
        wtool swap model-swap.keras --to plain -o model.keras
    """
    return run(**chosen)
