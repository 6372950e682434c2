"""How the optimizer follows the weights: what becomes of its variables when an operation rewrote weights.

Old momentum would pull new weights back to where the old ones were going; a zero second moment under a large step count
would make Adam's next steps ten times too long. So where every weight is new, everything starts anew together, step
count included; where single values are, only their first moments do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, dtype_of, is_floating
from wtool.errors import a_few
from wtool.run.action import KEPT, Action
from wtool.run.pipeline import Apply, Edit
from wtool.schema.optimizers import is_setting, rule_of
from wtool.transforms.change import Change, put
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Restart:
    """Edits of optimizer variables, path -> what becomes of it, and what is worth knowing."""

    edits: tuple[Edit, ...]
    actions: dict[str, Action]
    notes: tuple[str, ...]


def anew(checkpoint: Checkpoint, rewritten: Mapping[str, Edit]) -> Restart:
    """Start the optimizer from the beginning, for an operation that rewrote every weight.

    An optimizer whose variables the file does not tell is kept whole: half a restart would be worse than none.

    Args:
        checkpoint: whose optimizer it is.
        rewritten: path -> edit of the weights; their moving averages (EMA slots) take the same new values.
    """
    unknown = [tensor.path for tensor in checkpoint.slots if _is_unknown(tensor, rewritten)]
    if unknown:
        actions = {tensor.path: Action("kept", "kept: not understood") for tensor in checkpoint.slots}
        note = f"the optimizer is kept as it is: the file does not tell what {a_few(unknown)} are to it"
        return Restart((), actions, (f"{note}; --optimizer drop leaves it out",))
    edits, actions = _edits((tensor, _restarted(tensor, rewritten)) for tensor in checkpoint.slots)
    schedule = _schedule(checkpoint)
    again = f"the learning-rate schedule ({schedule}) starts again, since the step count is 0 now"
    return Restart(edits, actions, (again,) if schedule else ())


def followed(checkpoint: Checkpoint, rewritten: Mapping[str, Edit]) -> Restart:
    """Let the optimizer follow an operation that rewrote some weights whole: only their own momentum becomes zero.

    Second moments and the step count stay, so that the next steps are no longer than they were.
    """
    edits, actions = _edits((tensor, _following(tensor, rewritten)) for tensor in checkpoint.slots)
    return Restart(edits, actions, ())


def followed_by_value(
    checkpoint: Checkpoint, weights: Mapping[str, Tensor], changes: Mapping[str, Callable[[int, int], Change]]
) -> Restart:
    """Let the optimizer follow an operation that rewrote single values: their momentum becomes zero.

    Second moments and the step count stay. Moving averages of weights (EMA slots) take the new values.

    Args:
        checkpoint: whose optimizer it is.
        weights: path -> the tensors that the operation is about.
        changes: path -> from a range of its elements to what changes in them.
    """
    edits, actions = _edits((tensor, _following_values(tensor, weights, changes)) for tensor in checkpoint.slots)
    unclear = [tensor.path for tensor in checkpoint.slots if _is_unclear(tensor)]
    note = f"the file does not tell what {a_few(unclear)} are to the optimizer: kept as they are"
    return Restart(edits, actions, (f"{note}; --optimizer drop leaves them out",) if unclear and changes else ())


def _following_values(
    tensor: Tensor, weights: Mapping[str, Tensor], changes: Mapping[str, Callable[[int, int], Change]]
) -> Decision:
    slot = tensor.slot
    if slot is None or slot.weight is None or slot.weight not in changes:
        return None, KEPT
    if tensor.shape != weights[slot.weight].shape:
        return None, KEPT
    change, becomes = changes[slot.weight], rule_of(slot.name).rewritten
    if becomes == "weight":
        return Edit(tensor, (tensor,), partial(_changed, change)), Action("follows", f"the new values of {slot.weight}")
    if becomes == "zero":
        return Edit(tensor, (tensor,), partial(_forgotten, change)), Action("reset", f"0 where {slot.weight} changed")
    return None, KEPT


def _changed(change: Callable[[int, int], Change], blocks: Sequence[Array], start: int, stop: int) -> Array:
    put(blocks[0], change(start, stop))
    return blocks[0]


def _forgotten(change: Callable[[int, int], Change], blocks: Sequence[Array], start: int, stop: int) -> Array:
    put(blocks[0], Change(change(start, stop).where, blocks[0].dtype.type(0)))
    return blocks[0]


Decision = tuple["Edit | None", Action]


def _edits(decided: Iterable[tuple[Tensor, Decision]]) -> tuple[tuple[Edit, ...], dict[str, Action]]:
    decisions = list(decided)
    edits = tuple(edit for _, (edit, _) in decisions if edit is not None)
    return edits, {tensor.path: action for tensor, (_, action) in decisions}


def _is_unknown(tensor: Tensor, rewritten: Mapping[str, Edit]) -> bool:
    if tensor.slot is None or not tensor.shape:
        return False
    if rule_of(tensor.slot.name).rewritten == "weight":
        return tensor.slot.weight is None or not _takes_values(tensor, rewritten)
    return _is_unclear(tensor)


def _is_unclear(tensor: Tensor) -> bool:
    """Whether the file does not tell what a slot is, or whose."""
    if tensor.slot is None or not tensor.shape:
        return False
    name = tensor.slot.name
    nameless = name == "unknown" or re.fullmatch(r"slot\d+", name) is not None
    return nameless or (tensor.slot.weight is None and rule_of(name).rewritten != "kept")


def _takes_values(tensor: Tensor, rewritten: Mapping[str, Edit]) -> bool:
    """Whether a moving average can hold what is written to its weight: kept weights need nothing."""
    weight = tensor.slot.weight if tensor.slot else None
    edit = rewritten.get(weight) if weight is not None else None
    return edit is None or (tensor.shape, tensor.dtype) == (edit.target.shape, edit.target.dtype)


def _restarted(tensor: Tensor, rewritten: Mapping[str, Edit]) -> Decision:
    slot = tensor.slot
    if slot is None or is_setting(slot.name) or (slot.name == "unknown" and is_floating(tensor.dtype)):
        return None, KEPT
    if rule_of(slot.name).rewritten == "weight":
        return _averaged(tensor, rewritten)
    return Edit(tensor, (), _constant(tensor, slot.initial)), Action("reset", f"set to {slot.initial:g}")


def _following(tensor: Tensor, rewritten: Mapping[str, Edit]) -> Decision:
    slot = tensor.slot
    if slot is None or slot.weight not in rewritten:
        return None, KEPT
    if rule_of(slot.name).rewritten == "weight" and _takes_values(tensor, rewritten):
        return _averaged(tensor, rewritten)
    if rule_of(slot.name).rewritten == "zero":
        return Edit(tensor, (), _constant(tensor, 0.0)), Action("reset", "set to 0")
    return None, KEPT


def _averaged(tensor: Tensor, rewritten: Mapping[str, Edit]) -> Decision:
    """A moving average of a weight takes the weight's new values."""
    weight = tensor.slot.weight if tensor.slot else None
    if weight is None or weight not in rewritten:
        return None, KEPT
    return replace(rewritten[weight], target=tensor), Action("follows", f"as the new {weight}")


def _constant(tensor: Tensor, value: float) -> Apply:
    dtype = dtype_of(tensor.dtype)

    def apply(blocks: Sequence[Array], start: int, stop: int) -> Array:
        return np.full(stop - start, value, dtype)

    return apply


def _schedule(checkpoint: Checkpoint) -> str | None:
    """Class of the optimizer's learning-rate schedule, if it has one."""
    optimizer = checkpoint.contents.optimizer
    rate = optimizer.config.get("learning_rate") if optimizer else None
    name = rate.get("class_name") if isinstance(rate, dict) else None
    return name if isinstance(name, str) else None
