"""Where the result of one model goes: what is there already, and what is in the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from wtool.checkpoint.inputs import check_extension
from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.lineage import Input, Record, last_record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.checkpoint.sharding import settle_left
from wtool.errors import WtoolError
from wtool.io.json_text import as_read
from wtool.io.places import Target, check_target, make_folders
from wtool.io.source import Stamp

Inputs = Callable[[], Sequence[Input]]


class Asked(Protocol):
    """What a task says about its target; see `editing.Task`."""

    @property
    def target(self) -> str: ...
    @property
    def seed_is_given(self) -> bool: ...
    @property
    def force(self) -> bool: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def make_folder(self) -> bool: ...
    @property
    def below(self) -> str | None: ...


def done_before(task: Asked, base: Checkpoint, record: Record, inputs: Inputs) -> Record | None:
    """Returns the last lineage record of the target, if the target already holds the result of this task; else None.

    The record is believed only while the seal of the target is whole: what another tool has changed is not skipped.
    Makes the target's folder if needed, and checks that the target can be written.

    Args:
        task: what is asked for.
        base: the model that is changed.
        record: what the target's last lineage record would say, but for the inputs.
        inputs: gives what it would say of them; called only if everything else is the same.

    Raises:
        Usage: the target's name is that of another format.
        WtoolError: something else is there, or nothing can be written there.
    """
    check_extension(task.target, base.format, extension(base.name))
    if task.dry_run:
        return None
    if base.format == "weights.json":
        settle_left(Target(task.target, below=task.below))
    there = None if task.force else _there(task.target, record, inputs, task.seed_is_given)
    if there is not None:
        return there
    target = Target(task.target, task.force, task.below)
    if task.make_folder:
        make_folders(target)
    check_target(target)
    return None


def goal(task: Asked, inputs: Sequence[Checkpoint]) -> Target:
    """The target of a task, as it is now, or as it was when it was opened as one of the inputs."""
    return Target.at(task.target, task.force, task.below, stamps(inputs))


def stamps(inputs: Sequence[Checkpoint]) -> list[tuple[str, Stamp]]:
    """Path and stamp of each input, as it was opened."""
    return [(each.name, each.sources[0].stamp) for each in inputs]


def _there(target: str, record: Record, inputs: Inputs, seed_is_given: bool) -> Record | None:
    if target == "-" or not os.path.isfile(target):
        return None
    mine = record.as_read()
    same = [name for name in mine if name != "wtool" and (name != "seed" or seed_is_given)]
    try:
        with open_checkpoint(target) as there:
            last = last_record(there.lineage)
            told = last.to_json()
            if any(told.get(name) != mine[name] for name in same) or not is_sealed(there):
                return None
    except WtoolError:
        return None  # something else: the target's own check says that it is in the way
    return last if told.get("inputs") == [as_read(each.to_json()) for each in inputs()] else None
