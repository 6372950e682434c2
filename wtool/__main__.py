"""`python -m wtool`."""

from wtool.cli import main

main()
