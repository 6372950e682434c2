"""From a plan to a published file: the one way for all that makes a checkpoint of others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.patch import Rewrite, is_repacked, rewrite
from wtool.io.places import Target
from wtool.run import pipeline
from wtool.run.action import Action
from wtool.run.changes import Changes
from wtool.run.done import made_before
from wtool.run.piped import is_followed
from wtool.run.plan import Plan, WorkedOut
from wtool.run.progress import Passes
from wtool.run.target import Goal, make_ready
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """What came of a plan.

    Attributes:
        there: the last record of the result that was there already; None where the plan was done.
        changes: of each operation; none where the result was there already, or where there is nothing to do.
        hashes: content hashes of the files of each checkpoint of the plan; none after a dry run.
    """

    there: Record | None = None
    changes: tuple[Changes, ...] = ()
    hashes: tuple[tuple[str, ...], ...] = ()

    @property
    def change(self) -> Changes:
        """What the only operation of a plan changed."""
        (change,) = self.changes
        return change

    @property
    def actions(self) -> dict[str, Action]:
        """Path of each tensor -> what becomes of it: what the last operation says that changes it."""
        return {path: action for change in self.changes for path, action in change.actions.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of all operations, one line each."""
        return tuple(note for change in self.changes for note in change.notes)


def derive(plan: Plan, goal: Goal, progress: pipeline.Progress | None = None) -> Derived:
    """Do what is planned: write the result with its lineage, whole or not at all.

    Makes the folder of the goal, if the goal says so. Skips what is done already: a sealed result of the same
    operations, with the same parameters, on the same inputs.

    Args:
        plan: what is done, to open checkpoints.
        goal: where the result goes, and what may happen to what is there.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: an input is damaged, changed meanwhile, or cannot take part.
        WtoolError: the goal exists, or cannot be written.
    """
    target = goal.target((source.name, source.stamp) for each in plan.checkpoints for source in each.sources)
    if not plan.operations:
        return Derived()
    if plan.earlier is None and not goal.dry_run and is_followed(plan.base):
        plan = replace(plan, is_piped=True)
    there = made_before(plan, goal, target)
    if there is not None:
        return Derived(there)
    if not goal.dry_run:
        make_ready(goal, target)
    sources = [source for each in plan.checkpoints for source in each.sources]
    passes = Passes(progress, sum(source.size for source in sources))
    found = plan.work_out(passes)
    with ExitStack() as stack:  # throws drafts away
        if goal.dry_run:
            _try(plan, found, passes, stack)
            return Derived(changes=found.changes)
        unhashed = [each.unhashed for each in plan.checkpoints]
        output, edits = _writer(plan, found, target, plan.records(found.changes, unhashed, is_done=False), stack)
        # What several operations compute takes longer than to read and to write: threads compute at the same time.
        hashes = pipeline.run(plan.checkpoints, edits, output, passes.write, in_order=len(plan.operations) < 2)
        output.publish(plan.records(found.changes, hashes))
    return Derived(None, found.changes, hashes)


def _writer(
    plan: Plan, found: WorkedOut, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> tuple[Rewrite, Sequence[pipeline.Edit]]:
    """What takes the new bytes, and the edits that give them: of the base's structure, or of another one."""
    base = plan.base if found.compression is None else replace(plan.base, compression=found.compression)
    if found.structure is None and found.relabelled is None and found.composition is None:
        is_copied = not found.casts and not is_repacked(base)
        edits = [*found.edits, *pipeline.kept(base, found.edits)] if is_copied else found.edits
        return rewrite(base, target, lineage, stack, casts=found.casts), edits
    # Imported late: most commands rebuild nothing, and would start a twentieth of a second later.
    from wtool.run.rebuilding import edits_of

    if found.composition is not None:
        from wtool.checkpoint.compose import compose

        rebuilt = compose(base, found.composition, target, lineage, stack)
    elif found.relabelled is not None:
        from wtool.checkpoint.relabelling import relabel

        rebuilt = relabel(base, found.relabelled, target, lineage, stack)
    else:
        from wtool.checkpoint.rebuild import rebuild

        assert found.structure is not None
        rebuilt = rebuild(base, found.structure, target, lineage, stack)
    return rebuilt.output, edits_of(rebuilt.arrays)


def _try(plan: Plan, found: WorkedOut, passes: Passes, stack: ExitStack) -> None:
    """Do all that can be done without writing: counts are right then, and a new file is one that can be read."""
    if found.composition is not None:
        from wtool.checkpoint.compose import check_composition

        check_composition(plan.base, found.composition, stack)
    elif found.relabelled is not None:
        from wtool.checkpoint.relabelling import check_labels

        check_labels(plan.base, found.relabelled, stack)
    elif found.structure is not None:
        from wtool.checkpoint.rebuild import check_structure

        check_structure(plan.base, found.structure, stack)
    elif any(changes.counts for changes in found.changes):
        for _ in pipeline.scan(plan.checkpoints, found.edits, passes.write):
            pass
