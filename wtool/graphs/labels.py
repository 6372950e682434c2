"""Labels of channels: which channel stands at each position of a tensor, and which labels are of one channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wtool.dtypes import Array
from wtool.graphs.reindex import Reindex, unchanged
from wtool.values import dataclass


class Book:
    """Every label that was given out, and what was found out about the channels that have them.

    Labels are numbers from 0. Two labels are of one channel where their tensors are added up or share weights.
    """

    def __init__(self) -> None:
        self.size = 0
        self.bound: list[tuple[Array, str]] = []
        self.mixed: list[tuple[Array, str]] = []
        self._pairs: list[tuple[Array, Array]] = []

    def fresh(self, size: int) -> Array:
        """Returns labels that nobody has yet, shape (size,)."""
        start, self.size = self.size, self.size + size
        return start + unchanged(0, size).source

    def unite(self, one: Array, other: Array) -> None:
        """Note that two tensors of labels have the same channels, position by position."""
        if one is not other:
            self._pairs.append((one, other))

    def bind(self, labels: Array, why: str) -> None:
        """Note that channels must stay, and why."""
        self.bound.append((labels, why))

    def mix(self, labels: Array, why: str) -> None:
        """Note that a layer works on channels together, and which one."""
        self.mixed.append((labels, why))

    def channels(self) -> Array:
        """Returns the channel of each label: the smallest of its labels, shape (size,)."""
        return components(self.size, self._pairs)


def components(size: int, pairs: Sequence[tuple[Array, Array]]) -> Array:
    """Returns the connected component of each of `size` points: the smallest number of a point in it, shape (size,).

    Args:
        size: how many points there are.
        pairs: pairs of arrays of one length; the points at one position are connected.
    """
    found = np.arange(size)
    if not pairs:
        return found
    one, other = (np.concatenate(each) for each in zip(*pairs, strict=True))
    ends = np.stack(np.divmod(np.unique(one * size + other), size))  # as numbers, since sorting columns is slow
    while True:
        low, high = np.sort(found[ends], axis=0)
        if np.array_equal(low, high):
            return found
        np.minimum.at(found, high, low)
        while not np.array_equal(found, found[found]):  # everybody points at the root
            found = found[found]


@dataclass(frozen=True, eq=False)
class Carried(Reindex):
    """Something of each position along one axis of a tensor, which goes through a graph by the rules for changes.

    `source` has it instead of old positions.
    """

    def behind(self, before: Sequence[Reindex]) -> Reindex:
        """Returns what several tensors carry, one behind the other."""
        whole = np.concatenate([part.source for part in (*before, self)])
        return replace(self, source=whole, size=len(whole))

    def blocks(self, outer: int, inner: int) -> Reindex:
        """Returns what is carried along the axis into which this one is flattened, with the axes around it."""
        size = len(unchanged(0, outer * self.size * inner).source)  # refuses sizes that no model has
        whole = np.broadcast_to(self.source[None, :, None], (outer, self.size, inner)).reshape(-1)
        return replace(self, source=whole, size=size)


@dataclass(frozen=True, eq=False)
class Labels(Carried):
    """The labels along one axis of a tensor.

    Tensors that must change alike have the same channels, and what does not change has channels that stay.
    """

    book: Book

    def agrees(self, other: Reindex | None) -> bool:
        """Note that a tensor which is added to this one has the same channels; says whether it has labels."""
        if not isinstance(other, Labels) or len(other.source) != len(self.source):
            return False
        self.book.unite(self.source, other.source)
        return True

    def unmoved(self, size: int) -> Reindex:
        """Returns labels of channels that stay, since nobody knows them."""
        labels = self.book.fresh(size)
        self.book.bind(labels, "some of the tensors that are concatenated have no known channels")
        return Labels(self.axis, labels, size, self.book)

    def through_linked(self) -> Reindex:
        """Returns the labels of a linked layer's output: a channel and its counterpart are one."""
        return replace(self, source=np.concatenate([self.source, self.source]), size=2 * self.size)
