"""A recalibration as an operation on checkpoints: the model is loaded and run, and its file gets other statistics.

Keras is imported when a model is run, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener
from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.run.action import Action
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.schema.layers import built_in
from wtool.training.checks import refuse_weights_only
from wtool.training.data import fingerprints
from wtool.training.data.words import words_in_records
from wtool.training.quiet import silent_import, without_advice
from wtool.training.recalibrate_options import Recalibrated, Recalibration
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.training.recalibration.recalibrated import Statistics

OPERATION = "recalibrate"

NOTHING = "no batch normalisation in it: nothing to recalibrate"


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrating:
    """A recalibration of models, and how.

    Attributes:
        data: see `reading.read_inputs`.
        how: of the passes over the data.
        unsafe: see `loading.load.load`.
        by: see `loading.load.refuse_unsafe`.
    """

    data: Any
    how: Recalibration
    unsafe: bool = False
    by: str = ""

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model."""
        return self.plan_of(opener.open(model, stack))

    def plan_of(self, base: Checkpoint) -> Plan:
        """What will be done to an open checkpoint: nothing, if it has no batch normalisation.

        Raises:
            WtoolError: the file holds weights only.
        """
        refuse_weights_only(base)
        if not may_have_statistics(base):
            return Plan(base, ())
        fingerprinted = fingerprints.entries(self.data, "data")
        words = words_in_records(self.data)
        record = Record(OPERATION, self._parameters(words), tuple(fingerprinted))
        operation = Operation(record, (Operand(base, {"as": "model"}),), partial(_changes, self))
        return Plan(base, (operation,), is_determined=words is not None and len(fingerprinted) == len(words))

    def _parameters(self, words: list[str] | None) -> dict[str, Any]:
        how = self.how
        given = {"data": words, "exact": how.exact, "batch_size": how.batch_size, "batches": how.batches}
        return {name: value for name, value in given.items() if value is not None} | (
            {"frozen": True} if how.frozen else {}
        )

    def told(self, task: Task[Recalibrated], plan: Plan, derived: Derived) -> Recalibrated:
        """What was done to a model."""
        if not plan.operations:
            return Recalibrated(task.name, None, notes=(NOTHING,))
        if derived.there is not None:
            return Recalibrated(task.name, task.output, skipped=True)
        changes = derived.change
        assert isinstance(changes, NewStatistics)
        found = changes.found
        return Recalibrated(
            task.name,
            task.output,
            layers=dict(found.layers),
            samples=found.samples,
            passes=found.passes,
            notes=changes.notes,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class NewStatistics(Changes):
    """What a recalibration changes in a checkpoint; `found` are the statistics of the data."""

    found: Statistics


def may_have_statistics(base: Checkpoint) -> bool:
    """Returns whether a model has batch normalisation, or layers of which its file tells too little to know."""
    return any(
        tensor.role == "moving_mean" or tensor.layer_class is None or built_in(tensor.layer_class) is None
        for tensor in base.weights
    )


def _changes(work: Recalibrating, edited: Edited, passes: Passes) -> Changes:
    """Returns the edits of the statistics, after running the model as the operations before leave it."""
    with silent_import():
        from wtool.training.data.reading import read_inputs
        from wtool.training.loading.load import load_to_run
        from wtool.training.recalibration.recalibrated import recalibrated
    base = edited.base
    with without_advice():
        model, variables = load_to_run(base, work.unsafe, work.by)
        _set_values(edited, variables)
        data = read_inputs(work.data, model, work.how.batch_size)
        found = recalibrated(model, variables, data, work.how, passes.look)
    weights = {tensor.path: tensor for tensor in base.weights}
    notes = [*(() if edited.values else base.notes), *found.notes]
    edits = tuple(Edit(weights[path], (), partial(_part, value.reshape(-1))) for path, value in found.values.items())
    return NewStatistics(
        edits=edits,
        actions=dict.fromkeys(found.values, Action("set", "set to that of the data")),
        notes=tuple(notes if found.layers or found.notes else [*notes, NOTHING]),
        found=found,
    )


def _set_values(edited: Edited, variables: Mapping[str, Any]) -> None:
    """Set the variables of a live model to the values that the operations before give its tensors."""
    for tensor in edited.base.weights:
        if tensor.path in edited.values and tensor.copy_of is None:
            if tensor.path not in variables:
                raise Refused(f"Keras loads the model without {tensor.path}")
            variables[tensor.path].assign(_value(edited, tensor))


def _value(edited: Edited, tensor: Tensor) -> Array:
    return edited.read(tensor, 0, prod(tensor.shape)).reshape(tensor.shape)


def _part(value: Array, blocks: Any, start: int, stop: int) -> Array:
    return value[start:stop]
