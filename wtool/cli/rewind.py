"""`wtool rewind`, which takes one option only because the other re-initialisations have it."""

from __future__ import annotations

import click

from wtool.cli.transforming import command_of
from wtool.transforms.tickets import Rewind

command = command_of(
    Rewind,
    click.option(
        "--same-sign/--no-same-sign",
        default=True,
        expose_value=False,
        help="As for the other four; initial values have their signs anyway.",
    ),
)
