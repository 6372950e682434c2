"""Options and result of `wtool.resume`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from wtool.training.fitting.compiling import Compilation
from wtool.training.fitting.logs import Epoch
from wtool.words import Path


class ResumeOptions(TypedDict, total=False):
    """How a model goes on training.

    Attributes:
        output: path of the result; `<stem>-resume<ext>` beside the model by default, `-` for standard output.
        validation_data: data for validation, in any form of `data`; default the test part of a `.npz` file with one.
        validation_split: share of the samples, from the end, that is kept for validation instead.
        batch_size: number of samples in a batch, for data that does not come in batches; default 32.
        shuffle: whether samples come in another order in each epoch; default True. Datasets keep their own order.
        seed: seed of the order of samples, and of all other random numbers; default a fresh one.
        hold_zeros: whether zeros of kernels stay zero; by default those that are masks, as the lineage tells.
        loss, metrics, learning_rate, new_optimizer: see `training.fitting.compiling.Compilation`.
        stroke: ratio of a `callbacks.Stroke` at the end of every epoch.
        prune: range of a `callbacks.Pruning` at the end of every epoch.
        neuroplast: range of a `callbacks.NeuroPlast` at the end of every epoch.
        checkpoints: folder of the checkpoints `ckpt-0001.keras` and so on, numbered by epoch.
        save_every: number of epochs between two checkpoints; default 1.
        log: a `.csv` or `.jsonl` file that gets a line for every epoch.
        tensorboard: folder for TensorBoard.
        imports: modules that register layers, losses and metrics.
        unsafe: load the model even if that runs code or imports modules that are not Keras's.
        force: replace existing files, and begin anew where an earlier run was stopped.
        bar: show Keras's progress bar.
        report: called with every epoch.
    """

    output: Path | None
    validation_data: Any
    validation_split: float | None
    batch_size: int
    shuffle: bool
    seed: int | None
    hold_zeros: bool | None
    loss: str | None
    metrics: Sequence[str]
    learning_rate: float | None
    new_optimizer: str | None
    stroke: float | None
    prune: tuple[float, float] | None
    neuroplast: tuple[float, float] | None
    checkpoints: Path | None
    save_every: int | None
    log: Path | None
    tensorboard: Path | None
    imports: Sequence[str]
    unsafe: bool
    force: bool
    bar: bool
    report: Callable[[Epoch], None] | None


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


def compilation_of(options: ResumeOptions) -> Compilation:
    """Returns how the model is to be compiled; settings that the options do not name stay as saved."""
    return Compilation(
        loss=options.get("loss"),
        metrics=tuple(options.get("metrics", ())),
        optimizer=options.get("new_optimizer"),
        learning_rate=options.get("learning_rate"),
    )
