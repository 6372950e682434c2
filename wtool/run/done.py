"""What is done already: a result that is there, sealed, and made by the same operations of the same inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from wtool.checkpoint.lineage import UNHASHED, Input, Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.checkpoint.shard_files import settle_left
from wtool.errors import WtoolError
from wtool.io.addresses import is_address
from wtool.io.json_text import as_read
from wtool.io.places import Target
from wtool.run.plan import Operation, Plan
from wtool.run.target import Goal


def made_before(plan: Plan, goal: Goal, target: Target) -> Record | None:
    """Returns the last lineage record of the result, if the result of a plan is there already; else None.

    The records are believed only while the seal of the result is whole: what another tool has changed is made again.
    A mark that a store keeps beside the result stands for the seal, and for the hashes of inputs in stores.

    Args:
        plan: what is to be done.
        goal: where its result goes.
        target: of the goal, with the stamps of the inputs.
    """
    if goal.dry_run:
        return None
    if plan.format == "weights.json":
        settle_left(Target(goal.path, below=goal.below))
    if goal.force or not plan.is_determined or goal.path == "-" or not _is_there(target):
        return None
    try:
        with open_checkpoint(goal.path) as there:
            last = there.lineage[-len(plan.operations) :]
            is_same = len(last) == len(plan.operations) and all(map(_is_same, plan.operations, last))
            if plan.is_piped:  # no hash tells what the base was: it follows from the records before
                before = [each.as_read() for each in there.lineage[: -len(plan.operations)]]
                is_same = is_same and before == [each.as_read() for each in plan.lineage]
            is_marked = is_same and _is_marked(there, target)
            if not is_same or not (is_marked or is_sealed(there)):
                return None
    except WtoolError:
        return None  # something else: `target.make_ready` says that it is in the way
    mine = plan.inputs([_hashes(each, is_marked) for each in plan.checkpoints])
    told = [record.to_json().get("inputs", []) for record in last]
    return last[-1] if list(map(len, told)) == list(map(len, mine)) and all(map(_are_same, mine, told)) else None


def _is_there(target: Target) -> bool:
    return target.seen is not None if is_address(target.path) else os.path.exists(target.path)


def _is_marked(there: Checkpoint, target: Target) -> bool:
    if not is_address(target.path) or len(there.sources) > 1:
        return False
    from wtool.io.remote.marks import has_mark  # late: most results are files

    return has_mark(target.path, target.mark, there.sources[0].stamp)


def _hashes(checkpoint: Checkpoint, is_marked: bool) -> tuple[str, ...]:
    """Returns the content hashes of a checkpoint's files; placeholders where the mark of the result tells of them."""
    is_elsewhere = is_marked and all(is_address(source.name) for source in checkpoint.sources)
    return checkpoint.unhashed if is_elsewhere else checkpoint.finish()


def _are_same(mine: Sequence[Input], told: Sequence[Any]) -> bool:
    return all(map(_is_same_input, mine, told))


def _is_same_input(mine: Input, told: Any) -> bool:
    own = as_read(mine.to_json())
    if UNHASHED in mine.hashes and "hash" in own and isinstance(told, dict):
        told = {**told, "hash": own["hash"]}
    return bool(own == told)


def _is_same(operation: Operation, there: Record) -> bool:
    """Whether a record tells of an operation, but for what it tells of inputs and of the result."""
    mine, told = operation.record.as_read(), there.to_json()
    ignored = ("wtool", "inputs", *(["seed"] if operation.takes_any_seed else []))
    return all(told.get(name) == value for name, value in mine.items() if name not in ignored)
