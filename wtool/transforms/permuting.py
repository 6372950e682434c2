"""Channels that change places: a permutation of them, and what it means along the axes of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass

FIXED = -1
"""The kind of channels that stay where they are."""

Sources: TypeAlias = Mapping[str, Mapping[int, Array]]
"""Tensor -> axis -> for each new position the old one whose values it gets; axes that are not there stay."""


@dataclass(frozen=True, eq=False)
class Place:
    """An axis of a tensor along which channels stand.

    Attributes:
        tensor: its name.
        axis: of the tensor.
        channels: for each position along the axis its channel, shape (positions,); -1 where no channel stands.
    """

    tensor: str
    axis: int
    channels: Array


@dataclass(frozen=True, eq=False)
class Channels:
    """Channels that get one order in all their places.

    Attributes:
        name: of them.
        kinds: of each channel, shape (n,): channels of one kind may change places; those of kind `FIXED` stay.
        places: where they stand. A channel may have several positions along an axis, such as one in each gate of a
            recurrent kernel; channels of one kind have equally many, and the first takes the first's place, and so on.
    """

    name: str
    kinds: Array
    places: tuple[Place, ...]

    @cached_property
    def movable(self) -> tuple[Array, ...]:
        """The channels of each kind with more than one channel that may move, shape (m,) each."""
        order = np.argsort(self.kinds, kind="stable")
        kinds, starts = np.unique(self.kinds[order], return_index=True)
        found = zip(kinds, np.split(order, starts[1:]), strict=True)
        return tuple(each for kind, each in found if kind != FIXED and len(each) > 1)

    @cached_property
    def positions(self) -> tuple[tuple[Array, ...], ...]:
        """For each place and each entry of `movable` the positions of its channels, shape (m, positions of each)."""
        return tuple(_positions(place, self.movable) for place in self.places)


def _positions(place: Place, kinds: Sequence[Array]) -> tuple[Array, ...]:
    """The positions along an axis of the channels of each kind, rising, shape (channels, positions of each)."""
    order = np.argsort(place.channels, kind="stable")
    stand = place.channels[order]
    found = []
    for channels in kinds:
        first, stop = np.searchsorted(stand, channels), np.searchsorted(stand, channels, side="right")
        counts = stop - first
        if (counts != counts[0]).any():
            raise ValueError(f"channels of one kind have {counts.min()} to {counts.max()} positions in {place.tensor}")
        found.append(order[first[:, None] + np.arange(counts[0])])
    return tuple(found)


def sources_of(groups: Iterable[Channels], permutations: Sequence[Array]) -> Sources:
    """Returns what permutations mean along the axes of tensors; tensors of which nothing moves are not there.

    Args:
        groups: channels; several of them may share an axis, as they do behind a concatenation.
        permutations: for each group and each new place the channel that comes there, shape (n,).
    """
    found: Sources = {}
    for group, permutation in zip(groups, permutations, strict=True):
        if not np.array_equal(permutation, np.arange(len(permutation))):
            found = with_permutation(found, group, permutation)
    return found


def with_permutation(sources: Sources, group: Channels, permutation: Array) -> Sources:
    """Returns what happens along the axes of tensors, with another permutation of some channels.

    Args:
        sources: what happens so far.
        group: the channels.
        permutation: for each new place the channel that comes there, shape (n,).
    """
    found = dict(sources)
    for place, positions in zip(group.places, group.positions, strict=True):
        own = dict(found.get(place.tensor, {}))
        source = own.get(place.axis, np.arange(len(place.channels))).copy()
        for channels, each in zip(group.movable, positions, strict=True):
            source[each] = each[np.searchsorted(channels, permutation[channels])]
        found[place.tensor] = {**own, place.axis: source}
    return found
