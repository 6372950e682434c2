"""Train a saved model for some more epochs, between transforms of files."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any

from wtool.checkpoint.lineage import Input
from wtool.errors import WtoolError
from wtool.io.addresses import text_of, without_query
from wtool.io.private import remove_abandoned_folders
from wtool.run.batch import fresh_seed
from wtool.run.target import make_ready
from wtool.training.callback_words import EPOCH_ENDS
from wtool.training.checks import check_resume, refuse_lost
from wtool.training.data import fingerprints
from wtool.training.data.words import class_weights, words_in_records
from wtool.training.fitting import masks
from wtool.training.loading.load import Loaded, import_all, load
from wtool.training.monitor_options import monitors_of, recorded
from wtool.training.resume_options import Resume, Resumed
from wtool.training.saving.record import Position, TrainingPlan, epochs_of, left_behind
from wtool.training.saving.save import check_target, folder_of
from wtool.training.training_run import TrainingRun, compilation_of


def resume(model: str, options: Resume) -> Resumed:
    """Trains a saved model for some more epochs: `wtool.resume`.

    Args:
        model: a `.keras` or whole-model `.h5` file, or `-` for standard input.
        options: see `training.resume_options.Resume`.

    Raises:
        WtoolError: the model cannot be loaded, trained or saved; the loss became NaN.
        Usage: options that do not go together.
    """
    checkpoints = text_of(options.checkpoints or "")
    goal = check_resume(model, options)
    target = goal.path
    for folder in {folder_of(target), *([checkpoints] if checkpoints and os.path.isdir(checkpoints) else [])}:
        remove_abandoned_folders(folder)
    import_all(options.imports)
    try:
        loaded = load(model, options.unsafe)
        if not options.new_optimizer:
            refuse_lost(loaded.lost, model)
        plan = _plan(loaded, options)
        found = [] if options.force else list(left_behind(plan, target, options.checkpoints))
        done = next((each for each in found if each.path == target and (each.ended or each.at == plan.end)), None)
        if done is not None:
            return Resumed(loaded.name, target, done.at.epoch, done.seed, {}, skipped=True)
        replaces = options.force or any(each.path == target for each in found)
        if goal.makes_folder:  # only now: a refused model leaves no folder
            make_ready(replace(goal, force=replaces))
        check_target(target, replaces)
        return TrainingRun(loaded, plan, target, replaces, options).run(found)
    except WtoolError as error:
        raise error.about(without_query(model)) from error.__cause__


def _plan(loaded: Loaded, options: Resume) -> TrainingPlan:
    held = options.hold_zeros
    is_masked = held is None and bool(masks.masked_variables(loaded))
    parameters: dict[str, Any] = {
        "data": words_in_records(options.data),
        "validation_data": words_in_records(options.validation_data),
        "batch_size": options.batch_size,
        "shuffle": options.shuffle,
        "steps_per_epoch": options.steps_per_epoch,
        "class_weight": None if options.class_weight is None else class_weights(options.class_weight),
        "hold_zeros": masks.ALL if held else masks.MASKS if is_masked else False,
        "epochs": options.epochs,
        "validation_split": options.validation_split,
    }
    parameters |= {
        name: callback.recorded(getattr(options, name))
        for name, callback in EPOCH_ENDS.items()
        if getattr(options, name) is not None
    }
    parameters |= {monitor.key: recorded(monitor) for monitor in monitors_of(options)}
    parameters |= {name: value for name, value in asdict(compilation_of(options)).items() if value != ()}
    seed = options.seed
    start = epochs_of(loaded.lineage)
    return TrainingPlan(
        parameters={name: value for name, value in parameters.items() if value is not None},
        inputs=[
            Input.at(loaded.name, loaded.hashes, {"as": "model"}),
            *fingerprints.entries(options.data, "data"),
            *fingerprints.entries(options.validation_data, "validation_data"),
        ],
        seed=fresh_seed() if seed is None else seed,
        seed_is_given=seed is not None,
        start=Position(start),
        end=Position(start + options.epochs),
    )
