"""An epoch of training. This module imports nothing else of wtool, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that has ended.

    Attributes:
        number: counted from 1 over all runs of the training.
        of: the number of the last one.
        seconds: it took.
        metrics: loss and metrics; those of validation begin with `val_`.
    """

    number: int
    of: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
