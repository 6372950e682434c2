"""Other values in a model without a patch file: tensors of another model, constants, and new names of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, a_few
from wtool.ops.counterparts import counterparts, with_names_of
from wtool.ops.given_values import Given, Words, edits_of, notes_of, opened
from wtool.ops.renaming import Renamed, composed, relabelled, renamed
from wtool.run import optimizer_rule
from wtool.run.action import KEPT, Action
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.patched import Patched
from wtool.run.patching import NAME
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.selection import arithmetic, selected
from wtool.run.task import Task
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Transplanting:
    """What models get.

    Attributes:
        source: path of the other model; None where no tensors are taken from one.
        include, exclude: take only tensors with paths like these, and none like those.
        values: which tensors get which numbers, or arrays of files.
        names: pairs of the path of a layer and its new name.
        optimizer: what becomes of the optimizer's state; one of `choices.OPTIMIZER_MODES`.
    """

    source: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    values: Words
    names: tuple[tuple[str, str], ...]
    optimizer: str

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model, and the other one where there is one."""
        base = opener.open(model, stack, drop_optimizer=self.optimizer == "drop")
        operands = [Operand(base, {"as": "model"})]
        if self.source is not None:
            other = stack.enter_context(open_checkpoint(self.source, like=base))
            if other.config is None and base.config is not None:  # weights alone do not tell all names
                other = with_names_of(other, base)
            operands.append(Operand(other, {"as": "from"}, "from"))
        others = tuple(each.checkpoint for each in operands[1:])
        given = opened(self.values, stack)
        record = Record(NAME, self._parameters(given))
        operation = Operation(record, tuple(operands), partial(_changes, self, given, others))
        return Plan(base, (operation,))

    def _parameters(self, given: Sequence[Given]) -> dict[str, Any]:
        told = {
            "rename": dict(self.names),
            "include": list(self.include),
            "exclude": list(self.exclude),
            "set": {each.pattern: each.told for each in given},
        }
        return {name: value for name, value in told.items() if value} | {"optimizer": self.optimizer}

    def told(self, task: Task[Patched], plan: Plan, derived: Derived) -> Patched:
        """What was done to a model."""
        if derived.there is not None:
            return Patched(task.name, task.output, skipped=True)
        changes = derived.change
        assert isinstance(changes, Transplanted)
        return Patched(
            task.name, task.output, False, changes.taken, dict(changes.left), dict(changes.actions), changes.notes
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Transplanted(Changes):
    """What becomes of a checkpoint: `taken` and `left` are those of `Patched`."""

    taken: tuple[str, ...]
    left: Mapping[str, str]


def names_in(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Returns the pairs of a layer's path and its new name that words such as `encoder/dense=head` tell.

    Raises:
        Usage: a word tells none, or two words tell of one layer.
    """
    pairs = [word.partition("=") for word in words]
    for word, (old, _, new) in zip(words, pairs, strict=True):
        if not old or not new or "/" in new or "=" in new:
            raise Usage(f"--rename {word}: write the path of a layer and a name without slashes, such as dense=head")
    found = {old: new for old, _, new in pairs}
    if len(found) < len(pairs):
        raise Usage("--rename: a layer is named twice")
    return tuple(found.items())


def _changes(
    work: Transplanting, given: Sequence[Given], others: tuple[Checkpoint, ...], edited: Edited, passes: Passes
) -> Changes:
    """What becomes of a checkpoint."""
    base = edited.base
    new = (
        renamed(base, dict(work.names))
        if work.names
        else Renamed(None, {each.path: each.path for each in base.tensors})
    )
    edits: dict[str, Edit] = {}
    actions = {new.paths[each.path]: KEPT for each in base.tensors}
    left: dict[str, str] = {}
    told: Sequence[str] = ()
    for other in others:
        taken, left, told = _taken(work, base, new, other)
        edits |= taken
        actions |= {new.paths[path]: _origin(edit, new.paths[path], other) for path, edit in taken.items()}
    constants = edits_of(given, base, new.paths)
    edits |= {edit.target.path: edit for edit, _ in constants}
    weights = {tensor.path: edits[tensor.path] for tensor in base.weights if tensor.path in edits}
    slots = _slots(work.optimizer, base, weights)
    edits = {edit.target.path: edit for edit in slots.edits} | edits
    actions |= {new.paths[path]: action for path, action in slots.actions.items()}
    actions |= {new.paths[edit.target.path]: each.action for edit, each in constants}
    written = {new.paths[path] for path in (*weights, *(edit.target.path for edit, _ in constants))}
    changes = Transplanted(
        edits=tuple(edits.values()),
        actions=actions,
        notes=(
            *base.notes,
            *(note for each in others for note in each.notes),
            *told,
            *slots.notes,
            *notes_of(constants),
        ),
        parameters={},
        taken=tuple(path for path in actions if path in written),
        left=left,
    )
    if not new.moved:
        return changes
    if base.format != "keras":
        return replace(changes, edits=(), relabelled=relabelled(base, new, changes.edits, others))
    return replace(changes, edits=(), composition=composed(base, new, changes.edits, others))


def _slots(mode: str, base: Checkpoint, edits: Mapping[str, Edit]) -> optimizer_rule.Restart:
    """What the new weights mean for the optimizer."""
    if mode == "drop":
        return optimizer_rule.Restart((), {}, ("the optimizer's state is left out",))
    if mode == "keep" or not base.slots or (mode == "follow" and not edits):
        return optimizer_rule.Restart((), {tensor.path: KEPT for tensor in base.slots}, ())
    is_all = all(tensor.path in edits for tensor in arithmetic(base.weights))
    return (optimizer_rule.anew if mode == "reset" or is_all else optimizer_rule.followed)(base, edits)


def _origin(edit: Edit, path: str, other: Checkpoint) -> Action:
    source = edit.inputs[1]
    where = "" if source is None or source.path == path else f"{source.path} of "
    return Action("taken", f"from {where}{other.name}")


def _taken(
    work: Transplanting, base: Checkpoint, new: Renamed, other: Checkpoint
) -> tuple[dict[str, Edit], dict[str, str], Sequence[str]]:
    """Returns the edits that take tensors of another model, path of each that is not taken -> the reason, and notes.

    Raises:
        Refused: no tensor of the other model fits.
        Usage: a pattern matches nothing.
    """
    own = {new.paths[tensor.path]: tensor for tensor in base.weights}
    found = counterparts(own, {tensor.path: tensor for tensor in other.weights}, other.name)
    unclear = {tensor.path: tensor for tensor in other.weights if tensor.path in found.unclear}
    all_paths = [replace(tensor, path=path) for path, tensor in {**found.added, **unclear, **own}.items()]
    wanted = {each.path for each in selected(all_paths, work.include, work.exclude)}
    edits, left = {}, {}
    for path in (each.path for each in all_paths if each.path in wanted):
        reason = found.unclear.get(path) or _misfit(own.get(path), found.pairs.get(path), base, other)
        if reason:
            left[path] = reason
        else:
            edits[own[path].path] = Edit(own[path], (None, found.pairs[path]), _same)
    if not edits:
        told = [f"{path} {reason}" for path, reason in left.items()]
        raise Refused(f"no tensor of {other.name} fits: {a_few(told) or 'there are none'}", base.name)
    for tensor in base.weights:  # what is stored a second time follows what it is a copy of
        if tensor.copy_of in edits:
            edits[tensor.path] = replace(edits[tensor.copy_of], target=tensor)
    return edits, left, found.notes


def _misfit(own: Tensor | None, other: Tensor | None, base: Checkpoint, source: Checkpoint) -> str | None:
    """Returns why a tensor cannot be taken from another model; None where it can."""
    if own is None:
        return f"is not in {base.name}"
    if other is None:
        return f"is not in {source.name}"
    if own.shape != other.shape:
        return f"has shape {other.shape} in {source.name}, and {own.shape} here"
    if own.dtype != other.dtype:
        return f"is {other.dtype} in {source.name}, and {own.dtype} here"
    return None


def _same(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[0]
