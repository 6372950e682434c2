"""How processor time and memory grow with layers, bytes and files.

An exponent of 1 is growth in proportion. It is the slope of the line through the logarithms (least squares) of what
comes on top of the start, from where that is half as much as the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import contenders
from contenders import Contender, Run
from report import Report, Target, at_most, spread, table
from turns import Turns, say

LAYERS = (10, 100, 1000, 10_000, 30_000)
UNITS = (60, 200, 600, 2000)
"""Of twenty layers, whose kernels so take 0.3, 3, 29 and 320 MB."""

FILES = (10, 30, 100, 300)
ROUNDS = 2


def report(turns: Turns) -> Report:
    most = 2 if turns.smoke else None
    out, small = turns.out / "grown.keras", turns.models("small", 1)
    deep = [(count, [grown(turns, count, 4)]) for count in LAYERS[:most]]
    large = [(round(20 * units**2 * 4e-6, 1), [grown(turns, 20, units)]) for units in UNITS[:most]]
    zoo = [(count, turns.models("zoo", count)) for count in FILES[:most]]

    def check(models: Sequence[Path]) -> Contender:
        return Contender("wtool check", [*turns.command, "check", str(models[0])])

    def prune(models: Sequence[Path]) -> Contender:
        return contenders.wtool_on(turns.command, ["prune", "--sparsity", ".5"], models[0], out)

    def average(models: Sequence[Path]) -> Contender:
        return contenders.wtool(turns.command, models, out)

    measured = [
        growth(turns, "`wtool check`, layers", check, small, deep),
        growth(turns, "`wtool prune`, layers", prune, small, deep),
        growth(turns, "`wtool prune`, megabytes", prune, small, large),
        growth(turns, "`wtool average`, models of 1.3 MB", average, [*small, *small], zoo),
    ]
    return Report([found for found, _ in measured], [target for _, target in measured])


def growth(
    turns: Turns,
    what: str,
    contender: Callable[[Sequence[Path]], Contender],
    small: Sequence[Path],
    sets: Sequence[tuple[float, Sequence[Path]]],
) -> tuple[str, Target]:
    """A table of a command on more and more, and the exponent of its growth.

    Args:
        turns: how it is measured.
        what: the command, and what grows.
        contender: the command on some models.
        small: models that take a start and no more.
        sets: how much there is, with the models.
    """
    rounds = range(1 if turns.smoke else ROUNDS)
    start = median(turns.once(contender(small)).processor for _ in rounds)
    runs = {count: [turns.once(contender(models)) for _ in rounds] for count, models in sets}
    above = {count: median(run.processor for run in each) - start for count, each in runs.items()}
    fitted = {count: seconds for count, seconds in above.items() if seconds >= start / 2}
    power = exponent(fitted) if len(fitted) > 1 else None
    say(f"{what}: {power}")
    rows = [[f"{count:,}", *figures(each)] for count, each in runs.items()]
    head = what if power is None else f"{what} (exponent {power:.2f})"
    return table([head, "processor, s", "peak MB"], rows), at_most(f"growth: {what}", power, 1.05, "")


def figures(runs: Sequence[Run]) -> list[str]:
    return [spread([run.processor for run in runs]), f"{max(run.peak_mb for run in runs):.0f}"]


def exponent(values: Mapping[float, float]) -> float:
    """The slope of the line that fits the logarithms of the values best, over those of their keys."""
    points = [(math.log(key), math.log(value)) for key, value in values.items()]
    x, y = (sum(each) / len(points) for each in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def grown(turns: Turns, layers: int, units: int) -> Path:
    """A model of so many layers, made once."""
    path = turns.folder / "grown" / f"{layers}-layers-of-{units}.keras"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        turns.once(contenders.grown(path, layers, units))
    return path
