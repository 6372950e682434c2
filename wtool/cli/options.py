"""Options that several commands share."""

from __future__ import annotations

import click

from wtool.choices import OPTIMIZER_MODES

models = click.argument("models", nargs=-1, required=True, metavar="MODEL...")
output = click.option("-o", "--output", metavar="PATH", help="The new file; - for standard output.")
include = click.option(
    "--include", multiple=True, metavar="GLOB", help="Only tensors with paths like this (dense*/kernel); repeatable."
)
exclude = click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors with paths like this; repeatable.")
optimizer = click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZER_MODES),
    default="follow",
    show_default=True,
    help="What becomes of the optimizer's state.",
)
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, tensor by tensor; write nothing.")
force = click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object per model on standard output.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and no report.")
