"""Packing as an operation: the same model, its arrays deflated inside its HDF5 files, or plain again."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Refused
from wtool.io.gzip_size import gzip_size
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.packed import Packed
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task

NAME = "pack"


@dataclass(frozen=True, slots=True)
class Packing:
    """How a model is packed.

    Attributes:
        compression: of its arrays; one of `choices.COMPRESSIONS`.
        drop_optimizer: leave the state of the optimizer out.
    """

    compression: str
    drop_optimizer: bool = False

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and plan its other storage.

        Raises:
            Refused: the format of the model stores arrays in one way only.
        """
        base = opener.open(model, stack, drop_optimizer=self.drop_optimizer)
        if base.format == "safetensors":
            raise Refused("safetensors files hold plain arrays alone; `wtool convert` makes an HDF5 file of it")
        parameters: dict[str, object] = {"compression": self.compression}
        if self.drop_optimizer:
            parameters["optimizer"] = "drop"
        operation = Operation(Record(NAME, parameters), (Operand(base, {"as": "model"}),), self._changes)
        return Plan(base, (operation,))

    def _changes(self, edited: Edited, passes: Passes) -> Changes:
        return Changes(compression=self.compression)

    def told(self, task: Task[Packed], plan: Plan, derived: Derived) -> Packed:
        """What was done to a model."""
        before = sum(source.size for source in plan.base.sources)
        after = None if task.output in (None, "-") else _size(str(task.output), plan.format)
        if derived.there is not None:
            return Packed(task.model, task.output, True, before, after)
        would_be = sum(gzip_size(source) for source in plan.base.sources)
        words = {"gzip": "is deflated where that saves bytes", "none": "is stored plain"}[self.compression]
        actions = {tensor.path: words for tensor in plan.base.tensors}
        return Packed(task.model, task.output, False, before, after, would_be, actions)


def _size(path: str, kind: str) -> int:
    """Returns the bytes of a model's files."""
    if kind != "weights.json":
        return os.stat(path).st_size
    with open_checkpoint(path) as made:
        return sum(source.size for source in made.sources)
