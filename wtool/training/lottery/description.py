"""Which experiment a folder holds: its model, its data and its parameters, as `experiment.json` tells them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, TypeGuard

from wtool.errors import Refused, WtoolError
from wtool.io.addresses import name_of
from wtool.io.drafts import write_whole
from wtool.io.json_text import as_read, parse_object
from wtool.training.lottery import summaries
from wtool.training.lottery.folder import UNFINISHED, Base
from wtool.training.lottery.plan import Experiment
from wtool.training.lottery.summaries import MOST
from wtool.version import __version__

FILE = "experiment.json"
COMPILING = ("loss", "metrics", "new_optimizer")
"""The parameters that say how the model is compiled."""

OPTIONAL = (*COMPILING, "patience")
"""The parameters of trainings that are told only where they are given."""

LATER = (*OPTIONAL, "epochs_of_tickets")
"""All parameters that are told only where they are given: earlier versions did not have them."""


def described_as(base: Base, experiment: Experiment, training: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the description of an experiment, but for the version of wtool.

    Args:
        base: its model.
        experiment: its parameters.
        training: the options that make a difference to trainings.
    """
    model = {"name": name_of(base.path), "hash": base.hash}
    told = {"model": model, **as_read(asdict(experiment)), **training}
    return {name: value for name, value in told.items() if value is not None or name not in LATER}


def is_seed(value: Any) -> TypeGuard[int]:
    """Returns whether a value from a description is a seed."""
    return type(value) is int and 0 <= value < MOST


def claimed(
    folder: str, experiment: Experiment, base: Base, training: Mapping[str, Any], seed_is_given: bool
) -> tuple[Experiment, dict[str, Any] | None]:
    """Check that an experiment may be done in a folder; the folder is not changed.

    An experiment may get more trials and further arms: what there is of it stays as it is.

    Returns:
        the experiment, with the seed from when it was begun.
        its description, for `claim`; None if the folder holds the same one already.

    Raises:
        WtoolError: something else is there.
        OSError: it is no folder.
    """
    mine = described_as(base, experiment, training)
    if not os.path.exists(os.path.join(folder, FILE)):
        if os.path.exists(folder) and os.listdir(folder):
            raise WtoolError("is not empty, and holds no experiment; name another folder with --out", folder)
        return experiment, mine
    there = read(folder)
    before = there.get("seed")
    if not seed_is_given and is_seed(before):
        experiment, mine = replace(experiment, seed=before), {**mine, "seed": before}
    other = [name for name in dict.fromkeys((*mine, *LATER)) if there.get(name) != mine.get(name)]
    odd = next((name for name in other if not _grows(name, there.get(name), mine.get(name))), None)
    if odd is not None and _is_begun(folder):
        was, now = json.dumps(there.get(odd)), json.dumps(mine.get(odd))
        raise WtoolError(f"holds an experiment with {odd} {was}, not {now}; name another folder with --out", folder)
    return experiment, mine if other else None


def claim(folder: str, description: Mapping[str, Any] | None) -> None:
    """Make a folder, and write into it which experiment is done there."""
    os.makedirs(folder, exist_ok=True)
    if description is not None:
        text = json.dumps({**description, "wtool": __version__}, indent=1) + "\n"
        write_whole(os.path.join(folder, FILE), text.encode())


def _grows(name: str, was: Any, now: Any) -> bool:
    """Returns whether a change of a parameter only adds steps to those that were done."""
    if name == "trials":
        return type(was) is int and was < now
    return name == "arms" and isinstance(was, list) and all(arm in now for arm in was)


def _is_begun(folder: str) -> bool:
    """Returns whether an epoch has ended; before that, the experiment may still be changed."""
    begun = os.path.join(folder, "trial-1", UNFINISHED)
    if os.path.exists(os.path.join(folder, summaries.FILE)):
        return True
    return os.path.isdir(begun) and any(entry.stat().st_size for entry in os.scandir(begun))


def read(folder: str) -> dict[str, Any]:
    """Returns the description of the experiment that a folder holds.

    Raises:
        WtoolError: the folder's description is none.
        OSError: there is none.
    """
    path = os.path.join(folder, FILE)
    with open(path, errors="replace") as file:
        try:
            return parse_object(file.read(), FILE)
        except Refused:
            raise WtoolError("is no description of an experiment; name another folder with --out", path) from None
