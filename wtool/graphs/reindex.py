"""Tensors whose positions along one axis are others than before: twice as many, or fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.schema.layers import PartialShape
from wtool.values import dataclass

MOST = 1 << 25
"""Positions along an axis; a flattened image of 512x512x64 has half as many."""


@dataclass(frozen=True, eq=False)
class Reindex:
    """A change of the positions along one axis of a tensor.

    Attributes:
        axis: of the tensor, counted from 0 with the batch.
        source: for each new position the old one whose value it holds, j; ~j (negative) where it is new: the linked
            counterpart of j.
        size: how many old positions there were.
    """

    axis: int
    source: Array
    size: int

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Reindex)
            and (self.axis, self.size) == (other.axis, other.size)
            and np.array_equal(self.source, other.source)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def grows(self) -> bool:
        """Whether some positions are new."""
        return bool((self.source < 0).any())

    def at(self, axis: int) -> Reindex:
        """Returns the same change along another axis."""
        return replace(self, axis=axis)

    def agrees(self, other: Reindex | None) -> bool:
        """Whether another tensor that is added to this one, position by position, has changed like this one."""
        return self == other

    def unmoved(self, size: int) -> Reindex:
        """Returns the positions of a tensor along the same axis that has not changed."""
        return unchanged(self.axis, size)

    def behind(self, before: Sequence[Reindex]) -> Reindex:
        """Returns the change of several tensors that are concatenated along the axis, this one the last of them."""
        parts = (*before, self)
        starts = np.cumsum([0, *(part.size for part in parts)])
        moved = [
            np.where(part.source < 0, ~(~part.source + start), part.source + start)
            for part, start in zip(parts, starts, strict=False)
        ]
        return Reindex(self.axis, np.concatenate(moved), int(starts[-1]))

    def through_linked(self) -> Reindex:
        """Returns the change of the output of a layer that is linked already: each half changes like the input."""
        size, source = self.size, self.source
        other = np.where(source < 0, ~(~source + size), source + size)
        return Reindex(self.axis, np.concatenate([source, other]), 2 * size)

    def shape(self, old: PartialShape) -> PartialShape:
        """Returns the shape of a tensor after the change."""
        return (*old[: self.axis], len(self.source), *old[self.axis + 1 :])

    def blocks(self, outer: int, inner: int) -> Reindex:
        """Returns the change of the axis into which this one is flattened.

        Args:
            outer, inner: positions of the axes before and behind this one that are flattened with it.
        """
        if outer == inner == 1:
            return self
        size = self.size
        _bounded(2 * outer * size * inner)
        first = np.arange(outer)[:, None, None] * size * inner
        old = np.where(self.source < 0, ~self.source, self.source)
        flat = first + old[None, :, None] * inner + np.arange(inner)[None, None, :]
        new = np.where(self.source[None, :, None] < 0, ~flat, flat)
        return Reindex(self.axis, new.reshape(-1), outer * size * inner)


def _bounded(size: int) -> int:
    if size > MOST:
        raise Refused(f"{size:,} positions along an axis are more than any model has")
    return size


def unchanged(axis: int, size: int) -> Reindex:
    """Every position where it was.

    Raises:
        Refused: a configuration claims more of them than any model has.
    """
    _bounded(size)
    return Reindex(axis, np.arange(size), size)


def linked(before: Reindex) -> Reindex:
    """Returns the change of the output of a layer that becomes linked: all positions, then the counterpart of each."""
    source = before.source
    return Reindex(before.axis, np.concatenate([source, np.where(source < 0, source, ~source)]), before.size)


def reshaped(before: Reindex, shape: PartialShape, target: PartialShape) -> Reindex | None:
    """Returns the change after a Reshape; None where the change does not stay within one axis.

    Args:
        before: the change of the tensor that is reshaped.
        shape, target: shapes of one example before and after, without the batch and with all sizes known.
    """
    at = before.axis - 1
    outer, inner = _product(shape[:at]), _product(shape[at + 1 :])
    for axis in reversed(range(len(target))):
        above, below = _product(target[:axis]), _product(target[axis + 1 :])
        if outer % above == 0 and inner % below == 0 and (target[axis] or 0) > 0:
            found = before.blocks(outer // above, inner // below)
            if found.size == target[axis]:
                return found.at(axis + 1)
    return None


def _product(sizes: Sequence[Any]) -> int:
    return prod(int(size) for size in sizes)


def at_new_positions(values: Array, axis: int, source: Array) -> Array:
    """Returns the old values at their new positions; new positions get the values of their counterparts."""
    return np.take(values, np.where(source < 0, ~source, source), axis=axis)


def fill_new_positions(values: Array, axis: int, source: Array, new: Any) -> None:
    """Set the new positions along an axis: to a number, or to the values of an array of the same shape."""
    at: tuple[Any, ...] = (slice(None),) * axis + (source < 0,)
    values[at] = new[at] if isinstance(new, np.ndarray) else new
