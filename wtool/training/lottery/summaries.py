"""Metrics of lottery experiments: the lines of `metrics.jsonl`, and their statistics over trials."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from wtool.errors import Refused
from wtool.io.json_text import parse_object
from wtool.values import dataclass

FILE = "metrics.jsonl"
MOST = 1 << 53  # counts and numbers that a float64 still tells apart


@dataclass(frozen=True, slots=True)
class Line:
    """An epoch of a training.

    Attributes:
        trial, arm, round: of the experiment; the network that is not pruned is arm `dense`, round 0.
        sparsity: what was pruned to in this round.
        remaining: the share of the selected weights that is not zero.
        epoch: counted from 1.
        metrics: loss and metrics; those of validation begin with `val_`.
    """

    trial: int
    arm: str
    round: int
    sparsity: float
    remaining: float
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Statistics of a metric over trials; `std` is the sample's (n - 1), None for a single trial."""

    mean: float
    median: float
    min: float
    max: float
    std: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """An epoch of an arm's round, over all trials.

    Attributes:
        arm, round, sparsity, epoch: as in `Line`.
        remaining: mean.
        trials: how many there are of it.
        metrics: name -> statistics.
    """

    arm: str
    round: int
    sparsity: float
    remaining: float
    epoch: int
    trials: int
    metrics: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """The epoch of an arm's round with the lowest validation loss: how fast it learns; over all trials.

    Attributes:
        arm, round, sparsity: as in `Line`.
        trials: how many there are of it.
        epoch: statistics of the epoch; of equal losses the first one counts.
        metrics: name -> statistics of the metric in that epoch.
    """

    arm: str
    round: int
    sparsity: float
    trials: int
    epoch: Spread
    metrics: dict[str, Spread]


def read_metrics(folder: str | os.PathLike[str]) -> list[Line]:
    """Returns the metrics of an experiment so far, in the order in which they were measured.

    Raises:
        Refused: the file holds something else.
    """
    path = os.path.join(folder, FILE)
    found: list[Line] = []
    try:
        with open(path, errors="replace") as file:
            for text in file:
                found.append(_line(text))
    except FileNotFoundError:
        return []
    except (Refused, TypeError):
        raise Refused(f"line {len(found) + 1} is not an epoch of a lottery experiment", path) from None
    return found


def _line(text: str) -> Line:
    line = Line(**parse_object(text, "it"))
    if not is_sound(line):
        raise TypeError
    return line


def is_sound(line: Line) -> bool:
    """Returns whether a line from a file has the keys and types of a metric."""
    counts, numbers = (line.trial, line.round, line.epoch), (line.sparsity, line.remaining)
    return (
        isinstance(line.arm, str)
        and all(type(each) is int and 0 <= each < MOST for each in counts)
        and all(map(_is_number, numbers))
        and 0 <= line.remaining <= 1
        and isinstance(line.metrics, dict)
        and "loss" in line.metrics
        and all(map(_is_number, line.metrics.values()))
    )


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < MOST)


def summarise(lines: Iterable[Line]) -> list[Summary]:
    """Returns mean, median, minimum, maximum and standard deviation over trials, for each arm, round and epoch."""
    groups: dict[tuple[str, int, int], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.arm, line.round, line.epoch), []).append(line)
    return [_summary(group) for group in groups.values()]


def summarise_early_stops(lines: Sequence[Line]) -> list[EarlyStop]:
    """Returns statistics of the epoch of the lowest validation loss, for each arm and round that has one."""
    epochs = early_stops(lines)
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        if line.epoch == epochs.get(_training(line)):
            groups.setdefault((line.arm, line.round), []).append(line)
    return [
        EarlyStop(arm, number, group[0].sparsity, len(group), _spread([line.epoch for line in group]), _metrics(group))
        for (arm, number), group in groups.items()
    ]


def _metrics(group: Sequence[Line]) -> dict[str, Spread]:
    """Returns statistics of the metrics that all lines have."""
    names = [name for name in group[0].metrics if all(name in line.metrics for line in group)]
    return {name: _spread([line.metrics[name] for line in group]) for name in names}


def summarise_ends(lines: Iterable[Line]) -> list[Summary]:
    """Returns statistics over trials of the last epoch of each arm and round; trials may end after different epochs."""
    last = last_lines(lines)
    latest: dict[tuple[str, int], int] = {}
    for line in last:
        latest[line.arm, line.round] = max(line.epoch, latest.get((line.arm, line.round), 0))
    return summarise(replace(line, epoch=latest[line.arm, line.round]) for line in last)


def last_epochs(summaries: Sequence[Summary]) -> list[Summary]:
    """Returns the summaries of the last epoch of each round."""
    return list({(each.arm, each.round): each for each in sorted(summaries, key=_epoch)}.values())


def _epoch(summary: Summary) -> int:
    return summary.epoch


def last_lines(lines: Iterable[Line]) -> list[Line]:
    """Returns the line of the last epoch of each training: each trial, arm and round."""
    found: dict[tuple[int, str, int], Line] = {}
    for line in lines:
        best = found.setdefault(_training(line), line)
        if line.epoch > best.epoch:
            found[_training(line)] = line
    return list(found.values())


def early_stops(lines: Iterable[Line]) -> dict[tuple[int, str, int], int]:
    """Returns (trial, arm, round) -> the first epoch of the lowest validation loss, where any is a number.

    This is the early-stop iteration, in epochs, by which Frankle and Carbin ("The Lottery Ticket Hypothesis", 2019)
    tell how fast a network learns.
    """
    lowest: dict[tuple[int, str, int], tuple[float, int]] = {}
    for line in lines:
        loss = line.metrics.get("val_loss", math.nan)
        if not math.isnan(loss):
            lowest[_training(line)] = min((loss, line.epoch), lowest.get(_training(line), (math.inf, line.epoch)))
    return {training: epoch for training, (_, epoch) in lowest.items()}


def ends(losses: Sequence[float], patience: int) -> bool:
    """Returns whether a training with these validation losses, one for each epoch so far, ends after the last one.

    It ends after so many epochs without a loss below all earlier ones, as Keras's EarlyStopping has it.
    """
    best, wait = math.inf, 0
    for number, loss in enumerate(losses):
        wait += 1
        if number == 0 or loss < best:
            best, wait = loss, 0
    return wait >= patience


def _training(line: Line) -> tuple[int, str, int]:
    return line.trial, line.arm, line.round


def _summary(group: Sequence[Line]) -> Summary:
    first = group[0]
    return Summary(
        arm=first.arm,
        round=first.round,
        sparsity=first.sparsity,
        remaining=_spread([line.remaining for line in group]).mean,
        epoch=first.epoch,
        trials=len(group),
        metrics=_metrics(group),
    )


def _spread(values: Sequence[Any]) -> Spread:
    from statistics import fmean, median, stdev  # slow to import, and `wtool lottery --help` needs none of them

    deviation = None
    if len(values) > 1:
        deviation = stdev(values) if all(map(math.isfinite, values)) else math.nan
    return Spread(fmean(values), median(values), min(values), max(values), deviation)
