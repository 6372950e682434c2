"""Several models into one: which files take part, how they are merged, and the file that comes out.

`wtool/ops/signatures.pyi` has the function's signature for type checkers and editors; `make docs` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused
from wtool.io.addresses import text_of
from wtool.io.tree import one_place
from wtool.ops.average import replacing, same_content
from wtool.ops.average_inputs import Named, inputs_but
from wtool.ops.doctor import diagnose
from wtool.ops.functions import First, function_of
from wtool.ops.merge_options import Merge, Merged
from wtool.ops.recalibration import drifts_of, recalibrated_after
from wtool.run.batch import fresh_seed, words_of
from wtool.run.by_method import ByMethod
from wtool.run.derive import Derived, derive
from wtool.run.input_model import InputModel
from wtool.run.plan import Plan
from wtool.run.result_names import goal_of_several
from wtool.run.target import Goal
from wtool.transforms.merging.registry import METHODS
from wtool.words import Models

if TYPE_CHECKING:
    from wtool.ops.signatures import merge as merge

STEM = "merged"
"""Name, without its extension, of an output that nobody named."""

MODELS = First(
    "models",
    Models,
    "files, folders (searched for models), patterns, or `-` for standard input.",
    "a file is missing or damaged, models do not match, values are not finite, or the output exists",
)


def _merge(models: Models, given: Mapping[str, Any]) -> Merged:
    options = Merge(**given)
    output = None if options.output is None else text_of(options.output)
    base = None if options.base is None else text_of(options.base)
    words = words_of(models)
    refuse_two_streams([*words, *([] if base is None else [base])])
    named, passed_by = inputs_but(output, words, STEM)
    paths, left_out = _without_base(named, base)
    work = ByMethod(
        METHODS[options.method],
        options.of_method,
        len(paths),
        base is not None,
        fresh_seed() if options.seed is None else options.seed,
        options.seed is not None,
        options.bn,
        options.include,
        options.exclude,
        options.optimizer,
        options.recalibrate is not None,
    )
    with ExitStack() as stack:
        drop = options.optimizer == "drop"
        first = stack.enter_context(open_checkpoint(paths[0], drop_optimizer=drop))
        rest = [stack.enter_context(open_checkpoint(path, like=first)) for path in paths[1:]]
        before = [] if base is None else [stack.enter_context(open_checkpoint(base, like=first))]
        goal = goal_of_several(output, STEM, first, force=options.force, dry_run=options.dry_run)
        plan, about_data = recalibrated_after(work.plan([*before, first, *rest]), options.recalibrate)
        try:
            diagnosis = diagnose(options, plan)
            derived = derive(plan, goal, options.progress)
        except Refused as error:
            raise error.about(first.name) from None
        return replace(_told(work, plan, goal, derived, [*passed_by, *left_out, *about_data]), diagnosis=diagnosis)


globals()["merge"] = function_of(Merge, "merge", (Merge,), Merged, _merge, MODELS, ("method",))


def _without_base(named: Named, base: str | None) -> tuple[list[str], list[str]]:
    """The models, without the base where a folder or a pattern holds it, and a note on that."""
    if base is None or base == "-":
        return [path for _, path in named], []
    kept = [path for word, path in named if word == path or not one_place(path, base)]
    return (kept, [] if len(kept) == len(named) else [f"{base} is the base, and not one of the models"])


def _told(work: ByMethod, plan: Plan, goal: Goal, derived: Derived, notes: Sequence[str]) -> Merged:
    """What was done; of a result that was there already, what went into it."""
    operands = plan.operations[0].operands
    inputs = tuple(InputModel(each.checkpoint.name, each.role) for each in operands)
    if derived.there is not None:
        return Merged(
            goal.path,
            work.method.name,
            inputs,
            derived.there.seed,
            {},
            work.parameters(plan.base),
            tuple(notes),
            skipped=True,
        )
    actions = derived.actions
    in_order = {id(each): own for each, own in zip(plan.checkpoints, derived.hashes, strict=False)}
    checkpoints = [each.checkpoint for each in operands]
    hashes = [in_order[id(each)] for each in checkpoints] if in_order else []
    same = same_content(checkpoints, hashes, operands[0].role == "base") if hashes else []
    return Merged(
        None if goal.dry_run else goal.path,
        work.method.name,
        inputs,
        work.seed if work.method.is_random else None,
        actions,
        work.parameters(plan.base),
        (*notes, *replacing(goal.path, checkpoints), *derived.notes, *same, *work.kept_but_different()),
        drifts=drifts_of(derived),
    )
