"""How the optimizer follows the weights: what becomes of its variables when an operation rewrote weights.

Old momentum would pull new weights back to where the old ones were going; a zero second moment under a large step count
would make Adam's next steps ten times too long. So what starts anew starts anew together, step count included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wtool.dtypes import Array, dtype_of, is_floating
from wtool.files.checkpoint import Checkpoint, Tensor
from wtool.pipeline import Apply, Edit

KEPT = frozenset({"learning_rate", "dynamic_scale"})
"""Settings rather than state: they say how the user trains, not what happened so far."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Edits of optimizer variables, path -> what becomes of it, and what is worth knowing."""

    edits: tuple[Edit, ...]
    actions: dict[str, str]
    notes: tuple[str, ...]


def anew(checkpoint: Checkpoint, rewritten: Mapping[str, Edit]) -> Restart:
    """Start the optimizer from the beginning, for an operation that rewrote every weight.

    Args:
        checkpoint: whose optimizer it is.
        rewritten: path -> edit of the weights; their moving averages (EMA slots) take the same new values.
    """
    edits: list[Edit] = []
    actions: dict[str, str] = {}
    notes: list[str] = []
    for tensor in checkpoint.slots:
        new, action = _anew(tensor, rewritten)
        actions[tensor.path] = action
        edits.extend([new] if new else [])
    unknown = [tensor.path for tensor in checkpoint.slots if actions[tensor.path] == "kept: not understood"]
    if unknown:
        notes.append(f"kept {', '.join(unknown)}: the file does not tell what it is to the optimizer")
    schedule = _schedule(checkpoint)
    if schedule:
        notes.append(f"the learning-rate schedule ({schedule}) starts again, since the step count is 0 now")
    return Restart(tuple(edits), actions, tuple(notes))


def _anew(tensor: Tensor, rewritten: Mapping[str, Edit]) -> tuple[Edit | None, str]:
    slot = tensor.slot
    if slot is None or slot.name in KEPT:
        return None, "kept"
    if slot.name == "average":
        if slot.weight is not None and slot.weight in rewritten:
            edit = rewritten[slot.weight]
            return Edit(tensor, edit.inputs, edit.apply), f"as the new {slot.weight}"
        return None, "kept: not understood" if slot.weight is None else "kept, as its weight"
    if slot.name == "unknown" and not tensor.shape and is_floating(tensor.dtype):
        return None, "kept: not understood"
    return Edit(tensor, (), _constant(tensor, slot.initial)), f"set to {slot.initial:g}"


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
