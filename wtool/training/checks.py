"""Checks of the options of training commands that need no Keras, whose import takes seconds.

Importing Keras takes seconds, so that the commands look here first; the functions of Python do as well.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from wtool.checkpoint.inputs import expanded, inside
from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.optimizer.lost import lost_optimizer
from wtool.checkpoint.zoo_part import ZooPart
from wtool.errors import Usage, WtoolError
from wtool.io.addresses import is_address, text_of, without_query
from wtool.io.places import Target, check_target
from wtool.run.result_names import named
from wtool.run.results import refuse_pipes
from wtool.run.target import Goal, goal_beside
from wtool.training.callback_words import EPOCH_ENDS
from wtool.training.data.words import check_data, class_weights, paths_of
from wtool.training.evaluate_options import Evaluate
from wtool.training.fitting.logs import check_log
from wtool.training.known_names import check_names
from wtool.training.monitor_options import SaveBest, monitors_of
from wtool.training.resume_options import Resume
from wtool.training.saving.record import OPERATION

WHOLE = (".keras", ".h5", ".hdf5")
"""Extensions of whole models."""


def refuse_weights_only(checkpoint: Checkpoint) -> None:
    """Refuse files of weights alone.

    Raises:
        WtoolError: the file does not say which layers the model has.
    """
    if checkpoint.config is None:
        what = "holds weights only; training and predicting need a whole model (.keras, .h5)"
        raise WtoolError(what, checkpoint.name)
    if checkpoint.format == "safetensors":
        raise WtoolError("Keras does not open safetensors files; wtool convert makes a .keras model", checkpoint.name)


def check_evaluate(models: Sequence[str], options: Evaluate) -> list[str]:
    """Check the options of an evaluation; returns the paths of the models that are to be evaluated.

    Raises:
        WtoolError: there are no models, or the only one cannot be opened; or data is missing.
        Usage: options do not go together.
    """
    if options.batch_size < 1:
        raise Usage("samples of a batch are counted from 1 up")
    check_data(options.data)
    check_names(options)
    part = ZooPart.of(options.shard)
    if options.ensemble and options.shard is not None:
        raise Usage("--ensemble takes all of its members, and --shard some of them")
    if options.cluster is not None:
        _check_cluster(models, options)
    paths = [path for word, path in expanded(models) if part.holds(inside(word, path))]
    if len(paths) == 1:
        _check_model(paths[0])
    return paths


def _check_cluster(models: Sequence[str], options: Evaluate) -> None:
    if options.ensemble:
        raise Usage("--ensemble needs its members in one process, and --cluster spreads them")
    files = paths_of(options.data)
    if files is None:
        raise Usage("the workers of a cluster read data themselves: name its file, and no arrays or functions")
    refuse_pipes([*models, *files], options.cluster)


def check_resume(model: str, options: Resume) -> Goal:
    """Check the options of a training; returns where its result goes.

    Args:
        model: path.
        options: see `training.resume_options.Resume`.

    Raises:
        WtoolError: the model or data is missing or of the wrong kind.
        OSError: a folder for a log or checkpoints is missing or cannot be read.
        Usage: options do not go together.
    """
    if options.epochs < 1 or options.batch_size < 1:
        raise Usage("epochs and samples of a batch are counted from 1 up")
    if options.steps_per_epoch is not None and options.steps_per_epoch < 1:
        raise Usage("steps of an epoch are counted from 1 up")
    if options.class_weight is not None:
        class_weights(options.class_weight)
    save_every = options.save_every
    if save_every is not None and (options.checkpoints is None or save_every < 1):
        raise Usage("--save-every N needs a folder, --checkpoints, and N from 1 up")
    rate = options.learning_rate
    if rate is not None and not 0 <= rate < math.inf:
        raise Usage(f"a learning rate of {rate} is none")
    _check_callbacks(options)
    check_validation(options.data, options.validation_data, options.validation_split)
    check_names(options)
    kind = _check_model(model, needs_optimizer=not options.new_optimizer)
    _check_reports(options)
    output = options.output
    goal = goal_beside(model, None if output is None else text_of(output), OPERATION)
    if not extension(goal.path):
        goal = named(goal, kind, model)
    if goal.path != "-" and extension(goal.path) not in WHOLE:
        raise Usage("the output is a whole model; its name has to end in .keras or .h5", goal.path)
    if not goal.makes_folder:
        check_target(Target(goal.path, force=True))  # what is there already may be this run's own
    return goal


def check_validation(data: Any, other: Any, share: float | None) -> None:
    """Check the words that name data for training, and those for validation.

    Args:
        data: for training: words, or data itself.
        other: the same, for validation; None for none.
        share: of the data for training that is kept for validation instead; None for none.

    Raises:
        WtoolError: a file is missing, or of a kind that is no data.
        Usage: options do not go together.
    """
    if other is not None and share is not None:
        raise Usage("validation data and a validation split contradict each other; choose one")
    check_data(data)
    check_data(other)


def _check_model(path: str, needs_optimizer: bool = False) -> str:
    """Returns the format of a model; that of standard input, which can be read only once, is not looked at."""
    if path == "-":
        return "keras"
    with open_checkpoint(path) as checkpoint:
        refuse_weights_only(checkpoint)
        if needs_optimizer:
            refuse_lost(lost_optimizer(checkpoint), path)
        return checkpoint.format


def refuse_lost(lost: str, model: str) -> None:
    """Refuse a model whose optimizer cannot go on where it was.

    Args:
        lost: what became of the optimizer's state; empty where nothing is lost.
        model: path.

    Raises:
        WtoolError: something is lost.
    """
    if lost:
        raise WtoolError(f"{lost}; --new-optimizer starts another", without_query(model))


def _check_callbacks(options: Resume) -> None:
    for name, callback in EPOCH_ENDS.items():
        if getattr(options, name) is not None:
            callback.given(getattr(options, name))
    for monitor in monitors_of(options):
        if isinstance(monitor, SaveBest) and options.checkpoints is None:
            raise Usage("--save-best METRIC needs a folder, --checkpoints")


def _check_reports(options: Resume) -> None:
    log, folder = options.log, options.checkpoints
    for each in (log, folder, options.tensorboard):
        if each is not None and is_address(text_of(each)):
            told = "logs and checkpoints are written as training goes on, and have to be on this machine"
            raise Usage(told, text_of(each))
    if log is not None:
        check_log(text_of(log))
        os.scandir(os.path.dirname(log) or os.curdir).close()  # raises what making the log would raise
    if folder is not None and os.path.exists(folder):
        os.scandir(folder).close()
    if options.tensorboard is not None and find_spec("tensorboard") is None:
        raise WtoolError("--tensorboard needs the package tensorboard: pip install tensorboard")
