"""Train a saved model for some more epochs, between transforms of files."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any

from wtool.checkpoint.lineage import Input
from wtool.errors import WtoolError
from wtool.io.private import remove_abandoned_folders
from wtool.run.batch import fresh_seed
from wtool.run.options import refuse_unknown
from wtool.run.target import make_ready
from wtool.training.checks import check_resume
from wtool.training.data import fingerprints
from wtool.training.data.words import paths_of
from wtool.training.fitting import masks
from wtool.training.loading.load import Loaded, import_all, load
from wtool.training.resume_options import Resumed, ResumeOptions, compilation_of
from wtool.training.saving.record import Position, TrainingPlan, epochs_of, left_behind
from wtool.training.saving.save import check_target, folder_of
from wtool.training.training_run import TrainingRun
from wtool.words import Path, Unpack


def resume(model: Path, *, data: Any, epochs: int, **options: Unpack[ResumeOptions]) -> Resumed:
    """Train a saved model for some more epochs, as if it had never been saved.

    The order of samples is a function of the seed and the epoch. So a run that was stopped or killed goes on from where
    it was saved to the result that it would have had, when it is called again with the same words.

    Args:
        model: a `.keras` or whole-model `.h5` file, or `-` for standard input.
        data: see `training.data.reading.read_data`.
        epochs: number of epochs to train for.
        options: see `training.resume_options.ResumeOptions`.

    Raises:
        WtoolError: the model cannot be loaded, trained or saved; the loss became NaN.
        Usage: options that do not go together.

    Example:
        >>> wtool.resume("pruned.keras", data="digits.npz", epochs=5, seed=1)  # doctest: +SKIP
    """
    name, checkpoints = os.fspath(model), os.fspath(options.get("checkpoints") or "")
    refuse_unknown("resume", options, ResumeOptions)
    goal = check_resume(name, data, epochs, options)
    target = goal.path
    for folder in {folder_of(target), *([checkpoints] if checkpoints and os.path.isdir(checkpoints) else [])}:
        remove_abandoned_folders(folder)
    import_all(options.get("imports", ()))
    try:
        loaded = load(name, options.get("unsafe", False))
        if loaded.lost and not options.get("new_optimizer"):
            raise WtoolError(f"{loaded.lost}; --new-optimizer starts another")
        plan = _plan(loaded, data, epochs, options)
        found = [] if options.get("force") else list(left_behind(plan, target, options.get("checkpoints")))
        if any(each.path == target and each.at == plan.end for each in found):
            return Resumed(name, target, plan.end.epoch, found[0].seed, {}, skipped=True)
        replaces = options.get("force", False) or any(each.path == target for each in found)
        if goal.makes_folder:  # only now: a refused model leaves no folder
            make_ready(replace(goal, force=replaces))
        check_target(target, replaces)
        return TrainingRun(loaded, plan, target, replaces, data, options).run(found)
    except WtoolError as error:
        raise error.about(name) from error.__cause__


def _plan(loaded: Loaded, data: Any, epochs: int, options: ResumeOptions) -> TrainingPlan:
    held = options.get("hold_zeros")
    is_masked = held is None and bool(masks.masked_variables(loaded))
    parameters = {
        "data": paths_of(data),
        "validation_data": paths_of(options.get("validation_data")),
        "batch_size": options.get("batch_size", 32),
        "shuffle": options.get("shuffle", True),
        "hold_zeros": masks.ALL if held else masks.MASKS if is_masked else False,
        "epochs": epochs,
        "validation_split": options.get("validation_split"),
        "stroke": options.get("stroke"),
        "prune": options.get("prune"),
        "neuroplast": options.get("neuroplast"),
    }
    parameters |= {name: value for name, value in asdict(compilation_of(options)).items() if value != ()}
    seed = options.get("seed")
    start = epochs_of(loaded.lineage)
    return TrainingPlan(
        parameters={name: value for name, value in parameters.items() if value is not None},
        inputs=[
            Input.at(loaded.name, loaded.hashes, {"as": "model"}),
            *fingerprints.entries(data, "data"),
            *fingerprints.entries(options.get("validation_data"), "validation_data"),
        ],
        seed=fresh_seed() if seed is None else seed,
        seed_is_given=seed is not None,
        start=Position(start),
        end=Position(start + epochs),
    )
