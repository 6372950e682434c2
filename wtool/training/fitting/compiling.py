"""How a model is compiled: as it was saved, or with what the user says instead."""

from __future__ import annotations

from typing import Any

import keras

from wtool.errors import Usage, WtoolError
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Compilation:
    """How to compile a model, instead of as it was saved; None and () stand for no change.

    Attributes:
        loss: Keras's name of it.
        metrics: Keras's names of them.
        optimizer: Keras's name of a new one.
        learning_rate: of the optimizer, new or not.
    """

    loss: str | None = None
    metrics: tuple[str, ...] = ()
    optimizer: str | None = None
    learning_rate: float | None = None


def compile_model(model: Any, wanted: Compilation, trains: bool = True, why: str = "") -> None:
    """Compile a model. A model that is compiled keeps every setting that is not named, and its optimizer's state.

    Args:
        model: Keras's.
        wanted: changes.
        trains: whether it needs an optimizer as well.
        why: it is not compiled, if it was when it was saved.

    Raises:
        WtoolError: it is not compiled, and what it needs is not given.
        Usage: Keras does not know a name, or the learning rate cannot be set.
    """
    missing = [] if model.compiled or wanted.loss else ["a loss (--loss)"]
    missing += ["an optimizer (--new-optimizer)"] if trains and not model.compiled and not wanted.optimizer else []
    if missing:
        raise WtoolError(f"{why or 'is not compiled'}: it needs {' and '.join(missing)}")
    if wanted.loss or wanted.metrics or wanted.optimizer:
        _compile(model, wanted)
    if wanted.learning_rate is not None:
        set_learning_rate(model.optimizer, wanted.learning_rate)


def _compile(model: Any, wanted: Compilation) -> None:
    saved = keras.saving.deserialize_keras_object(model.get_compile_config() or {}) if model.compiled else {}
    optimizer = getattr(model, "optimizer", None)
    try:
        if wanted.optimizer:
            optimizer = keras.optimizers.get(wanted.optimizer)
        if wanted.loss:
            saved["loss"] = wanted.loss
            keras.losses.get(wanted.loss)
        if wanted.metrics:
            saved["metrics"] = list(wanted.metrics)
            _known_metrics(wanted.metrics)
        model.compile(**{**saved, "optimizer": optimizer or "rmsprop"})
    except (ValueError, TypeError) as error:
        raise Usage(str(error).strip().split("\n")[0]) from error


def _known_metrics(names: tuple[str, ...]) -> None:
    """Refuse names at once that Keras would refuse only in the middle of training.

    Raises:
        ValueError: Keras knows no such loss or metric.
    """
    for name in names:
        if name not in ("accuracy", "acc", "crossentropy", "ce"):  # which depend on the loss
            keras.metrics.get(name)


def set_learning_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate of an optimizer.

    Raises:
        Usage: the rate follows a schedule.
    """
    try:
        optimizer.learning_rate = rate
    except TypeError:
        raise Usage(
            "the learning rate follows a schedule and cannot be set; --new-optimizer starts one without"
        ) from None
