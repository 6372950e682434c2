"""The training loop: trains from one epoch to another, and stops at signals and at losses that are NaN."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from types import FrameType
from typing import Any

import keras

from wtool.errors import WtoolError, in_short
from wtool.run.batch import SEEDS
from wtool.signals import ENDING
from wtool.training.data.reading import Renewed, fed
from wtool.training.data.samples import Batches, EpochOfBatches
from wtool.training.fitting.holding import has_averages
from wtool.training.fitting.telling import ReportFailed
from wtool.training.saving.record import Position
from wtool.training.saving.save import Diverged
from wtool.values import dataclass

SIGNALS = (signal.SIGINT, *ENDING)
GLANCE = 1.0  # seconds between two looks at the loss: each waits for the device


@dataclass(slots=True)
class Stop:
    """The signal that asked training to end, and the position where training ended; both None so far.

    Attributes:
        signal: its number.
        at: where training ended for it.
    """

    signal: int | None = None
    at: Position | None = None


class _Stopped(Exception):
    """Raised to leave Keras's loop at once: `stop_training` would run the validation first."""


def fit(
    model: Any,
    data: Any,
    start: Position,
    stop_epoch: int,
    *,
    seed: int,
    batch_size: int = 32,
    shuffle: bool = True,
    validation: Any = None,
    callbacks: Sequence[Any] = (),
    stop: Stop | None = None,
    bar: bool = False,
    whole_epochs: bool = False,
    steps: int | None = None,
    class_weight: Mapping[int, float] | None = None,
) -> Position:
    """Train from a position to the end of epoch `stop_epoch`, counted from 1, as one uninterrupted `fit` would have.

    Args:
        model: compiled.
        data: a result of `reading.read_data`.
        start: where training is; in the middle of an epoch only with data that can skip.
        stop_epoch: how many whole epochs there are in the end.
        seed: of the order of samples, together with the epoch, and of all else that is random.
        batch_size: of `Samples`.
        shuffle: whether `Samples` come in another order in each epoch.
        validation: as `data`.
        callbacks: Keras's, called in this order.
        stop: says when to end early (see `stopping_on_signals`).
        bar: Keras's progress bar.
        whole_epochs: whether a signal ends training only at the end of the epoch: the metrics of the rest of an epoch
            are not those of the epoch.
        steps: how many batches an epoch has; None for as many as the data has.
        class_weight: class -> weight of its samples; 1 for others.

    Returns:
        where training is; before `stop_epoch` where a callback ended training.

    Raises:
        Diverged: the loss became NaN or infinite.
        WtoolError: the data does not fit the model.
    """
    if keras.backend.backend() == "jax" and has_averages(model):
        raise WtoolError("moving averages of weights (use_ema) go on with the TensorFlow backend only")
    stop = Stop() if stop is None else stop
    keras.utils.set_random_seed(seed % SEEDS)
    for first, last in pairwise(_parts((data, validation), start, stop_epoch)):
        skip = start.batch if first == start.epoch else 0
        ending = _Stopping(stop, skip, last, stop_epoch, whole_epochs)
        try:
            batches = fed(data, batch_size, seed if shuffle else None, first, skip, steps)
            own = [EpochOfBatches(batches)] if isinstance(batches, Batches) else []
            with redirect_stdout(sys.stderr), warnings.catch_warnings():  # standard output is for data
                warnings.filterwarnings("ignore", "Your input ran out of data")  # as it does at the end of an epoch
                model.fit(
                    batches,
                    initial_epoch=first,
                    epochs=last,
                    shuffle=False,
                    steps_per_epoch=None if own or steps is None else steps - skip,
                    class_weight=None if class_weight is None else dict(class_weight),
                    validation_data=None if validation is None else fed(validation, batch_size),
                    callbacks=[*own, _Finite(), *callbacks, ending],
                    verbose=1 if bar else 0,
                )
        except _Stopped:
            if stop.at is not None:
                return stop.at
        except ReportFailed as error:
            raise error.error from None
        except (WtoolError, OSError, MemoryError):
            raise
        except Exception as error:  # Keras and TensorFlow raise what they like where data does not fit a model
            raise misfit(error, "train") from error
        else:
            if model.stop_training:
                return Position(ending.epoch + 1)
    return Position(stop_epoch)


def misfit(error: Exception, doing: str) -> WtoolError:
    """Returns the error to raise where Keras fails on data."""
    why = "it has no y" if "None values not supported" in str(error) else in_short(error)
    return WtoolError(f"Keras cannot {doing} it with this data ({why})")


def _parts(data: Sequence[Any], start: Position, stop_epoch: int) -> list[int]:
    """Yields the epochs at which calls of Keras's `fit` begin and end.

    The rest of a begun epoch is a call of its own, and so is each epoch of an iterator.
    """
    if any(isinstance(each, Renewed) for each in data):
        return [start.epoch, *range(start.epoch + 1, stop_epoch), stop_epoch]
    return [start.epoch, *([start.epoch + 1] if start.batch and start.epoch + 1 < stop_epoch else []), stop_epoch]


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[Stop]:
    """Let SIGINT, SIGTERM and SIGHUP end training after the batch; a second one acts at once, as it would have before.

    Only the main thread gets signals, so in others nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}  # as nohup wants it

    def ask(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Stopping(keras.callbacks.Callback):
    """Ends training when a signal has come: after the batch, or after the epoch if that was its last batch.

    Also at the end of each call of `fit` but the last: going on would have Keras replace the weights by their moving
    averages.
    """

    def __init__(self, stop: Stop, skipped: int, last: int, stop_epoch: int, whole_epochs: bool) -> None:
        super().__init__()
        self.epoch = 0
        self._stop = stop
        self._skipped = skipped
        self._last = last
        self._stop_epoch = stop_epoch
        self._whole_epochs = whole_epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._stop.signal is not None and not self._whole_epochs and batch + 1 != self.params.get("steps"):
            self._end(Position(self.epoch, self._skipped + batch + 1))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch + 1 == self._stop_epoch or self.model.stop_training:
            return  # all is done
        if self._stop.signal is not None:
            self._end(Position(epoch + 1))
        if epoch + 1 == self._last:
            raise _Stopped

    def _end(self, at: Position) -> None:
        self._stop.at = at
        raise _Stopped


class _Finite(keras.callbacks.Callback):
    """Ends training when the loss is NaN. It is the first callback, so that nothing of such an epoch is saved."""

    def __init__(self) -> None:
        super().__init__()
        self._looked = time.monotonic()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if time.monotonic() - self._looked >= GLANCE:
            self._look(logs)
            self._looked = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._look(logs)

    def _look(self, logs: dict[str, Any] | None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            hint = "a smaller --learning-rate may help"
            raise Diverged(f"the loss became {loss} in epoch {self._epoch + 1}; {hint}")
