"""What a page tells of trainings: the curves of lottery experiments, and those of logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from wtool.errors import Usage
from wtool.ops.metric_names import score_of
from wtool.ops.training_logs import curve, read
from wtool.training.lottery.curves import Run, run_of
from wtool.training.lottery.plan import DENSE
from wtool.training.lottery.summaries import Summary

MOST_POINTS = 500
"""Epochs of a curve on a page: of longer ones, the first, the last, and those that are evenly spread between."""

MOST_CURVES = 2_000
"""Curves of a page; more make a page that no browser shows at once."""


def run_data(folder: str) -> dict[str, Any]:
    """Returns the curves of an experiment, which may still be going on, as JSON values.

    Raises:
        WtoolError: its metrics are none, or cannot be read.
        Usage: the experiment has more curves than a page shows.
    """
    run = run_of(folder)
    arms = [arm for arm in run.ends if arm == DENSE] + run.arms
    curves = sum(len(run.rounds(arm)) for arm in arms) * len(run.metrics)
    if curves > MOST_CURVES:
        raise Usage(f"{curves:,} curves are too many for a page, which shows {MOST_CURVES:,}", folder)
    return {
        "kind": "run",
        "name": folder,
        "trials": run.trials,
        "metrics": run.metrics,
        "score": score_of(run.metrics),
        "arms": [{"name": arm, "rounds": [_round(run, arm, number) for number in run.rounds(arm)]} for arm in arms],
    }


def _round(run: Run, arm: str, number: int) -> dict[str, Any]:
    """Returns a round of an arm: its curves, and the statistics of the last epoch of each trial."""
    (end,) = (each for each in run.ends[arm] if each.round == number)
    return {
        "round": number,
        "sparsity": _short(end.sparsity),
        "remaining": _short(end.remaining),
        "trials": end.trials,
        "curves": {name: _curve(run.epochs[arm, number], name) for name in run.metrics},
        "ends": {name: _spread(end, name) for name in run.metrics if name in end.metrics},
    }


def _curve(epochs: Sequence[Summary], metric: str) -> dict[str, Any]:
    ordered = sorted(epochs, key=lambda each: each.epoch)
    found = _thinned([(each.epoch, each.metrics[metric]) for each in ordered if metric in each.metrics])
    return {
        "epochs": [epoch for epoch, _ in found],
        "mean": _shorts(spread.mean for _, spread in found),
        "std": _shorts(spread.std or 0.0 for _, spread in found),
    }


def _spread(end: Summary, metric: str) -> dict[str, Any]:
    found = end.metrics[metric]
    return {name: _short(getattr(found, name)) for name in ("mean", "std", "min", "max")}


def logs_data(paths: Sequence[str]) -> dict[str, Any]:
    """Returns the curves of logs, which share their panels, as JSON values.

    Raises:
        WtoolError: a file cannot be read.
        Refused: a file is no log, or has no epoch or no metric.
        Usage: the logs have more curves than a page shows.
    """
    trainings = [read(path) for path in paths]
    metrics = list(dict.fromkeys(name for training in trainings for name in training.metrics))
    curves = sum(len(training.metrics) for training in trainings)
    if curves > MOST_CURVES:
        raise Usage(f"{curves:,} curves are too many for a page, which shows {MOST_CURVES:,}", paths[0])
    logs = []
    for training in trainings:
        found = {name: _thinned(list(zip(*curve(training.log, name), strict=True))) for name in training.metrics}
        logs.append({"name": training.name, "curves": {name: _points(points) for name, points in found.items()}})
    return {"kind": "logs", "metrics": metrics, "score": score_of(metrics), "logs": logs}


def _points(points: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Returns the points of a curve; one without an epoch stands where the log begins again."""
    return {
        "epochs": [None if math.isnan(epoch) else int(epoch) for epoch, _ in points],
        "mean": _shorts(float(value) for _, value in points),
    }


def _thinned(points: list[Any]) -> list[Any]:
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(number * step)] for number in range(MOST_POINTS)]


def _shorts(values: Iterable[float]) -> list[float | None]:
    return [_short(value) for value in values]


def _short(value: float | None) -> float | None:
    """Returns a number to six digits, which are more than a screen shows; None for what is no number."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
