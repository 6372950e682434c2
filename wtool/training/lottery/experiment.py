"""The lottery-ticket experiment: train, prune, re-initialise, and again, by the operations that wtool has for files.

`training.lottery.plan` says what is done. Here it is done, as far as it is not done yet.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.layouts.registry import extension
from wtool.errors import Usage
from wtool.io.addresses import is_address, text_of, without_query
from wtool.ops.functions import First, function_of
from wtool.run.batch import fresh_seed
from wtool.training.checks import check_validation
from wtool.training.data import fingerprints
from wtool.training.data.words import words_in_records
from wtool.training.fitting.epoch import Epoch
from wtool.training.known_names import check_names
from wtool.training.lottery import sharing, summaries
from wtool.training.lottery.description import COMPILING, OPTIONAL, claim, claimed, described_as, is_seed
from wtool.training.lottery.folder import Folder, looked_at
from wtool.training.lottery.grid import read_grid
from wtool.training.lottery.options import Lottery, LotteryOptions, Trained
from wtool.training.lottery.plan import (
    EVALUATE,
    MEASURED,
    TRAIN,
    Experiment,
    Step,
    is_kept,
    later_epochs,
    steps,
    wanted,
)
from wtool.words import Path

if TYPE_CHECKING:
    from wtool.ops.signatures import lottery as lottery


def experiment(model: str, options: LotteryOptions) -> Lottery:
    """Does a lottery-ticket experiment, or what is left of it: `wtool.lottery`.

    Args:
        model: the initial model: a `.keras` or whole-model `.h5` file.
        options: see `training.lottery.options.LotteryOptions`.

    Raises:
        WtoolError: the folder holds something else; a model cannot be loaded, trained or saved.
        Usage: words that do not go together.
    """
    folder, description = _asked(model, options)
    claim(folder.out, description)
    return _go(folder, options)


def check_lottery(model: str, options: LotteryOptions) -> None:
    """Raise the errors of `experiment` for these arguments that can be told without Keras. Writes nothing."""
    _asked(model, options)


def _asked(model: str, options: LotteryOptions) -> tuple[Folder, dict[str, Any] | None]:
    """Returns the experiment's folder, and the description that is to be written into it, or None."""
    for folder in (options.out, options.dense_from):
        if folder is not None and is_address(text_of(folder)):
            raise Usage("the folder of an experiment has to be on this machine", text_of(folder))
    asked = _experiment(options)
    base = looked_at(model, asked, compiles=None not in (options.loss, options.new_optimizer))
    if options.patience is not None and later_epochs(asked):
        raise Usage("with --patience, the dense network may end before the epoch that tickets are rewound to")
    training, seed_is_given = _training(options), options.seed is not None
    if options.dense_from is not None:
        other = text_of(options.dense_from)
        there = sharing.described(other)
        if not seed_is_given and is_seed(there.get("seed")):
            asked, seed_is_given = replace(asked, seed=there["seed"]), True
        sharing.refuse_another(other, there, described_as(base, asked, training))
    asked, description = claimed(text_of(options.out), asked, base, training, seed_is_given)
    # After all that tells of another experiment, which may have other data.
    check_validation(options.data, options.validation_data, options.validation_split)
    check_names(options)
    if options.patience is not None:
        _refuse_without_validation(options)
    return Folder(text_of(options.out), base, asked, options.patience), description


def _refuse_without_validation(options: LotteryOptions) -> None:
    """Refuse to wait for a better validation loss where no data is for validation.

    Raises:
        Usage: there is none.
    """
    from wtool.training.data.arrays import has_test_part  # imports NumPy

    if options.validation_data is None and options.validation_split is None and not has_test_part(options.data):
        what = "--validation-data, --validation-split, or a .npz file with x_test and y_test"
        raise Usage(f"--patience waits for a better validation loss, and no data is for validation; add {what}")


def _experiment(options: LotteryOptions) -> Experiment:
    chosen = {each.name: getattr(options, each.name) for each in fields(Experiment)}
    lists = {name: tuple(chosen[name]) for name in ("include", "exclude", "arms")}
    lists["arms"] += () if options.arms_from is None else read_grid(options.arms_from)
    lists["arms"] = lists["arms"] or ("rewind",)
    return Experiment(**{**chosen, **lists, "seed": fresh_seed() if options.seed is None else options.seed})


def _training(options: LotteryOptions) -> dict[str, Any]:
    """Returns the options that make a difference to trainings, as the experiment's folder keeps them."""
    data, other = options.data, options.validation_data
    given = {name: getattr(options, name) for name in OPTIONAL} | {"metrics": [*options.metrics]}
    return {
        "data": words_in_records(data),
        "validation_data": words_in_records(other),
        "data_hashes": [each.hash for words in (data, other) for each in fingerprints.entries(words, "")],
        "validation_split": options.validation_split,
        "batch_size": options.batch_size,
        "shuffle": options.shuffle,
        **{name: value for name, value in given.items() if value},
    }


def _go(folder: Folder, options: LotteryOptions) -> Lottery:
    """Do the steps that are left, until a signal comes."""
    from wtool.training.lottery.steps import transform  # imports Keras, after all words were looked at

    plan = steps(folder.experiment, extension(folder.base.path))
    kept = {step.output for step in plan if is_kept(step, options.keep, folder.experiment.rounds)}
    there, todo = _left(folder, plan, kept)
    if options.dense_from is not None and sharing.take_over(folder, text_of(options.dense_from), todo):
        there, todo = _left(folder, plan, kept)
    trainings = [step for step in todo if step.operation == TRAIN]
    signal, trained = None, 0
    for number, step in enumerate(todo):
        folder.clear(plan, kept, todo[number:])
        if step.operation == TRAIN:
            signal = _train(folder, step, options, trainings)
            trained += 1
        elif step.operation == EVALUATE:
            _measure(folder, step, options)
        elif step.output not in there:
            transform(folder, step)
        if signal is not None:
            break
    else:
        folder.clear(plan, kept, ())
    lines = summaries.read_metrics(folder.out)
    return Lottery(
        model=without_query(folder.base.path),
        out=folder.out,
        seed=folder.experiment.seed,
        trained=trained,
        signal=signal,
        summary=tuple(summaries.summarise(lines)),
        early_stops=tuple(summaries.summarise_early_stops(lines)),
        ends=tuple(summaries.summarise_ends(lines)),
    )


def _left(folder: Folder, plan: Sequence[Step], kept: Collection[str]) -> tuple[set[str], list[Step]]:
    """Returns the outputs that are there, and the steps that are left."""
    lines = summaries.read_metrics(folder.out)
    there = {step.output for step in plan if folder.is_there(step)}
    recorded = {step.output for step in plan if step.operation in MEASURED and folder.is_recorded(step, lines)}
    return there, wanted(plan, there, recorded, kept)


def _train(folder: Folder, step: Step, options: LotteryOptions, trainings: Sequence[Step]) -> int | None:
    """Do one of the trainings and report it; returns the signal that came meanwhile, or None."""
    from wtool.training.lottery.steps import train

    progress, report, watch = options.progress, options.report, options.watch
    begun = None if watch is None else folder.line(step, {})
    of = sum(each.stop - each.start for each in trainings)
    before = sum(each.stop - each.start for each in trainings[: trainings.index(step)])
    began = time.monotonic()

    def after(epoch: Epoch) -> None:
        if watch is not None and begun is not None:
            watch(replace(begun, epoch=epoch.number - folder.base.epochs, metrics=epoch.metrics))
        if progress is not None:
            progress(before + epoch.number - folder.base.epochs - step.start, of)

    how = _how(step, options)
    if options.patience is not None:
        how["early_stopping"] = {"monitor": "val_loss", "patience": options.patience}
    signal = train(folder, step, how, after)
    if report is not None and signal is None:
        mine = [line for line in summaries.read_metrics(folder.out) if folder.is_of(step, line)]
        report(Trained(mine[-1], time.monotonic() - began))
    return signal


def _measure(folder: Folder, step: Step, options: LotteryOptions) -> None:
    """Measure a ticket as it is, and report that."""
    from wtool.training.lottery.untrained import measure

    began = time.monotonic()
    line = folder.line(step, measure(folder.path(step.model), _how(step, options)))
    folder.record([line])
    if options.report is not None:
        options.report(Trained(line, time.monotonic() - began))


def _how(step: Step, options: LotteryOptions) -> dict[str, Any]:
    """Returns the data, and further options of `resume`, for one of the trainings."""
    names = ("data", "validation_data", "validation_split", "batch_size", "shuffle", "imports", "unsafe")
    compiled = COMPILING if step.start == 0 else ()  # later checkpoints are compiled like that
    return {name: getattr(options, name) for name in (*names, *compiled)}


def _lottery(model: Path, given: Mapping[str, Any]) -> Lottery:
    return experiment(text_of(model), LotteryOptions(**given))


INITIAL = First("model", Path, "the initial model: a `.keras` or whole-model `.h5` file.")
globals()["lottery"] = function_of(LotteryOptions, "lottery", (LotteryOptions,), Lottery, _lottery, INITIAL)
