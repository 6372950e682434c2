"""A Keras callback that tells of every epoch: to the console, to logs, to callers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from wtool.training.fitting.logs import Epoch


class ReportFailed(Exception):
    """What is told of epochs raised something: no fault of the data that is trained with.

    Attributes:
        error: what it raised; Keras drops the causes of what passes through it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Log(keras.callbacks.Callback):
    """Tells of every epoch when it is over."""

    def __init__(self, report: Callable[[Epoch], None], of: int) -> None:
        super().__init__()
        self._report = report
        self._of = of
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell of it."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        try:
            self._report(Epoch(epoch + 1, self._of, time.monotonic() - self._began, metrics))
        except Exception as error:
            raise ReportFailed(error) from error
