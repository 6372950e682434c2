"""What a training watches after each epoch, and does then; without Keras, so that faults are told at once."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from wtool.choices import MODES
from wtool.option import Checked, given_words, option, options_of, types_of
from wtool.training.callback_words import Words
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.training.resume_options import Resume

MONITOR = partial(option, "val_loss", "The loss or metric that is watched.", metavar="METRIC")
MODE = partial(
    option, "auto", "Which values are better; by default Keras knows.", choices=("auto", *MODES), noun="mode"
)


@dataclass(frozen=True, kw_only=True)
class Monitor(Checked):
    """A callback that watches a loss or metric of each epoch.

    Attributes:
        word: name of the option of `wtool resume`.
        key: name of its state in a record.
    """

    word: ClassVar[str]
    key: ClassVar[str]

    monitor: str = MONITOR()
    mode: str = MODE()


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Monitor):
    """End training when a metric has not become better for some epochs.

    These are the parameters of `keras.callbacks.EarlyStopping` that decide when training ends.
    """

    word: ClassVar[str] = "--early-stopping"
    key: ClassVar[str] = "early_stopping"

    min_delta: float = option(
        0.0, "How much better counts.", low=0, wrong="a min_delta of {} is not a number from 0 up"
    )
    patience: int = option(
        0, "Epochs without a better value.", low=0, wrong="a patience of {} is not a number of epochs"
    )
    baseline: float | None = option(None, "A value that has to be surpassed as well.")
    start_from_epoch: int = option(
        0, "Epochs before anything is watched.", low=0, wrong="a start_from_epoch of {} is not a number of epochs"
    )


@dataclass(frozen=True, kw_only=True)
class ReduceLR(Monitor):
    """Reduce the learning rate when a metric has not become better for some epochs.

    These are the parameters of `keras.callbacks.ReduceLROnPlateau`.
    """

    word: ClassVar[str] = "--reduce-lr"
    key: ClassVar[str] = "reduce_lr"

    factor: float = option(
        0.1, "Of the learning rate.", above=0, below=1, wrong="a factor of {} is not between 0 and 1"
    )
    patience: int = option(
        10, "Epochs without a better value.", low=0, wrong="a patience of {} is not a number of epochs"
    )
    min_delta: float = option(
        1e-4, "How much better counts.", low=0, wrong="a min_delta of {} is not a number from 0 up"
    )
    cooldown: int = option(
        0, "Epochs after a reduction that do not count.", low=0, wrong="a cooldown of {} is not a number of epochs"
    )
    min_lr: float = option(0.0, "The least learning rate.", low=0, wrong="a min_lr of {} is not a number from 0 up")


@dataclass(frozen=True, kw_only=True)
class SaveBest(Monitor):
    """Save the model of the epoch with the best value of a metric."""

    word: ClassVar[str] = "--save-best"
    key: ClassVar[str] = "save_best"


MONITORS: tuple[type[Monitor], ...] = (EarlyStopping, ReduceLR, SaveBest)


def monitors_of(options: Resume) -> list[Monitor]:
    """Returns what a training watches, as its options say: by words, or by the name of a metric alone.

    Raises:
        Usage: a word or a value is wrong.
    """
    return [_read(kind, getattr(options, kind.key)) for kind in MONITORS if getattr(options, kind.key) is not None]


def recorded(monitor: Monitor) -> dict[str, Any]:
    """Returns the parameters of a monitor that differ from the defaults, as a record keeps them."""
    return {each.name: value for each in fields(monitor) if (value := getattr(monitor, each.name)) != each.default}


def _read(kind: type[Monitor], given: Words) -> Monitor:
    if isinstance(given, str) and "=" not in given:
        return kind(monitor=given.strip())
    known = types_of(kind)  # type: ignore[arg-type]
    types = {name: known[name] for name in options_of(kind)}
    return kind(**given_words(given, types, kind.word))
