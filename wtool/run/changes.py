"""What becomes of the tensors of a checkpoint; and the checkpoint as it is after earlier changes of the same pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.run.action import Action
from wtool.run.pipeline import Apply, Edit
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.casting import Casts
    from wtool.checkpoint.composition import Composition
    from wtool.checkpoint.relabelling import Relabelled
    from wtool.checkpoint.structure import Structure

COUNTED = ("selected", "rewritten", "zeros")
"""What a record tells of the values of a result: see `Count`."""


@dataclass(slots=True)
class Count:
    """Of the values of a tensor that an operation is about: how many were written, and how many are zero now."""

    selected: int
    rewritten: int = 0
    zeros: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def add(self, rewritten: int, zeros: int) -> None:
        """Count the values of a block; blocks of one tensor may be counted at the same time."""
        with self._lock:
            self.rewritten += rewritten
            self.zeros += zeros

    def action(self) -> Action:
        """What became of the tensor; right only after its edit was done."""
        told = f"{self.rewritten:,} of {self.selected:,} rewritten; {self.zeros:,} are zero"
        return Action("rewritten", told, self.selected, self.rewritten, self.zeros)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What one operation makes of a checkpoint: edits of its tensors, another structure, or a model composed anew.

    Attributes:
        edits: of tensors that stay where they are in the file.
        structure: what the checkpoint becomes, in place of edits; None where its layers stay.
        relabelled: what a single HDF5 file is to say otherwise, in place of edits; None where its labels stay.
        composition: the model that is composed anew, in place of edits; None where the checkpoint keeps its format.
        compression: of the arrays in the result, as in `Checkpoint.compression`; None for that of the base.
        casts: arrays that get another number type, beside edits.
        uncounted: path of a tensor -> the same edit without counting, where an edit counts and changes something.
        counts: path of each tensor that the operation is about -> what its edit counts; empty where nothing is counted.
        actions: path of each tensor -> what becomes of it, without what is counted.
        notes: what is worth knowing, one line each.
        parameters: further parameters of the operation's record, known only now.
        more: further keys of the operation's record.
    """

    edits: tuple[Edit, ...] = ()
    structure: Structure | None = None
    relabelled: Relabelled | None = None
    composition: Composition | None = None
    compression: str | None = None
    casts: Casts = field(default_factory=dict)
    uncounted: Mapping[str, Edit] = field(default_factory=dict)
    counts: Mapping[str, Count] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def total(self, what: str) -> int:
        """A count over all tensors that the operation is about; `what` is one of `COUNTED`."""
        return sum(getattr(each, what) for each in self.counts.values())

    def told(self) -> dict[str, Action]:
        """Path of each tensor -> what became of it; right only after the edits were done."""
        counted = {path: each.action() for path, each in self.counts.items() if path in self.actions}
        return {**self.actions, **counted}

    def counted(self) -> dict[str, int]:
        """All counts; right only after the edits were done."""
        return {what: self.total(what) for what in COUNTED} if self.counts else {}

    def at_most(self) -> dict[str, int]:
        """Numbers that no count will be above, known before the edits are done."""
        return dict.fromkeys(self.counted(), self.total("selected"))


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """A checkpoint as the operations leave it that come before in the same pass: what the next one has for its base.

    Attributes:
        base: the open checkpoint.
        lineage: its records, and those of the operations before.
        others: the checkpoints that the edits read besides the base.
        values: path of each tensor with new values -> the edit that gives them, which may be done any number of times.
    """

    base: Checkpoint
    lineage: tuple[Record, ...] = ()
    others: tuple[Checkpoint, ...] = ()
    values: Mapping[str, Edit] = field(default_factory=dict)

    def checkpoints(self, others: Sequence[Checkpoint] = ()) -> tuple[Checkpoint, ...]:
        """What an edit of the values that the tensors have now reads, if it reads `others` besides them."""
        return (self.base, *self.others, *others)

    def read(self, tensor: Tensor, start: int, stop: int) -> Array:
        """The values [start, stop) that a tensor of the base has now, shape (stop - start,)."""
        edit = self.values.get(tensor.path)
        if edit is None:
            return self.base.read_range(tensor, start, stop)
        if edit.is_whole:
            whole: Array = self._new(edit, 0, prod(tensor.shape))
            return whole[start:stop]
        return self._new(edit, start, stop)

    def look(self, edit: Edit) -> Edit:
        """A look at the values that a tensor has now: the first block is what the operations before made of it."""
        return self._behind(edit, self._before(edit, self.values), edit.apply)

    def behind(self, new: Iterable[Edit], done: Mapping[str, Edit]) -> dict[str, Edit]:
        """Path of each target -> the edits that were `done` to it before and the new one, in one.

        A new edit takes the value that the tensor which it reads has now. If it reads its own target, the edit in
        `done` is part of it, so that what that one counts is counted once.
        """
        merged = dict(done)
        for edit in new:
            first = self._before(edit, done if edit.inputs[:1] == (edit.target,) else self.values)
            apply = edit.apply if first is None else partial(_or_before, edit.apply)
            merged[edit.target.path] = self._behind(edit, first, apply)
        return merged

    def then(self, changes: Changes, record: Record, others: Sequence[Checkpoint]) -> Edited:
        """The checkpoint as one more operation leaves it."""
        # An edit that counts, and is not among those without counting, does nothing else.
        paths = ((edit.target.path, edit) for edit in changes.edits)
        uncounted = (changes.uncounted.get(path, None if path in changes.counts else edit) for path, edit in paths)
        values = self.behind((edit for edit in uncounted if edit is not None), self.values)
        return replace(self, lineage=(*self.lineage, record), others=(*self.others, *others), values=values)

    def _new(self, edit: Edit, start: int, stop: int) -> Array:
        """What an edit makes of the range [start, stop) of its target."""
        pairs = zip(self.checkpoints(), edit.inputs, strict=False)
        blocks = [each.read_range(own, start, stop) for each, own in pairs if own is not None]
        new = edit.apply(blocks, start, stop)
        made: Array = blocks[0] if new is None else new
        return made

    def _before(self, edit: Edit, values: Mapping[str, Edit]) -> Edit | None:
        return values.get(edit.inputs[0].path) if edit.inputs and edit.inputs[0] is not None else None

    def _behind(self, edit: Edit, first: Edit | None, apply: Apply) -> Edit:
        others = edit.inputs[1:]
        own, between = (edit.inputs[:1], ()) if first is None else (first.inputs[:1], first.inputs[1:])
        gap = (None,) * (len(self.others) - len(between)) if others else ()
        if not own and others:
            own = (None,)  # the first edit reads nothing, or by itself
        if first is not None:
            count = sum(tensor is not None for tensor in first.inputs)
            apply = partial(_in_turn, first.apply, count, apply)
        is_whole = edit.is_whole or (first is not None and first.is_whole)
        return Edit(edit.target, (*own, *between, *gap, *others), apply, is_whole)


def _in_turn(first: Apply, count: int, second: Any, blocks: Sequence[Array], start: int, stop: int) -> Any:
    """Do two edits, the first of which reads the first `count` blocks, and the second its result and the others."""
    made = first(blocks[:count], start, stop)
    return second([blocks[0] if made is None else made, *blocks[count:]], start, stop)


def _or_before(apply: Apply, blocks: Sequence[Array], start: int, stop: int) -> Array:
    """The new block; where the edit leaves the values as they are, what the edits before made of them."""
    made = apply(blocks, start, stop)
    new: Array = blocks[0] if made is None else made
    return new
