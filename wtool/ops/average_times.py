"""At which times of a training its checkpoints were saved: from their optimizers, their names, or their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from wtool.checkpoint.model import Checkpoint
from wtool.errors import Usage
from wtool.ops.numbered_names import EPOCH, STEP, counts
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """When checkpoints were saved.

    Attributes:
        values: time of each, oldest first; above 0, and growing.
        kind: what the times are: `step` (counted by the optimizer), `number` (in the name) or `position`.
        notes: which times were taken, and why no better ones.
    """

    values: tuple[int, ...]
    kind: str
    notes: tuple[str, ...]


def step_of(checkpoint: Checkpoint) -> int | None:
    """Returns how many steps a checkpoint's optimizer has counted; None where the file does not tell.

    An optimizer around another one counts steps too, also those that it left out, so the larger number is taken.
    """
    counters = [each for each in checkpoint.slots if each.slot is not None and each.slot.name == "iteration"]
    found = [int(checkpoint.read(each)) for each in counters if each.shape == () and "int" in each.dtype]
    return max(found, default=None)


def times_of(checkpoints: Sequence[Checkpoint], steps: Sequence[int | None]) -> Times:
    """Returns the times of checkpoints, all of one kind: steps, or else numbers in names, or else positions.

    Args:
        checkpoints: oldest first.
        steps: of their optimizers; None where a file does not tell.

    Raises:
        Usage: all checkpoints tell their times, but these do not grow in the order of the checkpoints.
    """
    names = [each.name for each in checkpoints]
    known = [each for each in steps if each]
    if len(known) == len(names) and _grow(known):
        return Times(tuple(known), "step", (f"times are the optimizers' step counts: {_range(known)}",))
    if len(known) == len(names):
        why = f"the optimizers' step counts do not grow ({_fall(known, names)})"
    else:
        untold = names[[bool(each) for each in steps].index(False)]
        why = f"{untold} holds no step count"
    try:
        numbers = counts(names, STEP if _has_steps(names) else EPOCH)
    except Usage as error:
        if len(known) == len(names):
            raise Usage(f"{why}; see --order") from None
        numbers, unclear = [], str(error)
    if numbers and numbers[0] > 0 and _grow(numbers):
        return Times(tuple(numbers), "number", (f"times are the numbers in the names: {_range(numbers)}; {why}",))
    if numbers:
        told = f"{names[0]}: 0" if numbers[0] == 0 and _grow(numbers) else _fall(numbers, names)
        raise Usage(f"{why}, and the numbers in the names do not grow from above 0 ({told}); see --order")
    positions = range(1, len(names) + 1)
    return Times(tuple(positions), "position", (f"times are the positions: {_range(positions)}; {why}, and {unclear}",))


def _has_steps(names: Sequence[str]) -> bool:
    return any(word in name.lower() for name in names for word in ("step", "iter"))


def _grow(values: Sequence[int]) -> bool:
    return all(left < right for left, right in pairwise(values))


def _fall(values: Sequence[int], names: Sequence[str]) -> str:
    pairs = pairwise(zip(values, names, strict=True))
    return next((f"{a}: {left:,}, {b}: {right:,}" for (left, a), (right, b) in pairs if left >= right), "")


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,} to {values[-1]:,}" if len(values) > 1 else f"{values[0]:,}"
