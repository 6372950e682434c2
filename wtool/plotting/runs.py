"""Curves over the trials of a lottery experiment, for plots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.training.lottery.plan import DENSE
from wtool.training.lottery.summaries import FILE, Summary, last_epochs, read_metrics, summarise


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
    """An experiment: its folder, and summaries over its trials for each arm, round and epoch."""

    name: str
    summaries: Sequence[Summary]

    @property
    def trials(self) -> int:
        """Number of trials that have begun."""
        return max(each.trials for each in self.summaries)

    @property
    def arms(self) -> list[str]:
        """Names of all arms but the dense training, in the order in which they were trained."""
        return [arm for arm in dict.fromkeys(each.arm for each in self.summaries) if arm != DENSE]

    def rounds(self, arm: str) -> list[int]:
        """Returns the rounds of an arm."""
        return sorted({each.round for each in self.summaries if each.arm == arm})

    def remaining(self, arm: str, number: int) -> float:
        """Returns the share of weights that is left in a round of an arm, in percent."""
        shares = [each.remaining for each in self.summaries if (each.arm, each.round) == (arm, number)]
        return round(100 * shares[-1], 3)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics with the loss, in the order of the lines that have them."""
        return list(dict.fromkeys(name for each in self.summaries for name in each.metrics))


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
    return Run(folder, summarise(lines))


def learning_curve(run: Run, arm: str, number: int, metric: str) -> Band:
    """Returns the curve of a metric by epoch, in one round of an arm."""
    found = [each for each in run.summaries if (each.arm, each.round) == (arm, number) and metric in each.metrics]
    return _band([(each.epoch, each) for each in found], metric)


def final_curve(run: Run, arm: str, metric: str) -> Band:
    """Returns the curve of a metric in the last epoch of each round of an arm, by the remaining weights in percent."""
    found = [each for each in last_epochs(run.summaries) if each.arm == arm and metric in each.metrics]
    return _band([(100 * each.remaining, each) for each in found], metric)


def _band(points: Sequence[tuple[float, Summary]], metric: str) -> Band:
    ordered = sorted(points, key=lambda point: point[0])
    spreads = [summary.metrics[metric] for _, summary in ordered]
    return Band(
        np.array([x for x, _ in ordered], np.float64),
        np.array([spread.mean for spread in spreads]),
        np.array([spread.std or 0.0 for spread in spreads]),
        max((summary.trials for _, summary in ordered), default=0),
    )


def score_of(metrics: Sequence[str]) -> str:
    """Returns the metric that scores a model: an accuracy, else the first metric that is no loss, else the loss.

    On validation data where there are some.
    """
    own = [name for name in metrics if not name.startswith("val_") and name != "loss"]
    return validated(next((name for name in own if "acc" in name), own[0] if own else "loss"), metrics)


def validated(name: str, metrics: Sequence[str]) -> str:
    """Returns the name of a metric on validation data where there is one, else on training data."""
    return f"val_{name}" if f"val_{name}" in metrics else name
