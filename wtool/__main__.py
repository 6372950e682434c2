"""`python -m wtool`."""

from wtool.cli import program

program()
