"""One checkpoint out of several: in which order, what is averaged, what is kept, and the file that comes out.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.io.addresses import text_of
from wtool.io.tree import one_place
from wtool.ops.average_inputs import STEM, inputs_but
from wtool.ops.average_options import Average, Averaged
from wtool.ops.average_order import against_steps, ordered
from wtool.ops.average_times import step_of, times_of
from wtool.ops.doctor import diagnose
from wtool.ops.functions import First, function_of
from wtool.ops.recalibration import drifts_of, recalibrated_after
from wtool.ops.series import Choice, best, newest
from wtool.run.averaging import Averaging
from wtool.run.batch import words_of
from wtool.run.derive import Derived, derive
from wtool.run.input_model import InputModel
from wtool.run.plan import Plan
from wtool.run.result_names import goal_of_several
from wtool.run.target import Goal
from wtool.transforms.power import exponent_of
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import average as average

CHECKPOINTS = First(
    "paths",
    Models,
    "files, folders (searched for models), patterns, or `-` for standard input.",
    "a file is missing or damaged, checkpoints do not match, values are not finite, or the output exists",
)


def _average(paths: Models, given: Mapping[str, Any]) -> Averaged:
    options = Average(**given)
    output = None if options.output is None else text_of(options.output)
    named, passed_by = inputs_but(output, words_of(paths))
    order = ordered(named, options.order, options.method, options.is_ordered)
    choice = _chosen(options, order.paths)
    with ExitStack() as stack:
        checkpoints = _opened(choice.paths, options.optimizer == "drop", stack)
        steps = [step_of(each) if options.is_ordered else None for each in checkpoints]
        doubts = [*order.notes, *([] if options.order == "given" else against_steps(checkpoints, steps))]
        value, told = _value(options, checkpoints, steps)
        work = Averaging(
            options.method,
            value,
            options.include,
            options.exclude,
            options.optimizer,
            options.allow_nonfinite,
            options.bn,
            options.recalibrate is not None,
        )
        base = checkpoints[-1]
        goal = goal_of_several(output, STEM, base, force=options.force, dry_run=options.dry_run)
        plan, about_data = recalibrated_after(work.plan(checkpoints), options.recalibrate)
        try:
            diagnosis = diagnose(options, plan, [each.told["coefficient"] for each in plan.operations[0].operands])
            derived = derive(plan, goal, options.progress)
        except Refused as error:
            raise error.about(base.name) from None
        done = _told(work, plan, goal, derived, [*passed_by, *doubts, *choice.notes, *told, *about_data])
        return replace(
            done,
            diagnosis=diagnosis,
            considered=() if options.last is None and options.best is None else choice.considered,
            warnings=tuple(doubts if options.coefficients is not None else ()),
        )


globals()["average"] = function_of(Average, "average", (Average,), Averaged, _average, CHECKPOINTS)


def _chosen(options: Average, paths: Sequence[str]) -> Choice:
    """The checkpoints of a series, oldest first, that are averaged."""
    if options.best is not None and options.by is not None:
        log = None if options.log is None else text_of(options.log)
        return best(paths, options.best, options.by, options.mode, log)
    return newest(paths, len(paths) if options.last is None else options.last)


def _value(options: Average, checkpoints: Sequence[Checkpoint], steps: Sequence[int | None]) -> tuple[Any, list[str]]:
    """What the coefficients need besides the number of checkpoints, as the lineage tells it; and notes."""
    if options.method != "power":
        return options.value, []
    exponent = options.power if options.sigma_rel is None else exponent_of(options.sigma_rel)
    times = times_of(checkpoints, steps)
    width = {} if options.sigma_rel is None else {"sigma_rel": options.sigma_rel}
    value = {"exponent": exponent, **width, "times": list(times.values), "kind": times.kind}
    return value, [*times.notes, *_long_before(checkpoints, times.values)]


def _long_before(checkpoints: Sequence[Checkpoint], times: Sequence[int]) -> list[str]:
    """A note where the oldest checkpoint stands for more time than any other, since the series begins late."""
    longest = max((newer - older for older, newer in pairwise(times)), default=times[0])
    if times[0] <= longest:
        return []
    return [f"{checkpoints[0].name} stands for all the time before it too, up to {times[0]:,}, since it is the oldest"]


def _told(work: Averaging, plan: Plan, goal: Goal, derived: Derived, notes: Sequence[str]) -> Averaged:
    """What was done; of a result that was there already, what went into it."""
    operands = plan.operations[0].operands
    inputs = tuple(InputModel(each.checkpoint.name, each.role, each.told["coefficient"]) for each in operands)
    if derived.there is not None:
        return Averaged(goal.path, inputs, {}, work.parameters(plan.base), tuple(notes), skipped=True)
    checkpoints, actions = [each.checkpoint for each in operands], derived.actions
    hashes = [*derived.hashes[1:], *derived.hashes[:1]]  # oldest first: the base is the newest
    same = same_content(checkpoints, hashes) if hashes else []
    return Averaged(
        None if goal.dry_run else goal.path,
        inputs,
        actions,
        work.parameters(plan.base),
        (*notes, *replacing(goal.path, checkpoints), *derived.notes, *same, *work.kept_but_different()),
        drifts=drifts_of(derived),
    )


def replacing(target: str, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """A note on an input that the output replaces."""
    same = [each.name for each in checkpoints if target != "-" and one_place(each.name, target)]
    return [f"{same[0]} was an input, and is the output now"] if same else []


def _opened(paths: Sequence[str], drop: bool, stack: ExitStack) -> list[Checkpoint]:
    """All checkpoints; the newest first, since its index mostly serves the others too."""
    base = stack.enter_context(open_checkpoint(paths[-1], drop_optimizer=drop))
    older = [stack.enter_context(open_checkpoint(path, like=base)) for path in paths[:-1]]
    return [*older, base]


def same_content(
    checkpoints: Sequence[Checkpoint], hashes: Sequence[tuple[str, ...]], has_base: bool = False
) -> list[str]:
    """A note on copies: another name and the same bytes. One file under two names is noted before the run.

    Args:
        checkpoints: the base first, if there is one.
        hashes: of the bytes of each.
        has_base: whether the first is a base, which does not count as a model.
    """
    first: dict[tuple[str, ...], Checkpoint] = {}
    notes = []
    for checkpoint, own in zip(checkpoints, hashes, strict=True):
        twin = first.setdefault(own, checkpoint)
        if twin.sources[0].identity != checkpoint.sources[0].identity:
            is_base = has_base and twin is checkpoints[0]
            meaning = "so that nothing distinguishes the model from the base" if is_base else "which counts twice"
            notes.append(f"{checkpoint.name} and {twin.name} have the same content, {meaning}")
    return notes
