"""One step of a lottery experiment: an operation on files, done by the function behind the command of that name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.inputs import stem_and_ending
from wtool.ops import transforms
from wtool.ops.shrink import shrink
from wtool.training.data.words import paths_of
from wtool.training.lottery import learning_rate
from wtool.training.lottery.arms import NONE, REWIND, read_arm
from wtool.training.lottery.counts import prune_as_many
from wtool.training.lottery.folder import UNFINISHED, Folder
from wtool.training.lottery.plan import COPY, DRAW, PRUNE, Experiment, Step
from wtool.training.lottery.sharing import copy
from wtool.training.resume import resume
from wtool.training.resume_options import Resume

if TYPE_CHECKING:
    from wtool.training.fitting.epoch import Epoch


def transform(folder: Folder, step: Step) -> None:
    """Do a step that trains nothing."""
    experiment, output, model = folder.experiment, folder.path(step.output), folder.path(step.model)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    common: dict[str, Any] = {"output": output, "force": True, "seed": step.seed}
    chosen: dict[str, Any] = {"include": experiment.include, "exclude": experiment.exclude}
    initial = None if step.initial is None else folder.path(step.initial)
    if step.operation == COPY:
        copy(model, output)
    elif step.operation == DRAW:
        drawn = folder.base.drawn
        transforms.randomize(model, initial=model, include=drawn, same_sign=False, keep_biases=True, **common)
    elif step.operation == PRUNE:
        _prune(experiment, step, model, {"initial": initial, **chosen, **common})
    else:
        assert initial is not None
        _start(experiment, step, model, initial, {**chosen, **common})
    if step.model is None:
        folder.refuse_another_model(step)


def _prune(experiment: Experiment, step: Step, model: str, common: Mapping[str, Any]) -> None:
    """Prune by the criterion of an arm; with `counts`, as much of each tensor as the experiment's own takes there."""
    arm = read_arm(step.arm)
    if arm.is_structured:
        shrink(model, **experiment.channels(arm, step.round), **_of_shrink(common))
    elif arm.get("counts") is None:
        transforms.prune(model, sparsity=step.sparsity, **experiment.pruning(arm), **common)
    else:
        with _passing(common["output"], "counts") as counted:
            transforms.prune(model, sparsity=step.sparsity, **experiment.pruning(), **{**common, "output": counted})
            prune_as_many(model, counted, common["output"], step.seed, common["include"], common["exclude"])


def _start(experiment: Experiment, step: Step, model: str, initial: str, common: Mapping[str, Any]) -> None:
    """Make the ticket of an arm, from the initial checkpoint without the channels that were taken out of the model."""
    arm = read_arm(step.arm)
    if not arm.is_structured:
        _reinitialise(step.operation, model, initial, experiment.start(arm), common)
    elif step.operation == REWIND:
        shrink(initial, like=model, **_of_shrink(common))
    else:
        with _passing(common["output"], "initial") as smaller:
            shrink(initial, like=model, **{**_of_shrink(common), "output": smaller})
            _reinitialise(step.operation, model, smaller, experiment.start(arm), common)


def _reinitialise(
    operation: str, model: str, initial: str, start: Mapping[str, Any], common: Mapping[str, Any]
) -> None:
    if operation == NONE:
        learning_rate.rewind_schedule(model, initial, common["output"], common["include"], common["exclude"])
    else:
        getattr(transforms, operation)(model, initial=initial, **start, **common)


def _of_shrink(common: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the arguments that `shrink` takes: patterns there are of layers, and arms have none."""
    return {name: common[name] for name in ("output", "force", "seed")}


@contextmanager
def _passing(output: str, what: str) -> Iterator[str]:
    """Yields the path of a file beside the output that is removed again."""
    stem, ending = stem_and_ending(output)
    path = f"{stem}-{what}{ending}"
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def train(folder: Folder, step: Step, how: Mapping[str, Any], after: Callable[[Epoch], None]) -> int | None:
    """Do a training, from the epoch that an earlier run reached, and add its metrics to the experiment's.

    Args:
        folder: of the experiment.
        step: a training.
        how: the data, and further options of `resume`.
        after: called with every epoch.

    Returns:
        the signal that came meanwhile; only without one is it sure that the training is over.
    """
    output = folder.path(step.output)
    work = os.path.join(os.path.dirname(output), UNFINISHED)
    log = os.path.join(work, "log.jsonl")
    signal = None
    if not (folder.is_there(step) and folder.is_recorded(step, folder.lines(step, log))):
        with suppress(FileNotFoundError):
            os.unlink(output)  # of a run that was killed in the moment of its stop: not the end of an epoch
        if paths_of(how["data"]) is None:
            shutil.rmtree(work, ignore_errors=True)  # nothing tells whether it is of the same data
        os.makedirs(work, exist_ok=True)

        def report(epoch: Epoch) -> None:
            _forget(work, epoch.number - 1)
            after(epoch)

        training = Resume(
            epochs=step.stop - step.start,
            output=output,
            seed=step.seed,
            checkpoints=work,
            log=log,
            report=report,
            **how,
        )
        done = resume(folder.path(step.model), training)
        signal = done.signal
        if done.epochs < folder.last_epoch(step) and not folder.is_there(step):
            os.unlink(output)  # the metrics of the rest of an epoch are not those of a whole one
            return signal
    folder.record(folder.lines(step, log))
    shutil.rmtree(work, ignore_errors=True)
    return signal


def _forget(work: str, latest: int) -> None:
    """Remove all checkpoints but the latest, the only one from which a run can go on."""
    for name in os.listdir(work):
        number = name.removeprefix("ckpt-").removesuffix(".keras")
        if number.isdecimal() and int(number) < latest:
            os.unlink(os.path.join(work, name))
