"""Packing as an operation: the same model, its arrays deflated inside its HDF5 files, or plain again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import GZIP, Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Refused
from wtool.io import tree
from wtool.io.gzip_size import gzip_size
from wtool.run.action import Action
from wtool.run.cast import casts_of, in_storage, refuse_dtype, under_policies
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.other_layers import stripped, under_policy, unmasked
from wtool.run.packed import Packed
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.schema.policies import Policies
from wtool.values import dataclass

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
        has_policy: whether all layers compute in that type as well.
        strip: take away the wrappers in which layers are pruned.
        rework: what is done to the model before; None where its layers stay.
    """

    compression: str
    drop_optimizer: bool = False
    dtype: str | None = None
    has_policy: bool = False
    strip: bool = False
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
        wrapped, notes = base, tuple[str, ...]()
        if self.strip:
            base, notes = stripped(wrapped)
            parameters["strip"] = True
        if self.dtype is not None:
            refuse_dtype(base, self.dtype)
            parameters["dtype"] = self.dtype
        policies = None
        if self.dtype is not None and self.has_policy:
            base, policies = under_policy(base, self.dtype)
            parameters["policy"] = True
        if self.drop_optimizer:
            parameters["optimizer"] = "drop"
        if self.rework is not None:
            parameters |= self.rework.parameters
        work_out = partial(self._changes, wrapped, notes, policies)
        operation = Operation(Record(NAME, parameters), (Operand(base, {"as": "model"}),), work_out)
        return Plan(base, (operation,))

    def _changes(
        self, wrapped: Checkpoint, notes: tuple[str, ...], policies: Policies | None, edited: Edited, passes: Passes
    ) -> Changes:
        if self.strip:
            notes = (*notes, *unmasked(wrapped))
        if self.rework is not None:
            made = self.rework.changes(edited.base)
            return replace(made, compression=self.compression, notes=(*notes, *made.notes))
        if self.dtype is None:
            return Changes(compression=self.compression, notes=notes)
        base, dtype = edited.base, self.dtype
        wanted = in_storage(base, dtype) if policies is None else under_policies(base, dtype, policies)
        casts, lost = casts_of(base, dtype, wanted)
        return Changes(compression=self.compression, casts=casts, notes=(*notes, *lost))

    def told(self, task: Task[Packed], plan: Plan, derived: Derived) -> Packed:
        """What was done to a model."""
        before = sum(source.size for source in plan.base.sources)
        after = None if task.output in (None, "-") else _size(str(task.output), plan.format)
        if derived.there is not None:
            return Packed(task.name, task.output, True, before, after)
        # To deflate pieces takes as long as all else; whoever makes arrays plain compares with nothing smaller.
        would_be = sum(map(gzip_size, plan.base.sources)) if self.compression == GZIP else None
        words = {"gzip": "is deflated where that saves bytes", "none": "is stored plain"}[self.compression]
        casts = derived.change.casts
        actions = {
            each.path: Action("stored", words) if cast is None else Action("recast", f"becomes {cast.new}, and {words}")
            for each in plan.base.tensors
            for cast in (casts.get((each.shard, each.stored)),)
        }
        actions |= derived.actions
        grown = _grown(before, after) if self.compression == GZIP else ()
        return Packed(task.name, task.output, False, before, after, would_be, actions, (*derived.notes, *grown))


def _grown(before: int, after: int | None) -> tuple[str, ...]:
    """Returns a note on a result that takes more bytes than its model."""
    if after is None or after <= before:
        return ()
    return (f"the result is {after - before:,} bytes larger: its arrays are too small to become smaller deflated",)


def _size(path: str, kind: str) -> int:
    """Returns the bytes of a model's files."""
    if kind != "weights.json" and not tree.is_folder(path):
        return tree.size_of(path) or 0
    with open_checkpoint(path) as made:
        return sum(source.size for source in made.sources)
