"""Which checkpoints of a series are averaged: the newest, or the best by a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wtool.errors import Usage, counted
from wtool.ops.average_options import Considered
from wtool.ops.logged_values import logged
from wtool.ops.numbered_names import EPOCH, counts, metric_values
from wtool.schema.losses import mode_of
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """Checkpoints that were chosen from a series.

    Attributes:
        considered: all checkpoints, oldest first, with their values, and whether each is taken.
        notes: how values were found and compared, one line each.
    """

    considered: tuple[Considered, ...]
    notes: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The chosen checkpoints, oldest first."""
        return [each.path for each in self.considered if each.is_taken]


def newest(paths: Sequence[str], count: int) -> Choice:
    """Chooses the last `count` of checkpoints, which come oldest first."""
    first = max(0, len(paths) - count)
    considered = tuple(Considered(path, None, at >= first) for at, path in enumerate(paths))
    return Choice(considered, _too_few(len(paths), count))


def best(paths: Sequence[str], count: int, metric: str, mode: str | None, log: str | None) -> Choice:
    """Chooses the `count` best checkpoints by a metric; of equal ones the older.

    A checkpoint whose value is NaN is never chosen.

    Args:
        paths: of the checkpoints, oldest first.
        count: how many are chosen.
        metric: its name, such as `val_loss`.
        mode: `min` or `max`; None for what the name of the metric tells.
        log: path of a log with the values; None if the names of the checkpoints tell them.

    Raises:
        Usage: it is not clear which value is meant, or whether high or low values are better; or no value is a number.
    """
    direction = mode or mode_of(metric)
    values, notes = _from_names(paths, metric) if log is None else _from_log(paths, metric, log)
    sign = 1 if direction == "min" else -1
    known = [at for at, value in enumerate(values) if not math.isnan(value)]
    if not known:
        raise Usage(f"the {metric} of every checkpoint is NaN")
    taken = set(sorted(known, key=lambda at: (sign * values[at], at))[:count])
    pairs = enumerate(zip(paths, values, strict=True))
    considered = tuple(
        Considered(path, None if math.isnan(value) else value, at in taken) for at, (path, value) in pairs
    )
    told = f"{'lower' if sign == 1 else 'higher'} {metric} is better{'' if mode else ', as its name tells'}"
    return Choice(considered, (told, *notes, *_too_few(len(known), count)))


def _too_few(there: int, count: int) -> tuple[str, ...]:
    return (f"{counted(there, 'checkpoint')} instead of {count}: there are no more",) if there < count else ()


def _from_names(paths: Sequence[str], metric: str) -> tuple[list[float], list[str]]:
    try:
        values, is_labelled = metric_values(paths, metric)
    except Usage as error:
        raise Usage(f"{error}; --log FILE tells values by epoch") from None
    seen = f"{metric} is the number {values[-1]:g} in {paths[-1]}, and so on"
    return values, [] if is_labelled else [f"{seen}: names do not say what the number is"]


def _from_log(paths: Sequence[str], metric: str, log: str) -> tuple[list[float], list[str]]:
    found = logged(log, metric)
    try:
        epochs = counts(paths, EPOCH)
    except Usage as error:
        raise Usage(f"{error}; lines of {log} belong to checkpoints by the epoch in the name") from None
    values = found.of(epochs, paths, log, metric)
    shifted = f"{log} counts epochs from 0, as CSVLogger does: its epoch {epochs[-1] - 1} is that of {paths[-1]}"
    return values, [] if found.first else [shifted]
