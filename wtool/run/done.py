"""What is done already: a result that is there, sealed, and made by the same operations of the same inputs."""

from __future__ import annotations

import os

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.checkpoint.shard_files import settle_left
from wtool.errors import WtoolError
from wtool.io.json_text import as_read
from wtool.io.places import Target
from wtool.run.plan import Operation, Plan
from wtool.run.target import Goal


def made_before(plan: Plan, goal: Goal) -> Record | None:
    """Returns the last lineage record of the result, if the result of a plan is there already; else None.

    The records are believed only while the seal of the result is whole: what another tool has changed is made again.

    Args:
        plan: what is to be done.
        goal: where its result goes.
    """
    if goal.dry_run:
        return None
    if plan.format == "weights.json":
        settle_left(Target(goal.path, below=goal.below))
    if goal.force or not plan.is_determined or goal.path == "-" or not os.path.exists(goal.path):
        return None
    try:
        with open_checkpoint(goal.path) as there:
            last = there.lineage[-len(plan.operations) :]
            is_same = len(last) == len(plan.operations) and all(map(_is_same, plan.operations, last))
            if plan.is_piped:  # no hash tells what the base was: it follows from the records before
                before = [each.as_read() for each in there.lineage[: -len(plan.operations)]]
                is_same = is_same and before == [each.as_read() for each in plan.lineage]
            if not is_same or not is_sealed(there):
                return None
    except WtoolError:
        return None  # something else: `target.make_ready` says that it is in the way
    mine = plan.inputs([each.finish() for each in plan.checkpoints])
    told = [record.to_json().get("inputs", []) for record in last]
    return last[-1] if told == [[as_read(each.to_json()) for each in inputs] for inputs in mine] else None


def _is_same(operation: Operation, there: Record) -> bool:
    """Whether a record tells of an operation, but for what it tells of inputs and of the result."""
    mine, told = operation.record.as_read(), there.to_json()
    ignored = ("wtool", "inputs", *(["seed"] if operation.takes_any_seed else []))
    return all(told.get(name) == value for name, value in mine.items() if name not in ignored)
