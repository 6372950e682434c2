"""The averages that optimizers keep as an operation: they become the weights of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from math import prod

import numpy as np

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.checkpoint.optimizer.averages import WeightAverage, averages_of
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, a_few
from wtool.run import optimizer_rule
from wtool.run.action import KEPT, Action
from wtool.run.changes import COUNTED, Changes, Count, Edited
from wtool.run.derive import Derived
from wtool.run.moving_average import MovingAverage
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.selection import arithmetic
from wtool.run.statistics import is_normalising
from wtool.run.task import Task
from wtool.transforms.averaging import all_finite
from wtool.transforms.change import Change
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class TakingAverages:
    """The averages that the optimizer keeps become the weights.

    Attributes:
        optimizer: what becomes of the optimizer's state; one of `choices.OPTIMIZER_MODES`.
    """

    optimizer: str = "follow"

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model; a second time without its optimizer's state where the result has none."""
        own = opener.open(model, stack)
        if self.optimizer != "drop":
            return self.plan_of(own)
        if model == "-":
            raise Usage("a model from standard input is read once: --optimizer drop needs a file")
        return self.plan_of(stack.enter_context(open_checkpoint(model, drop_optimizer=True)), own)

    def plan_of(self, base: Checkpoint, state: Checkpoint | None = None) -> Plan:
        """What will be done to an open checkpoint.

        Args:
            base: the checkpoint that is changed.
            state: the same model with its optimizer's state, where the base leaves that out.
        """
        operands = [Operand(base, {"as": "model"})]
        if state is not None:
            operands.append(Operand(state, {"as": "averages"}))
        record = Record("ema", {"optimizer": self.optimizer})
        work_out = partial(_changes, self.optimizer, state or base)
        return Plan(base, (Operation(record, tuple(operands), work_out),))

    def told(self, task: Task[MovingAverage], plan: Plan, derived: Derived) -> MovingAverage:
        """What was done to a model; of a result that was there already, what its record says."""
        if derived.there is not None:
            told = derived.there.result.counts if derived.there.result is not None else {}
            selected, rewritten, zeros = (told.get(name, 0) for name in COUNTED)
            return MovingAverage(task.name, task.output, True, selected, rewritten, zeros)
        change = derived.change
        rewritten = change.total("rewritten")
        return MovingAverage(
            task.name,
            task.output,
            selected=change.total("selected"),
            rewritten=rewritten,
            zeros=change.total("zeros"),
            actions=change.told(),
            notes=(*change.notes, *(_moved(plan.base) if rewritten else (EQUAL,))),
        )


EQUAL = (
    "the weights equal their averages already, as Keras leaves them at the end of `fit`; they differ in files that are "
    "saved during training"
)


def _moved(base: Checkpoint) -> tuple[str, ...]:
    """A note on what is not averaged and should fit the averages."""
    if not any(map(is_normalising, base.weights)):
        return ()
    return (
        "the moving statistics of batch normalisation stay those of the weights that were trained; `wtool recalibrate` "
        "makes them those of the averages",
    )


def _changes(optimizer: str, state: Checkpoint, edited: Edited, passes: Passes) -> Changes:
    """What becomes of the tensors of a checkpoint whose optimizer's averages are in `state`."""
    base = edited.base
    averages = _checked(base, averages_of(state))
    counts = {path: Count(prod(averages[path].slot.shape)) for path in averages}
    pairs = [
        (tensor, averages[tensor.copy_of or tensor.path])
        for tensor in base.weights
        if (tensor.copy_of or tensor.path) in averages
    ]
    read = edited.read if state is base else state.read_range
    edits, uncounted = [], {}
    for tensor, average in pairs:
        new = partial(_average, read, tensor.path, average)
        edits.append(Edit(tensor, (tensor,), partial(_rewrite, new, counts.get(tensor.path))))
        uncounted[tensor.path] = Edit(tensor, (tensor,), partial(_rewrite, new, None))
    slots = _slots(optimizer, edited, averages, read, uncounted)
    averaged = {tensor.path for tensor, _ in pairs}
    without = [each.path for each in arithmetic(base.weights) if each.trainable and each.path not in averaged]
    rest = (f"the optimizer keeps no average of {a_few(without)}, which stay as they are",) if without else ()
    return Changes(
        edits=(*edits, *slots.edits),
        uncounted=uncounted,
        counts=counts,
        actions={tensor.path: _action(tensor, averages) for tensor in base.weights} | slots.actions,
        notes=(*base.notes, *rest, *slots.notes),
    )


def _checked(base: Checkpoint, averages: Mapping[str, WeightAverage]) -> Mapping[str, WeightAverage]:
    """The averages, if each can be written over its weight."""
    numbers = {tensor.path: tensor for tensor in arithmetic(base.weights)}
    for path, average in averages.items():
        weight = numbers.get(path)
        if weight is None or weight.shape != average.slot.shape:
            raise Refused(f"{average.slot.path} is no average of {path}: that is of another shape, or holds no numbers")
    return averages


def _action(tensor: Tensor, averages: Mapping[str, WeightAverage]) -> Action:
    original = tensor.copy_of or tensor.path
    return Action("follows", f"as {original}") if original in averages else KEPT


New = Callable[[Array, int, int], Array]
"""From the values [start, stop) of a weight to their averages."""


Read = Callable[[Tensor, int, int], Array]
"""Reads the values [start, stop) of a slot."""


def _average(read: Read, path: str, average: WeightAverage, weight: Array, start: int, stop: int) -> Array:
    new = average.values(weight, read(average.slot, start, stop))
    if not all_finite(new):
        raise Refused(f"the average of {path} holds NaN or infinite values")
    return new


def _rewrite(new: New, count: Count | None, blocks: Sequence[Array], start: int, stop: int) -> Array:
    made = new(blocks[0], start, stop)
    if count is not None:
        count.add(int(np.count_nonzero(made != blocks[0])), int(np.count_nonzero(made == 0)))
    return made


def _slots(
    optimizer: str,
    edited: Edited,
    averages: Mapping[str, WeightAverage],
    read: Read,
    rewritten: Mapping[str, Edit],
) -> optimizer_rule.Restart:
    """What the new weights mean for the optimizer."""
    base = edited.base
    if optimizer == "drop":
        return optimizer_rule.Restart((), {}, ("the optimizer's state is left out",))
    if optimizer == "keep":
        is_off = any(each.beta is not None for each in averages.values())
        note = "the schedule-free optimizer is kept as it was: training goes on from averages that are not its own"
        return optimizer_rule.Restart((), {each.path: KEPT for each in base.slots}, (note,) if is_off else ())
    if optimizer == "reset":
        return optimizer_rule.anew(base, rewritten)
    weights = {tensor.path: tensor for tensor in base.weights if tensor.path in averages}
    changes = {
        path: partial(_change, edited, tensor, partial(_average, read, path, averages[path]))
        for path, tensor in weights.items()
    }
    return optimizer_rule.followed_by_value(base, weights, changes)


def _change(edited: Edited, weight: Tensor, new: New, start: int, stop: int) -> Change:
    """The values of a weight that its average changes, and what they become."""
    old = edited.read(weight, start, stop)
    made = new(old, start, stop)
    where = made != old
    return Change(where, made[where])
