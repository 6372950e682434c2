"""Packing as an operation: the same model, its arrays deflated inside its HDF5 files, or plain again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Refused
from wtool.io.gzip_size import gzip_size
from wtool.run.cast import casts_of, refuse_dtype
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.packed import Packed
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task

NAME = "pack"


@dataclass(frozen=True, slots=True)
class Rework:
    """What is done to a model before it is packed.

    Attributes:
        parameters: what the lineage tells of it.
        changes: gives what becomes of an open model.
    """

    parameters: Mapping[str, object]
    changes: Callable[[Checkpoint], Changes]


@dataclass(frozen=True, slots=True)
class Packing:
    """How a model is packed.

    Attributes:
        compression: of its arrays; one of `choices.COMPRESSIONS`.
        drop_optimizer: leave the state of the optimizer out.
        dtype: in which the weights are stored; None for that of each.
        rework: what is done to the model before; None where its layers stay.
    """

    compression: str
    drop_optimizer: bool = False
    dtype: str | None = None
    rework: Rework | None = None

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and plan its other storage.

        Raises:
            Refused: the format of the model stores arrays in one way only.
        """
        base = opener.open(model, stack, drop_optimizer=self.drop_optimizer)
        if base.format == "safetensors":
            raise Refused("safetensors files hold plain arrays alone; `wtool convert` makes an HDF5 file of it")
        parameters: dict[str, object] = {"compression": self.compression}
        if self.dtype is not None:
            refuse_dtype(base, self.dtype)
            parameters["dtype"] = self.dtype
        if self.drop_optimizer:
            parameters["optimizer"] = "drop"
        if self.rework is not None:
            parameters |= self.rework.parameters
        operation = Operation(Record(NAME, parameters), (Operand(base, {"as": "model"}),), self._changes)
        return Plan(base, (operation,))

    def _changes(self, edited: Edited, passes: Passes) -> Changes:
        if self.rework is not None:
            return replace(self.rework.changes(edited.base), compression=self.compression)
        if self.dtype is None:
            return Changes(compression=self.compression)
        casts, notes = casts_of(edited.base, self.dtype)
        return Changes(compression=self.compression, casts=casts, notes=notes)

    def told(self, task: Task[Packed], plan: Plan, derived: Derived) -> Packed:
        """What was done to a model."""
        before = sum(source.size for source in plan.base.sources)
        after = None if task.output in (None, "-") else _size(str(task.output), plan.format)
        if derived.there is not None:
            return Packed(task.model, task.output, True, before, after)
        would_be = sum(gzip_size(source) for source in plan.base.sources)
        words = {"gzip": "is deflated where that saves bytes", "none": "is stored plain"}[self.compression]
        casts = derived.change.casts
        actions = {
            each.path: f"becomes {self.dtype}, and {words}" if (each.shard, each.stored) in casts else words
            for each in plan.base.tensors
        }
        actions |= derived.actions
        return Packed(task.model, task.output, False, before, after, would_be, actions, derived.notes)


def _size(path: str, kind: str) -> int:
    """Returns the bytes of a model's files."""
    if kind != "weights.json" and not os.path.isdir(path):
        return os.stat(path).st_size
    with open_checkpoint(path) as made:
        return sum(source.size for source in made.sources)
