"""Logs of trainings as curves: those of Keras's CSVLogger, and of `wtool resume --log`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.io.addresses import is_address, name_of
from wtool.ops.logged_values import Log, read_log
from wtool.ops.metric_names import drawable
from wtool.values import dataclass

SUFFIXES = (".csv", ".jsonl")
"""Endings of the names of logs."""


@dataclass(frozen=True, slots=True)
class Training:
    """A log, with its path and the names of the metrics that have numbers."""

    name: str
    log: Log
    metrics: Sequence[str]


def is_log(path: str) -> bool:
    """Returns whether a path is a file with the name of a log."""
    if is_address(path):
        return os.path.splitext(name_of(path))[1].lower() in SUFFIXES  # it is no model by its name
    return os.path.splitext(path)[1].lower() in SUFFIXES and os.path.isfile(path)


def read(path: str) -> Training:
    """Read a log.

    Raises:
        WtoolError: the file cannot be read.
        Refused: the file is no log, or has no epoch or no metric.
    """
    log = read_log(path)
    if any(isinstance(row.get("metrics"), dict) for row in log.rows):
        raise Refused("has the metrics of a lottery experiment; plot the folder that the file is in", path)
    metrics = [name for name in log.names if log.values(name)]
    if not metrics:
        raise Refused("has no epoch with a metric yet", path)
    return Training(path, log, metrics)


def curve(log: Log, metric: str) -> tuple[Array, Array]:
    """Returns epochs and values of a metric; a gap (NaN) stands where the log begins again with an earlier epoch.

    Returns:
        epochs, counted from 1, and values: shape (n,) each.
    """
    found = log.values(metric)
    points: list[tuple[float, float]] = []
    for (before, _), point in zip([(-math.inf, 0.0), *found], found, strict=False):
        if point[0] <= before:
            points.append((math.nan, math.nan))
        points.append((point[0], drawable(point[1])))
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    return x, y
