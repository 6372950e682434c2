"""A swap as an operation on checkpoints: read the graph, change it as data, work out the arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from math import prod

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener
from wtool.checkpoint.structure import Structure
from wtool.graphs.change import Changed, change
from wtool.graphs.structure import structure_of
from wtool.graphs.swap import Swap
from wtool.graphs.values import Values, new_shape
from wtool.ops.swapped import Swapped
from wtool.ops.verification import verified
from wtool.ops.whole_model import graph_of_keras, refuse_without_layers
from wtool.run.action import REMOVED, Action
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.schema import graph
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Swapping:
    """A swap of models, and how.

    Attributes:
        swap: to what, and which layers.
        optimizer: what becomes of its state.
        seed: of fresh initial values.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        force: whether what is not zero may be dropped.
        verify: run the old and the new model with Keras.
    """

    swap: Swap
    optimizer: str
    seed: int
    seed_is_given: bool
    force: bool
    verify: bool

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model."""
        base = opener.open(model, stack, drop_optimizer=self.optimizer == "drop")
        operand = Operand(base, {"as": "model"})
        return Plan(base, (Operation(self._record(), (operand,), self._changes, not self.seed_is_given),))

    def told(self, task: Task[Swapped], plan: Plan, derived: Derived) -> Swapped:
        """What was done to a model; the result is verified now, if that was asked for."""
        if derived.there is not None:
            notes = ("not verified: nothing was done",) if self.verify else ()
            return Swapped(task.name, task.output, skipped=True, notes=notes)
        changes, base = derived.change, plan.base
        assert isinstance(changes, Swaps)
        assert changes.structure is not None
        changed = changes.changed
        difference, told = verified(task.goal.path, base, changed.same) if self.verify else (None, ())
        return Swapped(
            task.name,
            task.output,
            seed=self.seed if self.swap.is_random else None,
            layers=changed.layers,
            tensors=dict(changes.actions),
            rho=changed.rho,
            parameters=_parameters(base, changed.values, changes.structure),
            same=changed.same,
            difference=difference,
            notes=(*changes.notes, *told),
        )

    def _changes(self, edited: Edited, passes: Passes) -> Changes:
        base = edited.base
        refuse_without_layers(base, "swap")
        config = deepcopy(base.config)
        assert config is not None
        with graph_of_keras():
            changed = change(self.swap, base, graph.read(config), self.force)
        structure = structure_of(base, config, changed.values, self.swap.fill, self.seed, self.optimizer)
        new = _with_new_zeros(changed.values)
        return Swaps(
            structure=structure,
            actions=_told(base, changed, structure),
            notes=(*base.notes, *changed.values.notes, *changed.notes),
            # Else a swap that refuses to drop these weights would take the result for its own.
            parameters={"force": True} if changed.forced else {},
            more={"new": new} if new else {},
            changed=changed,
        )

    def _record(self) -> Record:
        """The lineage record, but for the inputs."""
        parameters = {**self.swap.parameters(), "optimizer": self.optimizer}
        return Record("swap", parameters, seed=self.seed if self.swap.is_random else None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Swaps(Changes):
    """What a swap makes of a checkpoint; `changed` is what it means for the graph."""

    changed: Changed


def _told(base: Checkpoint, changed: Changed, structure: Structure) -> dict[str, Action]:
    """What becomes of the tensors."""
    found = {}
    for tensor in base.weights:
        if tensor.path in changed.values.edits:
            new = new_shape(tensor, changed.values.edits[tensor.path])
            found[tensor.path] = Action("reshaped", f"{_shown(tensor.shape)} becomes {_shown(new)}")
        elif tensor.path not in structure.paths:
            found[tensor.path] = REMOVED
    for layer, variables in changed.values.added.items():
        for name, each in variables.items():
            found[f"{layer}/{name}"] = Action("added", f"new, {_shown(each.shape)}")
    return found


def _parameters(base: Checkpoint, values: Values, structure: Structure) -> tuple[int, int]:
    """How many values all weights together have, before and after; one that is stored twice counts once."""
    weights = [tensor for tensor in base.weights if tensor.copy_of is None]
    kept = [new_shape(each, values.edits.get(each.path, ())) for each in weights if each.path in structure.paths]
    added = [each.shape for variables in values.added.values() for each in variables.values()]
    return sum(prod(tensor.shape) for tensor in weights), sum(map(prod, [*kept, *added]))


def _shown(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _with_new_zeros(values: Values) -> list[str]:
    """Paths of the tensors that have new zeros: these are nobody's mask, though the model was pruned before."""
    grown = [path for path, edits in values.edits.items() if any((edit.source < 0).any() for edit in edits)]
    return [*grown, *(f"{layer}/{name}" for layer, own in values.added.items() for name in own)]
