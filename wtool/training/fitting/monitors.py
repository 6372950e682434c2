"""Callbacks that watch a loss or metric, and whose state goes on where a training goes on, as its record tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import keras
from keras.src.callbacks.monitor_callback import MonitorCallback

from wtool.checkpoint.lineage import Record
from wtool.errors import Usage, a_few
from wtool.training.fitting.compiling import set_learning_rate
from wtool.training.monitor_options import EarlyStopping, Monitor, ReduceLR, SaveBest
from wtool.training.saving.record import CALLBACKS, ENDED, TrainingPlan

Save = Callable[[Any, int], None]
"""Saves a model as the best one; takes the model, and the number of its epochs."""


class Watching(MonitorCallback):
    """A callback that watches a metric, and keeps its state over several calls of `fit`.

    Attributes:
        settings: what it watches, and what it does.
        counts: names of the attributes that count epochs: with the best value, these are the state.
    """

    settings: Monitor
    counts: tuple[str, ...]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the state: a training may take several calls of `fit`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Watch the epoch.

        Raises:
            Usage: the training has no such metric, or nobody knows whether more of the metric is better.
        """
        monitor, option = self.settings.monitor, self.settings.word
        if monitor not in (logs or {}):
            raise Usage(f"{option} watches {monitor}, and the training has only {a_few(sorted(logs or {}))}")
        if self.monitor_op is None:
            try:
                self._set_monitor_op()
            except ValueError:
                which = f"monitor={monitor},mode=max or monitor={monitor},mode=min"
                raise Usage(
                    f"{option}: Keras does not know which values of {monitor} are better; say {which}"
                ) from None
        super().on_epoch_end(epoch, logs)

    def state(self) -> dict[str, Any]:
        """Returns the state as JSON values; a best value that is not finite is a text there."""
        best = None if self.best is None else float(self.best)
        told = best if best is None or math.isfinite(best) else str(best)
        counts = {name: getattr(self, name) for name in self.counts}
        return {"monitor": self.settings.monitor, "mode": self.settings.mode, "best": told, **counts}

    def restore(self, state: Any) -> bool:
        """Take a state from a record, which may come from a stranger. Returns whether it is one of this callback."""
        told = state if isinstance(state, dict) else {}
        same = all(told.get(name) == getattr(self.settings, name) for name in ("monitor", "mode"))
        counts = {name: told.get(name) for name in self.counts}
        if not same or not all(type(count) is int and 0 <= count < 1 << 53 for count in counts.values()):
            return False
        try:
            self.best = None if told.get("best") is None else float(told["best"])
        except (TypeError, ValueError, OverflowError):
            return False
        for name, count in counts.items():
            setattr(self, name, count)
        return True


class _Stopping(Watching, keras.callbacks.EarlyStopping):
    """Keras's own early stopping."""

    counts = ("wait", "best_epoch", "stopped_epoch")

    def __init__(self, settings: EarlyStopping) -> None:
        super().__init__(**asdict(settings))
        self.settings = settings
        self.best_epoch = 0


class _Reducing(Watching, keras.callbacks.ReduceLROnPlateau):
    """Keras's own reduction of the learning rate."""

    counts = ("wait", "cooldown_counter")

    def __init__(self, settings: ReduceLR, optimizer: Any) -> None:
        super().__init__(**asdict(settings))
        self.settings = settings
        self._reset()
        set_learning_rate(optimizer, float(keras.ops.convert_to_numpy(optimizer.learning_rate)))  # refuses schedules


class _Saving(Watching):
    """Saves the model of the best epoch."""

    counts = ("best_epoch",)

    def __init__(self, settings: SaveBest, save: Save) -> None:
        super().__init__(settings.monitor, settings.mode)
        self.settings = settings
        self._save = save
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the model if no epoch was better before."""
        super().on_epoch_end(epoch, logs)
        value = (logs or {})[self.settings.monitor]
        if self._is_improvement(value, self.best):
            self.best, self.best_epoch = value, epoch + 1
            self._save(self.model, epoch + 1)


def watching(monitors: Sequence[Monitor], model: Any, save: Save) -> list[Watching]:
    """Returns the callbacks of a training that watch metrics.

    Args:
        monitors: their settings.
        model: compiled.
        save: saves the best model.

    Raises:
        Usage: the learning rate follows a schedule, and cannot be reduced.
    """
    made: list[Watching] = []
    for settings in monitors:
        if isinstance(settings, EarlyStopping):
            made.append(_Stopping(settings))
        elif isinstance(settings, ReduceLR):
            made.append(_Reducing(settings, model.optimizer))
        elif isinstance(settings, SaveBest):
            made.append(_Saving(settings, save))
    return made


def notes(callbacks: Sequence[Watching]) -> tuple[str, ...]:
    """Returns a line on each callback that ended training before the last epoch."""
    return tuple(
        f"{each.settings.word} ended training after epoch {each.stopped_epoch + 1}: "
        f"{each.settings.monitor} was best in epoch {each.best_epoch + 1}"
        for each in callbacks
        if isinstance(each, _Stopping) and each.stopped_epoch
    )


def states(callbacks: Sequence[Watching]) -> dict[str, Any]:
    """Returns the states of now as keys of a record, and whether training ends here; nothing without callbacks."""
    if not callbacks:
        return {}
    ended = any(isinstance(each, _Stopping) and each.stopped_epoch > 0 for each in callbacks)
    return {CALLBACKS: {each.settings.key: each.state() for each in callbacks}, **({ENDED: True} if ended else {})}


def restore(callbacks: Sequence[Watching], last: Record, plan: TrainingPlan) -> None:
    """Give callbacks the states that they had when a model was saved.

    The state goes on only where nothing was done to the model since, the data is the same, and so is the metric:
    otherwise the best value is one of another thing. In a training that goes on behind an early stop, patience begins
    anew.

    Args:
        callbacks: of the training.
        last: the last record of the model with which training begins.
        plan: of the training.
    """
    told = last.more.get(CALLBACKS)
    if not isinstance(told, dict) or not plan.has_data_of(last):
        return
    for callback in callbacks:
        is_taken = callback.restore(told.get(callback.settings.key))
        if is_taken and isinstance(callback, _Stopping) and callback.stopped_epoch and plan.position(last) is None:
            callback.wait = callback.stopped_epoch = 0
