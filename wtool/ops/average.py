"""One checkpoint out of several: in which order, what is averaged, what is kept, and the file that comes out.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from math import prod
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.ops.average_inputs import STEM, inputs_but, ordered
from wtool.ops.average_options import CALCULATED, Average, Averaged
from wtool.ops.functions import First, function_of
from wtool.run.averaging import Averaging
from wtool.run.derive import Derived, derive
from wtool.run.plan import Plan
from wtool.run.target import Goal, goal_of, one_place, result_name
from wtool.words import Path

if TYPE_CHECKING:
    from wtool.ops.signatures import average as average

CHECKPOINTS = First(
    "paths",
    Sequence[Path],
    "files, folders (searched for models), patterns, or `-` for standard input.",
    "a file is missing or damaged, checkpoints do not match, values are not finite, or the output exists",
)


def _average(paths: Sequence[Path], given: Mapping[str, Any]) -> Averaged:
    options = Average(**given)
    output = None if options.output is None else os.fspath(options.output)
    named, passed_by = inputs_but(output, [os.fspath(path) for path in paths])
    names, told = ordered(named, options.order, options.method)
    work = Averaging(
        options.method,
        options.value,
        options.include,
        options.exclude,
        options.optimizer,
        options.allow_nonfinite,
        options.bn,
    )
    with ExitStack() as stack:
        checkpoints = _opened(names, options.optimizer == "drop", stack)
        base = checkpoints[-1]
        name = result_name(STEM, base.format, base.name)
        goal = goal_of(output, name, ".", name, force=options.force, dry_run=options.dry_run)
        plan = work.plan(checkpoints)
        try:
            derived = derive(plan, goal, options.progress)
        except Refused as error:
            raise error.about(base.name) from None
        return _told(work, plan, goal, derived, [*passed_by, *told])


globals()["average"] = function_of(Average, "average", (Average,), Averaged, _average, CHECKPOINTS)


def _told(work: Averaging, plan: Plan, goal: Goal, derived: Derived, notes: Sequence[str]) -> Averaged:
    """What was done; of a result that was there already, what went into it."""
    operands = plan.operations[0].operands
    inputs = tuple((each.checkpoint.name, each.told["coefficient"]) for each in operands)
    if derived.there is not None:
        return Averaged(goal.path, inputs, {}, 0, tuple(notes), skipped=True)
    checkpoints, change = [each.checkpoint for each in operands], derived.change
    hashes = [*derived.hashes[1:], *derived.hashes[:1]]  # oldest first: the base is the newest
    same = _same_content(checkpoints, hashes) if hashes else []
    return Averaged(
        None if goal.dry_run else goal.path,
        inputs,
        dict(change.actions),
        sum(prod(tensor.shape) for tensor in plan.base.weights if change.actions[tensor.path] in CALCULATED),
        (*notes, *_replacing(goal.path, checkpoints), *change.notes, *same, *work.kept_but_different()),
    )


def _replacing(target: str, checkpoints: Sequence[Checkpoint]) -> list[str]:
    same = [each.name for each in checkpoints if target != "-" and one_place(each.name, target)]
    return [f"{same[0]} was an input, and is the output now"] if same else []


def _opened(paths: Sequence[str], drop: bool, stack: ExitStack) -> list[Checkpoint]:
    """All checkpoints; the newest first, since its index mostly serves the others too."""
    base = stack.enter_context(open_checkpoint(paths[-1], drop_optimizer=drop))
    older = [stack.enter_context(open_checkpoint(path, like=base)) for path in paths[:-1]]
    return [*older, base]


def _same_content(checkpoints: Sequence[Checkpoint], hashes: Sequence[tuple[str, ...]]) -> list[str]:
    """A note on copies: another name and the same bytes. One file under two names is noted before the run."""
    first: dict[tuple[str, ...], Checkpoint] = {}
    notes = []
    for checkpoint, own in zip(checkpoints, hashes, strict=True):
        twin = first.setdefault(own, checkpoint)
        if twin.sources[0].identity != checkpoint.sources[0].identity:
            notes.append(f"{checkpoint.name} and {twin.name} have the same content, which counts twice")
    return notes
