"""Schedules of sparsity: which share of the weights is zero after each step of a pruning in several steps.

This module imports no NumPy, since the command line reads the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from wtool.choices import check_choice
from wtool.errors import Usage

Schedule = Callable[[float, float], float]
"""From the last sparsity, and the progress between 0 and 1, to the sparsity."""


def geometric(last: float, progress: float) -> float:
    """1 - (1-S)^p: each step prunes the same share of what is left."""
    return float(1 - (1 - last) ** progress)


def linear(last: float, progress: float) -> float:
    """S*p: each step prunes the same share of all."""
    return last * progress


def polynomial(last: float, progress: float, initial: float = 0.0, power: float = 3) -> float:
    """S*(1 - (1-p)^3): the first steps prune most.

    From another initial sparsity s on, and with another power, it is S + (s-S)*(1-p)^power.

    Source: Zhu & Gupta, arXiv:1710.01878; `PolynomialDecay` of tfmot.
    """
    return float(last + (initial - last) * (1 - progress) ** power)


SCHEDULES: Mapping[str, Schedule] = {"geometric": geometric, "linear": linear, "polynomial": polynomial}
"""Name -> schedule, from a sparsity of 0 on."""


def sparsity_at(schedule: str, last: float, step: int, steps: int) -> float:
    """Returns the sparsity after a step of an iterative pruning.

    Args:
        schedule: name of the schedule.
        last: the sparsity after the last step, 0 to 1.
        step: the number of the step; 0 is before the first one, where nothing is pruned.
        steps: how many steps there are.

    Raises:
        Usage: the schedule is not known, or never gets there.
    """
    check_choice(schedule, "schedule", tuple(SCHEDULES))
    if step == steps:
        return last
    if last == 1 and schedule == "geometric":
        raise Usage("a geometric schedule never reaches a sparsity of 1; --schedule linear does")
    return SCHEDULES[schedule](last, step / steps)


def read_step(text: str) -> tuple[int, int]:
    """Returns the step and the number of steps that a text like `3/10` says.

    Raises:
        Usage: it says something else, or a step after the last one.
    """
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    step, steps = map(int, found.groups()) if found else (1, 0)
    if step > steps or steps == 0:
        raise Usage(f"a step of {text} is none; --step 3/10 is the third of ten")
    return step, steps
