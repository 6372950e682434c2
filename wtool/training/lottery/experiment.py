"""The lottery-ticket experiment: train, prune, re-initialise, and again, by the operations that wtool has for files.

`training.lottery.plan` says what is done. Here it is done, as far as it is not done yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from wtool.checkpoint.layouts.registry import extension
from wtool.choices import KEEP, check_choice
from wtool.errors import Usage
from wtool.run.batch import fresh_seed
from wtool.run.options import refuse_unknown
from wtool.training.checks import check_validation
from wtool.training.data import fingerprints
from wtool.training.data.words import paths_of
from wtool.training.fitting.logs import Epoch
from wtool.training.lottery import summaries
from wtool.training.lottery.folder import Folder, claim, claimed, looked_at
from wtool.training.lottery.plan import TRAIN, Experiment, Step, is_kept, steps, wanted
from wtool.training.lottery.summaries import Line, Summary
from wtool.words import Path, Unpack


class LotteryOptions(TypedDict, total=False):
    """Options of the experiment.

    Attributes:
        sparsity, rounds, schedule, criterion, scope, last_layer_scale, include, exclude, arms, same_sign, rewind_to,
            trials: see `training.lottery.plan.Experiment`.
        seed: of all that is random; default a fresh one, or that of the experiment that goes on.
        validation_data, validation_split, batch_size, shuffle, imports, unsafe: see `training.resume_options.Resume`.
        keep: which checkpoints stay: `all`, `tickets` or `last`; see `training.lottery.plan.is_kept`.
        progress: called with epochs done and epochs in all.
        report: called with every training that is over.
    """

    sparsity: float
    rounds: int
    schedule: str
    criterion: str
    scope: str
    last_layer_scale: float
    include: Sequence[str]
    exclude: Sequence[str]
    arms: Sequence[str]
    same_sign: bool
    rewind_to: int
    trials: int
    seed: int | None
    validation_data: Any
    validation_split: float | None
    batch_size: int
    shuffle: bool
    imports: Sequence[str]
    unsafe: bool
    keep: str
    progress: Callable[[int, int], None] | None
    report: Callable[[Trained], None] | None


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that has ended.

    Attributes:
        last: its last epoch.
        seconds: it took, from where it went on.
    """

    last: Line
    seconds: float


@dataclass(frozen=True, slots=True)
class Lottery:
    """The result of an experiment.

    Attributes:
        model: path of the initial model.
        out: folder of the experiment.
        seed: of all that was random.
        trained: how many trainings were done this time; what was there already is not done again.
        signal: the one that ended it early; None if it went to its end.
        summary: statistics over trials, of each arm, round and epoch.
    """

    model: str
    out: str
    seed: int
    trained: int
    signal: int | None
    summary: tuple[Summary, ...]


def lottery(model: Path, *, data: Any, out: Path, epochs: int, **options: Unpack[LotteryOptions]) -> Lottery:
    """Do a lottery-ticket experiment: train, prune, re-initialise, train, and so on.

    Called again with the same words, an experiment that was stopped or killed goes on at the epoch where it was, to the
    result that it would have had; data that is not named begins the training that was stopped anew.

    Args:
        model: the initial model, compiled: a `.keras` or whole-model `.h5` file.
        data: see `training.data.reading.read_data`.
        out: a folder for checkpoints, `metrics.jsonl` and `experiment.json`; made if it is missing.
        epochs: of each training, counted from the initial weights.
        options: see `Options`.

    Raises:
        WtoolError: the folder holds something else; a model cannot be loaded, trained or saved.
        Usage: words that do not go together.

    Example:
        >>> wtool.lottery("init.keras", data="digits.npz", out="run", epochs=20, sparsity=0.8)  # doctest: +SKIP
    """
    refuse_unknown("lottery", options, LotteryOptions)
    folder, description = _asked(model, data, out, epochs, options)
    claim(folder.out, description)
    return _go(folder, data, options)


def check(model: Path, *, data: Any, out: Path, epochs: int, **options: Unpack[LotteryOptions]) -> None:
    """Raise the errors of `lottery` for these arguments that can be told without Keras. Writes nothing."""
    _asked(model, data, out, epochs, options)


def _asked(
    model: Path, data: Any, out: Path, epochs: int, options: LotteryOptions
) -> tuple[Folder, dict[str, Any] | None]:
    """Returns the experiment's folder, and the description that is to be written into it, or None."""
    check_choice(options.get("keep", "all"), "choice of what to keep", KEEP)
    given = options.get("seed")
    experiment = _experiment(epochs, fresh_seed() if given is None else given, options)
    base = looked_at(os.fspath(model), experiment)
    experiment, description = claimed(os.fspath(out), experiment, base, _training(data, options), given is not None)
    check_validation(
        data, options.get("validation_data"), options.get("validation_split")
    )  # after all that tells of another experiment, which may have other data
    return Folder(os.fspath(out), base, experiment), description


def _experiment(epochs: int, seed: int, options: LotteryOptions) -> Experiment:
    own = {each.name for each in fields(Experiment)} - {"seed"}
    chosen: dict[str, Any] = {name: value for name, value in options.items() if name in own}
    for name in ("include", "exclude", "arms"):
        if isinstance(chosen.get(name), str):
            raise Usage(f"{name} is a list of texts, not a single text")
        chosen |= {name: tuple(chosen[name])} if name in chosen else {}
    return Experiment(epochs, seed, **chosen)


def _training(data: Any, options: LotteryOptions) -> dict[str, Any]:
    """Returns the options that make a difference to trainings, as the experiment's folder keeps them."""
    other = options.get("validation_data")
    return {
        "data": paths_of(data),
        "validation_data": paths_of(other),
        "data_hashes": [each.hash for words in (data, other) for each in fingerprints.entries(words, "")],
        "validation_split": options.get("validation_split"),
        "batch_size": options.get("batch_size", 32),
        "shuffle": options.get("shuffle", True),
    }


def _go(folder: Folder, data: Any, options: LotteryOptions) -> Lottery:
    """Do the steps that are left, until a signal comes."""
    from wtool.training.lottery.steps import transform  # imports Keras, after all words were looked at

    experiment, keep = folder.experiment, options.get("keep", "all")
    plan = steps(experiment, extension(folder.base.path))
    lines = summaries.read_metrics(folder.out)
    there = {step.output for step in plan if folder.is_there(step)}
    recorded = {step.output for step in plan if step.operation == TRAIN and folder.is_recorded(step, lines)}
    kept = {step.output for step in plan if is_kept(step, keep, experiment.rounds)}
    todo = wanted(plan, there, recorded, kept)
    trainings = [step for step in todo if step.operation == TRAIN]
    signal, trained = None, 0
    for number, step in enumerate(todo):
        folder.clear(plan, kept, todo[number:])
        if step.operation == TRAIN:
            signal = _train(folder, step, data, options, trainings)
            trained += 1
        elif step.output not in there:
            transform(folder, step)
        if signal is not None:
            break
    else:
        folder.clear(plan, kept, ())
    summary = tuple(summaries.summarise(summaries.read_metrics(folder.out)))
    return Lottery(folder.base.path, folder.out, experiment.seed, trained, signal, summary)


def _train(folder: Folder, step: Step, data: Any, options: LotteryOptions, trainings: Sequence[Step]) -> int | None:
    """Do one of the trainings and report it; returns the signal that came meanwhile, or None."""
    from wtool.training.lottery.steps import train

    names = ("validation_data", "validation_split", "batch_size", "shuffle", "imports", "unsafe")
    given: Mapping[str, Any] = options
    progress, report = options.get("progress"), options.get("report")
    of = sum(each.stop - each.start for each in trainings)
    before = sum(each.stop - each.start for each in trainings[: trainings.index(step)])
    began = time.monotonic()

    def after(epoch: Epoch) -> None:
        if progress is not None:
            progress(before + epoch.number - folder.base.epochs - step.start, of)

    signal = train(folder, step, data, {name: given[name] for name in names if name in given}, after)
    if report is not None and signal is None:
        mine = [line for line in summaries.read_metrics(folder.out) if folder.is_of(step, line)]
        report(Trained(mine[-1], time.monotonic() - began))
    return signal
