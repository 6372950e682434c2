"""Keras callbacks that report: every epoch of a training, and how far an evaluation is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from wtool.training.fitting.epoch import Epoch


class ReportFailed(Exception):
    """Raised where a report of an epoch failed, so that the failure is not taken for a fault of the data.

    Attributes:
        error: the exception of the report; Keras drops the causes of exceptions that pass through it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Log(keras.callbacks.Callback):
    """Reports every epoch when it has ended.

    Args:
        report: called with the epoch.
        of: number of the last epoch.
    """

    def __init__(self, report: Callable[[Epoch], None], of: int) -> None:
        super().__init__()
        self._report = report
        self._of = of
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the time."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the epoch."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        try:
            self._report(Epoch(epoch + 1, self._of, time.monotonic() - self._began, metrics))
        except Exception as error:
            raise ReportFailed(error) from error


class Tested(keras.callbacks.Callback):
    """Tells how far an evaluation is.

    Args:
        report: called with the share of the batches that are done, where their number is known.
    """

    def __init__(self, report: Callable[[float], None]) -> None:
        super().__init__()
        self._report = report

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the share."""
        steps = (self.params or {}).get("steps")
        if steps:
            self._report(min(1.0, (batch + 1) / steps))
