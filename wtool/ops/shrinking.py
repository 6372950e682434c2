"""Shrinking as an operation on checkpoints: find the channels, choose which stay, take the others out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.graphs.dead import dead_channels
from wtool.graphs.grouping import Grouping, grouping_of
from wtool.graphs.groups import Group
from wtool.graphs.structure import structure_of
from wtool.graphs.taking_out import take_out
from wtool.graphs.values import Values, new_shape
from wtool.ops.shrink_options import Shrink
from wtool.ops.shrunk import Shrunk
from wtool.ops.sizes_before_after import Sizes, sizes_of
from wtool.ops.verification import verified_and_timed
from wtool.ops.whole_model import graph_of_keras, refuse_without_layers
from wtool.run.changes import Changes, Edited
from wtool.run.channel_choice import KEPT, OPERATION, Kept, Scoring, kept_of, left_out
from wtool.run.derive import Derived
from wtool.run.matching import architecture_differences
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.schema import graph
from wtool.transforms.channel_choice import Choice
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What is taken out of models, and how.

    Attributes:
        shrink: which channels.
        like: path of the model whose channels are taken out; None where a sparsity tells, or channels are dead.
        optimizer: what becomes of its state.
        seed: of random scores.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
    """

    shrink: Shrink
    like: str | None
    optimizer: str
    seed: int
    seed_is_given: bool

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and the one whose channels it is to have."""
        base = opener.open(model, stack, drop_optimizer=self.optimizer == "drop")
        operands = [Operand(base, {"as": "model"})]
        shrunk = None
        if self.like is not None:
            shrunk = stack.enter_context(open_checkpoint(self.like, drop_optimizer=True))
            operands.append(Operand(shrunk, {"as": "shrunk"}, "shrunk"))
        work_out = partial(self._changes, shrunk)
        return Plan(base, (Operation(self._record(), tuple(operands), work_out, not self.seed_is_given),))

    def told(self, task: Task[Shrunk], plan: Plan, derived: Derived) -> Shrunk:
        """What was done to a model; the result is run now, if that was asked for."""
        if derived.there is not None:
            unverified = ("not verified: nothing was done",) if self.shrink.verify else ()
            return Shrunk(task.name, task.output, skipped=True, notes=unverified)
        changes = derived.change
        assert isinstance(changes, Shrinks)
        told = Shrunk(
            task.name,
            task.output,
            seed=self._seed,
            channels={name: (len(each), int(each.sum())) for name, each in changes.kept.channels.items()},
            stays=dict(changes.kept.stays),
            layers=changes.sizes.layers,
            parameters=changes.sizes.parameters,
            bytes=changes.sizes.bytes,
            multiply_adds=changes.sizes.multiply_adds,
            same=self.shrink.is_exact,
            notes=changes.notes,
        )
        if not self.shrink.verify:
            return told
        found, notes = verified_and_timed(task.goal.path, plan.base, same=told.same is True)
        if found is None:
            return replace(told, notes=(*told.notes, *notes))
        return replace(told, difference=(found.difference, found.largest), seconds=found.seconds)

    @property
    def _seed(self) -> int | None:
        return self.seed if self.shrink.is_random else None

    def _record(self) -> Record:
        """The lineage record, but for the inputs and the channels."""
        return Record(OPERATION, {**self.shrink.parameters(), "optimizer": self.optimizer}, seed=self._seed)

    def _changes(self, shrunk: Checkpoint | None, edited: Edited, passes: Passes) -> Changes:
        base = edited.base
        refuse_without_layers(base, OPERATION)
        config = deepcopy(base.config)
        assert config is not None
        with graph_of_keras():
            model = graph.read(config)
            grouping = grouping_of(base, model)
            kept, shifts = self._kept(base, model, grouping, shrunk)
            values = take_out(grouping, kept.channels)
            values.shifts.update(shifts)
        structure = structure_of(base, config, values, "zero", self.seed, self.optimizer)
        if shrunk is not None:
            _refuse_other_architecture(base, config, values, shrunk)
        return Shrinks(
            structure=structure,
            notes=(*base.notes, *values.notes, *(() if kept.channels else ("none of its channels is dead",))),
            more={KEPT: kept.to_json()},
            kept=kept,
            sizes=sizes_of(base, config, values),
        )

    def _kept(
        self, base: Checkpoint, model: graph.Model, grouping: Grouping, shrunk: Checkpoint | None
    ) -> tuple[Kept, dict[str, Array]]:
        """Which channels stay, and what is added to weights for those that go."""
        how, groups = self.shrink, grouping.groups
        if how.is_exact:
            stays = left_out(groups, how.include, how.exclude)
            dead = dead_channels(base, model, grouping, stays)
            return Kept(dead.kept, stays), dead.shifts
        kept = kept_of(shrunk, groups) if shrunk is not None else self._scored(base, groups)
        if not kept.channels:
            raise Refused(f"no channel can be taken out: {_why_none(kept.stays)}")
        return kept, {}

    def _scored(self, base: Checkpoint, groups: tuple[Group, ...]) -> Kept:
        how = self.shrink
        assert how.sparsity is not None
        choice = Choice(how.sparsity, how.scope == "global", how.max_layer_sparsity, how.round_to)
        scoring = Scoring(how.criterion, how.members == "producer", choice, tuple(how.include), tuple(how.exclude))
        return scoring.kept(base, groups, self.seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shrinks(Changes):
    """What shrinking makes of a checkpoint: which channels stay, and how much less there is."""

    kept: Kept
    sizes: Sizes


def _why_none(stays: Mapping[str, str]) -> str:
    reasons = [f"{name} ({why})" for name, why in stays.items()]
    return a_few(reasons) if reasons else "no layer makes channels that wtool knows"


def _refuse_other_architecture(base: Checkpoint, config: dict[str, Any], values: Values, shrunk: Checkpoint) -> None:
    """Refuse a model that would not become one of the architecture of the model that was shrunk before."""
    made = replace(base, config=config)
    differences = list(architecture_differences(made, shrunk))
    shapes = {tensor.path: new_shape(tensor, values.edits.get(tensor.path, ())) for tensor in base.weights}
    for tensor in shrunk.weights:
        if shapes.get(tensor.path, tensor.shape) != tensor.shape:
            differences.append(f"{tensor.path} has shape {tensor.shape} instead of {shapes[tensor.path]}")
    if differences:
        raise Refused(f"is not what this model becomes without these channels: {a_few(differences)}", shrunk.name)
