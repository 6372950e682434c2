"""The arms of several experiments in one plot."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.plotting.style import short_names
from wtool.training.lottery.curves import Run
from wtool.training.lottery.plan import DENSE
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm of one of the experiments in a plot, with the name that it has there."""

    run: Run
    arm: str
    name: str


def named_arms(runs: Sequence[Run], dense: bool) -> list[Arm]:
    """Returns the dense training of each experiment or, if not `dense`, all its other arms, if it has any.

    Where there are several experiments, the name of its folder comes before the name of an arm.
    """
    folders = short_names([run.name.rstrip("/") for run in runs])
    return [
        Arm(run, arm, f"{folder}: {arm}" if len(runs) > 1 else arm)
        for run, folder in zip(runs, folders, strict=True)
        for arm in ([DENSE] if dense else run.arms or [DENSE])
    ]
