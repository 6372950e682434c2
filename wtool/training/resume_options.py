"""Options and result of `wtool.resume`. This module imports neither Keras nor NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.option import Checked, argument, like, option, told
from wtool.run.options import Execution, Seed
from wtool.training.fitting.epoch import Epoch
from wtool.values import dataclass
from wtool.words import Path


@dataclass(frozen=True, kw_only=True)
class Resume(Checked):
    """Train a saved model for some more epochs, as if it had never been saved.

    The optimizer goes on where it was, and pruned weights stay exactly zero. The order of samples is a function of the
    seed and the epoch. So a run that was stopped or killed goes on from where it was saved to the result that it would
    have had, when it is called again with the same words. Data may also be arrays, or whatever `fit` takes.

    Examples:
        >>> wtool.resume("pruned.keras", data="digits.npz", epochs=5, seed=1)  # doctest: +SKIP
    """

    data: Any = field(
        metadata=told(
            ".npz, .csv, two .npy (twice --data), a folder, or package.module:function.",
            metavar="DATA",
            is_repeatable=True,
        )
    )
    epochs: int = field(metadata=told("How many more epochs.", metavar="N", low=1))
    output: Path | None = option(None, "The new file; - for standard output.", short="-o", metavar="PATH")
    validation_data: Any = option(None, "As --data; after each epoch.", metavar="DATA", is_repeatable=True)
    validation_split: float | None = option(None, "Or the last share S of --data.", metavar="S", above=0, below=1)
    batch_size: int = option(32, "Samples in a batch, where data does not come in batches.", metavar="N", low=1)
    shuffle: bool = option(True, "Another order in each epoch.")
    steps_per_epoch: int | None = option(None, "Batches of an epoch; all by default.", metavar="N", low=1)
    class_weight: str | Mapping[int, float] | None = option(
        None, "Weights of classes in the loss: 3=5,7=.5; 1 for others.", metavar="C=W,..."
    )
    seed: int | None = like(Seed, "seed")
    hold_zeros: bool | None = option(
        None, "Zeros of kernels stay; by default those of pruned models.", has_negation=True
    )
    loss: str | None = option(None, "Keras's name of a loss, instead of the model's own.", metavar="NAME")
    metrics: Sequence[str] = option(
        (), "Keras's name of a metric, instead of the model's own; repeatable.", metavar="NAME", words=("metric",)
    )
    learning_rate: float | None = option(None, "Of the optimizer.", metavar="R")
    new_optimizer: str | None = option(None, "Start with this one (adam, sgd, ...).", metavar="NAME")
    stroke: float | str | Mapping[str, Any] | None = option(
        None, "After each epoch, new values for this share of the weights; or ratio=R,WORD=VALUE,...", metavar="R"
    )
    prune: Sequence[float] | str | Mapping[str, Any] | None = option(
        None, "After each epoch, zero for weights in [A, B]; or WORD=VALUE,...", metavar="A,B"
    )
    neuroplast: Sequence[float] | str | Mapping[str, Any] | None = option(
        None, "After each epoch, new values for weights in [A, B]; or WORD=VALUE,...", metavar="A,B"
    )
    early_stopping: str | Mapping[str, Any] | None = option(
        None, "End when a metric is no better: monitor=val_loss,patience=2.", metavar="WORDS"
    )
    reduce_lr: str | Mapping[str, Any] | None = option(
        None, "Then reduce the learning rate: monitor=val_loss,factor=.5,patience=1.", metavar="WORDS"
    )
    save_best: str | Mapping[str, Any] | None = option(
        None, "Save the best epoch as best.keras among the checkpoints.", metavar="METRIC"
    )
    checkpoints: Path | None = option(None, "Save ckpt-0001.keras and so on here, numbered by epoch.", metavar="DIR")
    save_every: int | None = option(None, "Epochs between checkpoints; 1 by default.", metavar="N", low=1)
    log: Path | None = option(None, "A .csv or .jsonl file that gets a line for each epoch.", metavar="FILE")
    tensorboard: Path | None = option(None, "Logs for TensorBoard.", metavar="DIR")
    imports: Sequence[str] = option(
        (), "A module that registers custom layers; repeatable.", metavar="MODULE", words=("import",)
    )
    unsafe: bool = option(False, "Load models also if that runs or imports code of theirs.")
    force: bool = like(Execution, "force")
    bar: bool = argument(False, "whether Keras's progress bar is shown.")
    report: Callable[[Epoch], None] | None = argument(None, "called with every epoch.")


@dataclass(frozen=True, slots=True)
class Resumed:
    """The result of some more epochs of training.

    Attributes:
        model: path of the model that was trained.
        output: path of the result.
        epochs: how many epochs the result has been trained for in all.
        seed: seed of the order of samples, and of all other random numbers.
        metrics: of the last epoch; names of metrics of validation begin with `val_`.
        samples: number of samples for training; None where that is not known.
        validation_samples: number of samples for validation; None where that is not known.
        held: how many zeros were held.
        signal: number of the signal that ended training early; None if training went to its end.
        skipped: whether the output was there already, made of the same input in the same way.
        notes: remarks for the user, one line each.
    """

    model: str
    output: str
    epochs: int
    seed: int
    metrics: Mapping[str, float]
    samples: int | None = None
    validation_samples: int | None = None
    held: int = 0
    signal: int | None = None
    skipped: bool = False
    notes: tuple[str, ...] = ()
