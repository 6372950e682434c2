"""Where the result of one model goes: what is there already, and what is in the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from wtool.errors import WtoolError
from wtool.files.checkpoint import Checkpoint
from wtool.files.inputs import check_extension, extension
from wtool.files.json_text import as_read
from wtool.files.opener import open_checkpoint
from wtool.files.publish import check_target

Inputs = Callable[[], Sequence[Mapping[str, Any]]]


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


def is_done(task: Asked, base: Checkpoint, record: Mapping[str, Any], inputs: Inputs) -> bool:
    """Whether a task's target is there already, made from these inputs in this way; if not, it can be made.

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
        return False
    if not task.force and _is_there(task.target, record, inputs, task.seed_is_given):
        return True
    if task.make_folder:
        os.makedirs(os.path.dirname(task.target) or ".", exist_ok=True)
    check_target(task.target, task.force)
    return False


def _is_there(target: str, record: Mapping[str, Any], inputs: Inputs, seed_is_given: bool) -> bool:
    if target == "-" or not os.path.isfile(target):
        return False
    try:
        with open_checkpoint(target) as there:
            last = there.lineage[-1] if there.lineage else {}
            there.finish()  # it may have been damaged since
    except WtoolError:
        return False  # something else: the target's own check says that it is in the way
    same = [name for name in record if name != "wtool" and (name != "seed" or seed_is_given)]
    if any(last.get(name) != as_read(record[name]) for name in same):
        return False
    return last.get("inputs") == list(inputs())
