"""The dense training of another experiment: taken over where the two have the same model, data and seed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wtool.errors import WtoolError
from wtool.io.drafts import new_draft
from wtool.io.file_object import file_at
from wtool.io.places import Target
from wtool.training.lottery import description, summaries
from wtool.training.lottery.folder import Folder
from wtool.training.lottery.plan import DENSE, TRAIN, Step

SAME = (
    *("model", "seed", "epochs", "batch_size", "shuffle", "validation_split", "data_hashes"),
    *description.OPTIONAL,
)
"""The parameters that the dense training depends on."""


def described(other: str) -> dict[str, Any]:
    """Returns the description of the other experiment.

    Raises:
        WtoolError: the folder holds none.
    """
    if not os.path.isfile(os.path.join(other, description.FILE)):
        raise WtoolError("holds no experiment whose dense training could be taken over", other)
    return description.read(other)


def refuse_another(other: str, there: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Refuse an experiment whose dense training is not that of this one. Data is compared by content.

    Args:
        other: the folder of the other experiment.
        there: its description.
        mine: that of this experiment.

    Raises:
        WtoolError: the two differ in what the dense training depends on, or it cannot be told.
    """
    if mine["data"] is None:
        raise WtoolError("data without a name cannot be told to be that of another experiment", other)
    words = [word for name in ("data", "validation_data") for word in mine[name] or ()]
    has_functions = len(words) > len(mine["data_hashes"])  # which have names, and no content to compare
    for name in (*SAME, *(("data", "validation_data") if has_functions else ())):
        was, now = (_compared(name, each.get(name)) for each in (there, mine))
        if was != now:
            told = f"{name} {json.dumps(was)}, not {json.dumps(now)}"
            raise WtoolError(f"holds an experiment with {told}; its dense training is another one", other)


def _compared(name: str, value: Any) -> Any:
    """Returns what is compared of a parameter: of the model, its content."""
    return value.get("hash") if name == "model" and isinstance(value, dict) else value


def take_over(folder: Folder, other: str, todo: Sequence[Step]) -> bool:
    """Copy what another experiment has of the dense training that is to be done, with the metrics of that.

    Args:
        folder: of this experiment.
        other: the folder of the other one; see `refuse_another`.
        todo: the steps that are to be done.

    Returns:
        whether there is anything.

    Raises:
        WtoolError: a trial has been trained there, and its model was not kept.
    """
    there = replace(folder, out=other)
    lines = summaries.read_metrics(other)
    early = described(other).get("rewind_to")
    found = False
    for step in todo:
        theirs = _there(step, early)
        if step.arm != DENSE or (not there.is_recorded(step, lines) and step.operation == TRAIN):
            continue
        if there.is_there(theirs):
            os.makedirs(os.path.dirname(folder.path(step.output)), exist_ok=True)
            copy(there.path(theirs.output), folder.path(step.output))
        elif step.stop == folder.experiment.epochs:
            raise WtoolError(f"has not kept {theirs.output} (--keep)", other)
        else:
            continue
        found = True
        if step.operation == TRAIN:
            began = folder.path(step.model)  # the other experiment may have gone on there without a checkpoint
            remaining = folder.remaining(began if os.path.exists(began) else folder.path(step.output))
            folder.record([replace(line, remaining=remaining) for line in lines if folder.is_of(step, line)])
    return found


def _there(step: Step, early: Any) -> Step:
    """Returns a step of the dense training with its result under the name that the other experiment gives it.

    Args:
        step: the step.
        early: the epoch that is called `early` there.
    """
    folder, name = os.path.split(step.output)
    stem, ending = os.path.splitext(name)
    if stem.startswith("early"):
        stem = "early" if step.stop == early else f"early-{step.stop}"
    return replace(step, output=f"{folder}/{stem}{ending}")


def copy(model: str, output: str) -> None:
    """Copy a file, whole or not at all; what is there is replaced."""
    with new_draft(Target.at(output, force=True)) as draft, file_at(model) as file:
        shutil.copyfileobj(file, draft.file)
        draft.publish()
