"""Lottery experiments as curves with their spread over trials."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.ops.metric_names import EARLY_STOP, drawable
from wtool.training.lottery.plan import DENSE
from wtool.training.lottery.summaries import (
    FILE,
    Line,
    Summary,
    early_stops,
    last_lines,
    read_metrics,
    summarise,
)
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve over all trials.

    Attributes:
        x: shape (n,).
        mean, std: over the trials, the deviation that of the sample, 0 of a single one; shape (n,).
        trials: the largest number of them in any point.
    """

    x: Array
    mean: Array
    std: Array
    trials: int


@dataclass(frozen=True, slots=True)
class Run:
    """An experiment.

    Attributes:
        name: of its folder.
        last: the last epoch of each training so far, whose metrics include the early-stop epoch where it is known.
        epochs: (arm, round) -> summaries over the trials, of each epoch.
        ends: arm -> summaries over the trials, of the last epochs of each round.
    """

    name: str
    last: Sequence[Line]
    epochs: Mapping[tuple[str, int], Sequence[Summary]]
    ends: Mapping[str, Sequence[Summary]]

    @property
    def trials(self) -> int:
        """Number of trials that have begun."""
        return len({line.trial for line in self.last})

    @property
    def arms(self) -> list[str]:
        """Names of all arms but the dense training, in the order in which they were trained."""
        return [arm for arm in self.ends if arm != DENSE]

    def rounds(self, arm: str) -> list[int]:
        """Returns the rounds of an arm."""
        return sorted(each.round for each in self.ends.get(arm, ()))

    def remaining(self, arm: str, number: int) -> float:
        """Returns the share of weights that is left in a round of an arm, in percent."""
        return round(100 * self.epochs[arm, number][-1].remaining, 3)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics with the loss, and of the early-stop epoch where it is known."""
        return list(dict.fromkeys(name for line in self.last for name in line.metrics))


def is_run(path: str) -> bool:
    """Returns whether a path is a folder with an experiment's metrics."""
    return os.path.isfile(os.path.join(path, FILE))


def run_of(folder: str) -> Run:
    """Read an experiment, which may still be going on.

    Raises:
        WtoolError: its metrics are none, or cannot be read.
    """
    lines = read_metrics(folder)
    if not lines:
        raise Refused("has no epochs yet; plot it when the first one is over", os.path.join(folder, FILE))
    early = early_stops(lines) if any(line.epoch > 1 for line in lines) else {}
    lines = [replace(line, metrics={name: drawable(each) for name, each in line.metrics.items()}) for line in lines]
    epochs: dict[tuple[str, int], list[Summary]] = {}
    for each in summarise(lines):
        epochs.setdefault((each.arm, each.round), []).append(each)
    last = [_with_early_stop(line, early.get((line.trial, line.arm, line.round))) for line in last_lines(lines)]
    ends: dict[str, list[Summary]] = {}
    for each in summarise(replace(line, epoch=0) for line in last):  # trials may end after different epochs
        ends.setdefault(each.arm, []).append(each)
    return Run(folder, last, epochs, ends)


def _with_early_stop(line: Line, epoch: int | None) -> Line:
    return line if epoch is None else replace(line, metrics={**line.metrics, EARLY_STOP: float(epoch)})


def learning_curve(run: Run, arm: str, number: int, metric: str) -> Band:
    """Returns the curve of a metric by epoch, in one round of an arm."""
    found = [each for each in run.epochs.get((arm, number), ()) if metric in each.metrics]
    return _band([(each.epoch, each) for each in found], metric)


def final_curve(run: Run, arm: str, metric: str) -> Band:
    """Returns the curve of a metric in the last epoch of each round of an arm, by the remaining weights in percent."""
    found = [each for each in run.ends.get(arm, ()) if metric in each.metrics]
    return _band([(100 * each.remaining, each) for each in found], metric)


def trial_values(run: Run, arm: str, metric: str) -> list[float]:
    """Returns the values of a metric in the last epochs of an arm, one for each trial and round."""
    return [line.metrics[metric] for line in run.last if line.arm == arm and metric in line.metrics]


def _band(points: Sequence[tuple[float, Summary]], metric: str) -> Band:
    ordered = sorted(points, key=lambda point: point[0])
    spreads = [summary.metrics[metric] for _, summary in ordered]
    return Band(
        np.array([x for x, _ in ordered], np.float64),
        np.array([spread.mean for spread in spreads]),
        np.array([spread.std or 0.0 for spread in spreads]),
        max((summary.trials for _, summary in ordered), default=0),
    )
