"""The least that an operation can take here: the start of Python and NumPy, and its work over all cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import contenders
from report import seconds, spread, table
from turns import Turns


@dataclass(frozen=True)
class Floor:
    """Parts of the work of an operation.

    Attributes:
        what: the operation, on what.
        start: seconds of `python -c "import numpy"`.
        parts: part -> seconds of it alone, on one core, one for each turn.
    """

    what: str
    start: float
    parts: dict[str, list[float]]

    @property
    def seconds(self) -> float:
        """The start, and then all parts, divided by the cores."""
        return self.start + sum(map(median, self.parts.values())) / (os.cpu_count() or 1)

    def row(self, names: Sequence[str]) -> list[str]:
        parts = [spread(self.parts[name]) if name in self.parts else "" for name in names]
        return [self.what, f"{self.start:.2f}", *parts, f"{self.seconds:.2f}"]


PARTS = ("read", "hash", "checksum", "arithmetic", "write and fsync")


def floor_of(turns: Turns, what: str, operation: str, models: Sequence[Path], start: float) -> Floor:
    """Measure the parts of an operation's work on models, in turns."""
    figures = turns.out / "work.json"
    work = contenders.work(models, turns.out / "work", figures, operation, turns.smoke)
    return Floor(what, start, turns.told(work, figures))


def start_of_numpy(turns: Turns) -> float:
    """Seconds of a Python that imports NumPy and ends."""
    contender = contenders.imports("numpy")
    return seconds(turns.in_turns([contender])[contender.name])


def floor_table(floors: Sequence[Floor]) -> str:
    head = ["seconds of one core", "start", *PARTS, "start + the rest over the cores"]
    return table(head, [each.row(PARTS) for each in floors])
