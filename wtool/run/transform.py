"""A transform as an operation on checkpoints: what is selected, what changes in it, and how the optimizer follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field
from functools import partial
from math import prod

import numpy as np

from wtool.checkpoint.lineage import MASKS, Record, mask_origin, orders, own_records
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.dtypes import Array
from wtool.errors import Usage
from wtool.option import recorded_fields
from wtool.run import optimizer_rule
from wtool.run.action import KEPT, Action
from wtool.run.changes import COUNTED, Changes, Count, Edited
from wtool.run.derive import Derived
from wtool.run.masking import masking_of, new_masks
from wtool.run.matching import Match, match
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.selection import by_role
from wtool.run.task import Task
from wtool.run.transform_data import FileData, sites_of
from wtool.schema.layers import built_in
from wtool.transforms.change import Apply, Blocks, Change, Transform, put
from wtool.transforms.streams import CHUNK, overlaps
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Transformed:
    """What was done to a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        seed: of the random numbers; None where none were drawn.
        selected: how many values the operation was about.
        rewritten: how many of them it wrote.
        zeros: how many of them are zero now.
        actions: path of each tensor -> what became of it.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    seed: int | None = None
    selected: int = 0
    rewritten: int = 0
    zeros: int = 0
    actions: dict[str, Action] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transforming:
    """A transform of models, and how.

    Attributes:
        transform: what is done.
        initial: path of the initial checkpoint, for transforms that need one.
        include, exclude, weights, biases: which tensors; see `selection.by_role`.
        optimizer: what becomes of it.
        seed: of the random numbers.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        notes: what is worth knowing of the user's words, one line each.
    """

    transform: Transform
    initial: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    weights: bool = True
    biases: bool = False
    optimizer: str = "follow"
    seed: int = 0
    seed_is_given: bool = True
    notes: tuple[str, ...] = ()

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and the initial checkpoint where there is one."""
        of_initial, drop = self.transform.of_initial, self.optimizer == "drop"
        own = opener.open(model, stack, drop_optimizer=drop and not of_initial)
        if self.initial is None:
            return self.plan_of(own)
        other = stack.enter_context(open_checkpoint(self.initial, like=own, drop_optimizer=drop and of_initial))
        return self.plan_of(other, own) if of_initial else self.plan_of(own, other)

    def plan_of(self, base: Checkpoint, *others: Checkpoint) -> Plan:
        """What will be done to an open checkpoint.

        Args:
            base: the checkpoint that is changed: the initial one, if the transform is of that.
            others: the other one, where there is one.
        """
        roles = ("initial", "mask") if self.transform.of_initial else ("model", "initial")
        operands = [Operand(base, {"as": roles[0]})]
        for other in others:
            origin = mask_origin(other.lineage) if roles[1] == "mask" else {}
            operands.append(Operand(other, {"as": roles[1], **origin}, roles[1]))
        work_out = partial(_changes, self, tuple(others))
        return Plan(base, (Operation(self._record(), tuple(operands), work_out, not self.seed_is_given),))

    def _record(self) -> Record:
        """The lineage record, but for the inputs and the result."""
        parameters = recorded_fields(self.transform)
        parameters |= {"optimizer": self.optimizer, "weights": self.weights, "biases": self.biases}
        globs = (("include", self.include), ("exclude", self.exclude))
        parameters |= {name: list(patterns) for name, patterns in globs if patterns}
        return Record(self.transform.name, parameters, seed=self.seed if self.transform.is_random else None)

    def told(self, task: Task[Transformed], plan: Plan, derived: Derived) -> Transformed:
        """What was done to a model; of a result that was there already, what its record says."""
        if derived.there is not None:
            told = derived.there.result.counts if derived.there.result is not None else {}
            selected, rewritten, zeros = (told.get(name, 0) for name in COUNTED)
            seed = derived.there.seed
            return Transformed(task.name, task.output, True, seed, selected, rewritten, zeros, notes=self.notes)
        change = derived.change
        return Transformed(
            task.name,
            task.output,
            seed=self.seed if self.transform.is_random else None,
            selected=change.total("selected"),
            rewritten=change.total("rewritten"),
            zeros=change.total("zeros"),
            actions=change.told(),
            notes=(*self.notes, *change.notes),
        )


def _changes(work: Transforming, others: tuple[Checkpoint, ...], edited: Edited, passes: Passes) -> Changes:
    """What a transform changes in a checkpoint; looks at the tensors as far as the transform must."""
    base, transform = edited.base, work.transform
    found = [match(base, other) for other in others]
    columns = _columns(base, found)
    chosen = by_role(base.weights, work.include, work.exclude, work.weights, work.biases)
    if not chosen:
        raise Usage("nothing is selected; --weights, --biases and --include say what is")
    own = [columns[tensor.path] for tensor in chosen]
    sites = sites_of((base, *others), own, transform.of_initial, transform.reads_axes, work.include)
    masking, dropped = masking_of(transform, edited, others, columns, {tensor.path for tensor in chosen})
    data = FileData(edited, others, columns, sites, passes, masking)
    earlier = sum(record.operation == transform.name for record in own_records(edited.lineage))
    prepared = transform.prepare(data, work.seed, earlier)
    emptied = {tensor.path for tensor in _zeroed_biases(work, base, chosen)}
    told = {path: masking.change(path, change) for path, change in prepared.changes.items()}
    masks = new_masks(transform, masking, data, told, edited.lineage)
    changes = {**told, **dict.fromkeys(emptied, _emptied)}
    counts = {tensor.path: Count(prod(tensor.shape)) for tensor in chosen}
    slots = _slots(work, data, changes)
    uncounted = _edits(base, columns, changes, {})
    return Changes(
        edits=(*_edits(base, columns, changes, counts), *slots.edits),
        uncounted={edit.target.path: edit for edit in uncounted},
        counts=counts,
        actions={tensor.path: _action(tensor, changes, emptied) for tensor in base.weights} | slots.actions,
        notes=(
            *(note for each in (base, *others) for note in each.notes),
            *(each.note for each in found if each.note),
            *_disorder(*((others[0], base) if transform.of_initial else (base, *others))),
            *prepared.notes,
            *dropped,
            *masks.notes,
            *slots.notes,
        ),
        more={MASKS: masks.entries} if masks.entries else {},
    )


def _disorder(model: Checkpoint, *initial: Checkpoint) -> list[str]:
    """A note on a model whose channels are in another order than those of the initial checkpoint."""
    lost = [each.name for each in initial if set(orders(model.lineage)) - set(orders(each.lineage))]
    told = f"{model.name} has its channels in another order, by wtool align, than {lost[0]}" if lost else ""
    return [f"{told}: weights at the same position are not of the same channel"] if lost else []


def _columns(base: Checkpoint, found: Sequence[Match]) -> dict[str, tuple[Tensor, ...]]:
    """Path of each weight of the base -> the weight, and those of the other checkpoints that stand for it."""
    rows = zip(base.weights, *(each.tensors for each in found), strict=True)
    return {row[0].path: row for row in rows}


def _edits(
    base: Checkpoint,
    columns: Mapping[str, tuple[Tensor, ...]],
    changes: Mapping[str, Apply],
    counts: Mapping[str, Count],
) -> list[Edit]:
    """The edits of weights. A tensor that is a copy of another one changes like that."""
    edits = []
    for tensor in base.weights:
        change, count = changes.get(tensor.copy_of or tensor.path), counts.get(tensor.path)
        if change is not None:
            edits.append(Edit(tensor, columns[tensor.path], partial(_rewrite, change, count or Count(0))))
        elif count is not None:
            edits.append(Edit(tensor, columns[tensor.path], partial(_look_only, count)))
    return edits


def _action(tensor: Tensor, changes: Mapping[str, Apply], emptied: set[str]) -> Action:
    original = tensor.copy_of or tensor.path
    if original not in changes:
        return KEPT
    return Action("set", "set to 0") if tensor.path in emptied else Action("follows", f"as {original}")


def _zeroed_biases(work: Transforming, base: Checkpoint, chosen: Sequence[Tensor]) -> list[Tensor]:
    """The biases beside the chosen kernels, where the operation empties them and they are not chosen themselves.

    In a layer of its author's own class, a vector only counts as a bias by its rank. It may as well be a scale, which
    zeros would silence for good, so it keeps its initial values.
    """
    if work.biases or not work.transform.empties_biases:
        return []
    layers = {tensor.layer for tensor in chosen}
    biases = by_role(base.weights, (), work.exclude, kernels=False, biases=True)
    return [tensor for tensor in biases if tensor.layer in layers and _is_surely_a_bias(tensor)]


def _is_surely_a_bias(tensor: Tensor) -> bool:
    if tensor.layer_class is None:
        return tensor.path.endswith("bias")
    return built_in(tensor.layer_class) is not None


def _emptied(blocks: Blocks, start: int) -> Change:
    return Change(None, blocks[0].dtype.type(0))


def _look_only(count: Count, blocks: Sequence[Array], start: int, stop: int) -> None:
    """Count the zeros of a tensor in which nothing changes."""
    count.add(0, int(np.count_nonzero(blocks[0] == 0)))


def _rewrite(change: Apply, count: Count, blocks: Sequence[Array], start: int, stop: int) -> Array:
    """Make the change in the first of the blocks, in parts that stay in the cache."""
    values = blocks[0]
    rewritten = zeros = 0
    for number, first, last in overlaps(start, stop):
        low, high = number * CHUNK + first, number * CHUNK + last
        part = [block[low - start : high - start] for block in blocks]
        made = change(part, low)
        put(part[0], made)
        rewritten += _how_many(made.where, len(part[0]))
        zeros += int(np.count_nonzero(part[0] == 0))
    count.add(rewritten, zeros)
    return values


def _how_many(where: Array | None, size: int) -> int:
    if where is None:
        return size
    return int(np.count_nonzero(where)) if where.dtype == np.bool_ else len(where)


def _slots(work: Transforming, data: FileData, changes: Mapping[str, Apply]) -> optimizer_rule.Restart:
    """What the operation means for the optimizer."""
    base = data.edited.base
    if work.optimizer == "drop":
        return optimizer_rule.Restart((), {}, ("the optimizer's state is left out",))
    if work.optimizer == "keep" or not base.slots:
        return optimizer_rule.Restart((), {tensor.path: KEPT for tensor in base.slots}, ())
    if work.optimizer == "reset":
        named = {tensor.path: tensor for tensor in base.weights}
        edits = {
            path: Edit(named[path], data.columns[path], partial(_rewrite, change, Count(0)))
            for path, change in changes.items()
        }
        return optimizer_rule.anew(base, edits)
    columns = {path: data.columns[path][0] for path in changes}
    followed = {path: partial(data.changed, path, change) for path, change in changes.items()}
    return optimizer_rule.followed_by_value(base, columns, followed)
