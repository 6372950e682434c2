"""From labels to groups: which channels go together, and where they stand in the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wtool.checkpoint.model import Checkpoint
from wtool.dtypes import Array
from wtool.graphs.groups import Group, Member
from wtool.graphs.labelling import Labelled, Made, Place, label
from wtool.graphs.labels import components
from wtool.schema.graph import Model
from wtool.values import dataclass


@dataclass(frozen=True, eq=False)
class Numbers:
    """The group and the channel of each label.

    Attributes:
        group: number of the group; -1 for labels of channels that no known layer makes. Shape (number of labels,).
        channel: number of the channel in its group. Shape (number of labels,).
    """

    group: Array
    channel: Array


@dataclass(frozen=True, eq=False)
class Grouping:
    """A labelled graph with its groups.

    Attributes:
        labelled: the graph, whose configuration is the model's own.
        numbers: the group and the channel of each label.
        groups: in the order in which layers make the channels.
    """

    labelled: Labelled
    numbers: Numbers
    groups: tuple[Group, ...]

    def staying(self, kept: Mapping[str, Array]) -> Array:
        """Returns whether the channel of each label stays, shape (number of labels,).

        Args:
            kept: name of a group -> for each of its channels whether the channel stays, shape (channels,). The channels
                of other groups stay.
        """
        stays = np.ones(self.labelled.book.size, bool)
        for number, group in enumerate(self.groups):
            if group.name in kept:
                own = self.numbers.group == number
                stays[own] = kept[group.name][self.numbers.channel[own]]
        return stays


def grouping_of(base: Checkpoint, model: Model, reorder: bool = False) -> Grouping:
    """Returns the channels of a model in their groups.

    Channels are in one group if one layer makes them, or if they are added up with, or share weights with, channels of
    the group; such channels are taken out together, or none of them is. (Torch-Pruning calls that a dependency graph.)

    Args:
        base: has the weights.
        model: the graph of its configuration.
        reorder: whether channels are only put in another order, and not taken out. Then both directions of a
            Bidirectional are groups by themselves.

    Raises:
        Refused: the graph contradicts itself, or the weights do not fit it.
    """
    labelled = label(base, model, reorder)
    numbers = _numbers_of(labelled)
    return Grouping(labelled, numbers, _groups_of(labelled, numbers))


def _numbers_of(labelled: Labelled) -> Numbers:
    """Returns the group and the channel of each label of a graph."""
    book = labelled.book
    channels = book.channels()
    by_layer = [(np.repeat(made.labels[:1], len(made.labels)), made.labels) for made in labelled.made]
    together = components(book.size, [(np.arange(book.size), channels), *by_layer])
    roots = list(dict.fromkeys(int(together[made.labels[0]]) for made in labelled.made))
    group = np.full(book.size, -1)
    channel = np.zeros(book.size, int)
    for number, root in enumerate(roots):
        own = np.flatnonzero(together == root)
        group[own] = number
        channel[own] = np.unique(channels[own], return_inverse=True)[1]
    return Numbers(group, channel)


def _groups_of(labelled: Labelled, numbers: Numbers) -> tuple[Group, ...]:
    """Returns the groups of a labelled graph."""
    made: dict[int, list[Made]] = {}
    for each in labelled.made:
        made.setdefault(int(numbers.group[each.labels[0]]), []).append(each)
    places: dict[int, list[Place]] = {}
    for place in labelled.places.values():
        for number in np.unique(numbers.group[place.labels]).tolist():
            places.setdefault(number, []).append(place)
    bound, mixed = _told(labelled.book.bound, numbers), _told(labelled.book.mixed, numbers)
    return tuple(
        _group(number, own, places.get(number, []), numbers, bound.get(number, []), mixed.get(number, []))
        for number, own in made.items()
    )


def _told(notes: Sequence[tuple[Array, str]], numbers: Numbers) -> dict[int, list[tuple[Array, str]]]:
    """Group -> what was noted of labels in it."""
    found: dict[int, list[tuple[Array, str]]] = {}
    for labels, why in notes:
        for number in np.unique(numbers.group[labels]).tolist():
            found.setdefault(number, []).append((labels, why))
    return found


def _group(
    number: int,
    made: Sequence[Made],
    places: Sequence[Place],
    numbers: Numbers,
    bound: Sequence[tuple[Array, str]],
    mixed: Sequence[tuple[Array, str]],
) -> Group:
    own = numbers.channel[numbers.group == number]
    size = int(own.max()) + 1
    stays = np.zeros(size, bool)
    for labels, _ in bound:
        stays[numbers.channel[labels[numbers.group[labels] == number]]] = True
    members = tuple(_member(place, number, numbers) for place in places)
    parts = {np.isin(np.arange(size), numbers.channel[each.labels]).tobytes() for each in made}
    return Group(
        made[0].name,
        size,
        tuple(dict.fromkeys(each.path for each in made)),
        members,
        tuple(part for part in (np.frombuffer(each, bool) for each in sorted(parts)) if not part.all()),
        stays,
        tuple(dict.fromkeys(why for _, why in bound)),
        tuple(dict.fromkeys(why for _, why in mixed)),
        _kinds(members, size),
    )


def _member(place: Place, number: int, numbers: Numbers) -> Member:
    ours = numbers.group[place.labels] == number
    channels = np.where(ours, numbers.channel[place.labels], -1)
    return Member(place.tensor.path, place.tensor.role, place.axis, channels, place.side)


def _kinds(members: Sequence[Member], size: int) -> Array:
    """For each channel the kind of it: how many positions of each member it has."""
    counts = [np.bincount(each.channels[each.channels >= 0], minlength=size) for each in members]
    if not counts:
        return np.zeros(size, int)
    found: Array = np.unique(np.stack(counts, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return found
