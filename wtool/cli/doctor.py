"""What `--doctor` found, on standard error: a table of kernels, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtool.cli.console import say
from wtool.cli.tables import print_table

if TYPE_CHECKING:
    from wtool.run.diagnosis import Diagnosis

HEADER = ("kernel", "values", "cosine", "signs that disagree", "norm kept", "finding")


def say_diagnosis(quiet: bool, found: Diagnosis) -> None:
    """Prints a diagnosis; if `quiet`, only a verdict that speaks against an average or merge."""
    if quiet and found.is_safe:
        return
    if not quiet:
        rows = [
            [each.path, f"{each.size:,}", *map(_number, (each.cosine, each.disagreement, each.norm)), each.finding]
            for each in found.kernels
        ]
        print_table(HEADER, rows, right=range(1, 5), is_error=True)
    for sentence in found.verdict:
        say(f"doctor: {sentence}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
