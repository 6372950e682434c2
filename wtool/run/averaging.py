"""An average as an operation on checkpoints: what is averaged, what is kept, and what becomes of the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.run import optimizer_rule
from wtool.run.changes import Changes, Edited
from wtool.run.matching import Match, match
from wtool.run.pipeline import Apply, Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.selection import arithmetic, selected
from wtool.transforms.averaging import COEFFICIENTS, all_finite, average, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Averaging:
    """An average of checkpoints, and how.

    Attributes:
        method: name of the coefficients in `transforms.averaging.COEFFICIENTS`.
        value: what the method takes besides the number of checkpoints; None where it takes nothing.
        include, exclude: average only tensors with paths like these, and none like those.
        optimizer: what becomes of it.
        allow_nonfinite: average NaN and infinities instead of refusing them.
        differing: paths of tensors that are kept although the checkpoints disagree; known after the run only.
    """

    method: str
    value: Any = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    optimizer: str = "follow"
    allow_nonfinite: bool = False
    differing: dict[str, None] = field(default_factory=dict)

    def coefficients(self, count: int) -> NDArray[np.float64]:
        """The coefficient of each of `count` checkpoints, oldest first, shape (count,), float64."""
        return COEFFICIENTS[self.method](count, *([] if self.value is None else [self.value]))

    def plan(self, checkpoints: Sequence[Checkpoint]) -> Plan:
        """What will be done to the newest of open checkpoints, which come oldest first."""
        shares = normalised(self.coefficients(len(checkpoints)))
        pairs = zip(checkpoints, shares, strict=True)
        operands = tuple(Operand(each, {"coefficient": share}, "averaged") for each, share in pairs)
        work_out = partial(_changes, self, tuple(checkpoints[:-1]))
        return Plan(checkpoints[-1], (Operation(self._record(), operands, work_out),))

    def kept_but_different(self) -> list[str]:
        """A note on what had to be kept although the checkpoints disagree; right only after the run."""
        paths = list(self.differing)
        return [f"the newest's {a_few(paths)} kept; older checkpoints have other values"] if paths else []

    def _record(self) -> Record:
        parameters = {} if self.value is None else {self.method: self.value}
        chosen = {"coefficients": self.method, **parameters, "optimizer": self.optimizer}
        if self.allow_nonfinite:  # or a run that refuses such values would take the result for its own
            chosen["allow_nonfinite"] = True
        globs = (("include", self.include), ("exclude", self.exclude))
        return Record("average", chosen | {name: list(patterns) for name, patterns in globs if patterns})


def _changes(work: Averaging, older: tuple[Checkpoint, ...], edited: Edited, passes: Passes) -> Changes:
    base, checkpoints = edited.base, (*older, edited.base)
    weights = work.coefficients(len(checkpoints))
    matches = [match(base, checkpoint) for checkpoint in older]
    rows = zip(base.weights, *(each.tensors for each in matches), strict=True)
    numbers = arithmetic(base.weights)
    chosen = {tensor.path for tensor in selected(numbers, work.include, work.exclude)}
    calculable = {tensor.path for tensor in numbers}
    averaged: dict[str, Edit] = {}
    watched: list[Edit] = []
    for column in rows:
        tensor = column[0]
        if tensor.path in chosen:
            averaged[tensor.path] = Edit(tensor, column, _averaging(work, column, weights, checkpoints))
        elif tensor.path not in calculable and older:
            watched.append(Edit(tensor, column, partial(_watch, work, tensor.path)))
    slots = _slots(work, base, averaged, is_all=len(chosen) == len(numbers))
    kept = {tensor.path: "kept from the newest" for tensor in base.weights}
    return Changes(
        edits=(*averaged.values(), *watched, *slots.edits),
        actions=kept | dict.fromkeys(averaged, "averaged") | slots.actions,
        notes=(
            *_notes(checkpoints, [*matches, Match(base.weights)], [averaged[path].target for path in averaged]),
            *slots.notes,
        ),
    )


def _slots(work: Averaging, base: Checkpoint, averaged: dict[str, Edit], is_all: bool) -> optimizer_rule.Restart:
    """What the average means for the optimizer."""
    if work.optimizer in ("follow", "reset") and base.slots:
        is_anew = work.optimizer == "reset" or is_all
        return (optimizer_rule.anew if is_anew else optimizer_rule.followed)(base, averaged)
    if work.optimizer == "drop":
        return optimizer_rule.Restart((), {}, ("the optimizer's state is left out",))
    if work.optimizer == "keep":
        return optimizer_rule.Restart((), {tensor.path: "kept from the newest" for tensor in base.slots}, ())
    return optimizer_rule.Restart((), {}, ())


def _notes(checkpoints: Sequence[Checkpoint], matches: Sequence[Match], chosen: Sequence[Tensor]) -> list[str]:
    told: dict[str, list[str]] = {}
    seen: set[tuple[int, int]] = set()
    for checkpoint, found in zip(checkpoints, matches, strict=True):
        again = ["the same file twice, which counts twice"] if checkpoint.sources[0].identity in seen else []
        seen.add(checkpoint.sources[0].identity)
        for note in (*checkpoint.notes, *([found.note] if found.note else []), *again):
            told.setdefault(note, []).append(checkpoint.name)
    notes = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}" for note, names in told.items()
    ]
    if len(checkpoints) == 1:
        notes.append("only one checkpoint: its average is itself")
    if len(checkpoints) > 1 and any(tensor.role in ("moving_mean", "moving_variance") for tensor in chosen):
        notes.append(
            "the moving statistics of batch normalisation are averaged too, but are not those of the averaged weights: "
            "run training data through the model in training mode, without training it, before it predicts"
        )
    return notes


def _averaging(
    work: Averaging, column: Sequence[Tensor], weights: NDArray[np.float64], checkpoints: Sequence[Checkpoint]
) -> Apply:
    """The mean of a tensor; `column` has the newest first, the checkpoints come oldest first."""
    size = prod(column[0].shape)

    def apply(blocks: Sequence[Array], start: int, stop: int) -> Array:
        terms = [*blocks[1:], blocks[0]]
        new = average(terms, weights, size, out=terms[0])
        if not work.allow_nonfinite and not all_finite(new):
            raise _nonfinite([*column[1:], column[0]], checkpoints, start, stop)
        return new

    return apply


def _nonfinite(columns: Sequence[Tensor], checkpoints: Sequence[Checkpoint], start: int, stop: int) -> Refused:
    for tensor, checkpoint in zip(columns, checkpoints, strict=True):
        if not all_finite(checkpoint.read_range(tensor, start, stop)):
            text = f"{tensor.path} holds NaN or infinite values; --allow-nonfinite averages them as well"
            return Refused(text, checkpoint.name)
    return Refused(f"the average of {columns[-1].path} is too large for {columns[-1].dtype}", checkpoints[-1].name)


def _watch(work: Averaging, path: str, blocks: Sequence[Array], start: int, stop: int) -> None:
    """Look whether the checkpoints have other values than the newest, whose are kept."""
    newest = blocks[0].view(np.uint8)
    if any(not np.array_equal(block.view(np.uint8), newest) for block in blocks[1:]):
        work.differing[path] = None
