"""Whether results of a recipe are there already: by their lineage, without doing the passes before the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.checkpoint.lineage import Input, Record, own_records
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.errors import WtoolError
from wtool.io.addresses import name_of
from wtool.io.tree import exists
from wtool.ops.functions import given_of
from wtool.ops.recorded_calls import call_of
from wtool.recipes.operations import groups_of
from wtool.recipes.recipe import Made, Recipe, Reference, Step

Paths = Callable[[Reference], str | None]
"""From what a step reads to its path; None for what is handed on."""


def is_there(recipe: Recipe, step: Step, path: str, path_of: Paths) -> bool:
    """Returns whether the result of a step is at a path, made of the same files by the same steps.

    Args:
        recipe: the recipe.
        step: the step.
        path: where its result goes.
        path_of: tells where the models are that the steps read.
    """
    if path == "-" or not exists(path):
        return False
    try:
        with open_checkpoint(path) as there:
            records = own_records(there.lineage)
            return _made_by(recipe, step, records, path_of) and is_sealed(there)
    except WtoolError:
        return False  # something else: whoever writes there says that it is in the way


def _made_by(recipe: Recipe, step: Step, records: list[Record], path_of: Paths) -> bool:
    """Returns whether the last record is of a step, and those before are of the steps whose results it read."""
    if not records or step.planner is None:
        return False
    record = records[-1]
    call = call_of(record)
    if call.operation != step.operation or not _same_options(step, call.options) or len(call.models) != 1:
        return False
    if call.others.keys() != step.others.keys():
        return False
    pairs = [(step.of[0], call.models[0]), *((one, call.others[name]) for name, one in step.others.items())]
    for one, index in pairs:
        told = record.inputs[index]
        if isinstance(one, Made) and path_of(one) is None:
            is_base = index == call.base and told.name == "-" and not told.hashes
            if not is_base or not _made_by(recipe, recipe.steps[one.step], records[:-1], path_of):
                return False
        elif not _is_file(told, path_of(one)):
            return False
    return True


def _same_options(step: Step, told: Mapping[str, Any]) -> bool:
    """Returns whether a record tells the options of a step; a seed that nobody gave may be any."""
    others = dict.fromkeys(step.others, "-")
    theirs = {name: value for name, value in told.items() if name != "seed" or name in step.given}
    return all(
        group(**given_of(group, {**step.given, **others})) == group(**given_of(group, {**theirs, **others}))
        for group in groups_of(step.operation)
    )


def _is_file(told: Input, path: str | None) -> bool:
    """Returns whether an input of a record is a file that is there, by its name and its content."""
    if path is None or path == "-" or told.name != name_of(path):
        return False
    with open_checkpoint(path) as model:
        return model.finish() == told.hashes
