"""Weight matching: the order of a model's channels in which its weights are most like those of another model.

With W the weights of the reference, V those of the model, and P one permutation for each group of channels, it looks
for the largest

    L(P) = sum over tensors of <W, P(V)>

by coordinate ascent. For one group, with the permutations of all others as they are, L is linear in its permutation
matrix: a linear assignment problem, which is solved exactly. Where a tensor has the group along two axes, as a
recurrent kernel has, L is quadratic; its gradient takes the place of the linear form, and a permutation is taken only
where L itself grows.

The first search begins with permutations that are found from the front to the back of the graph: in the sums for one
group, only tensors count whose other axes are in order already. Further searches begin, as the authors' own, with the
channels as they are: there, the few tensors that are in order are easily outvoted by the many that are not. (Planted
permutations of residual networks: found in 10 of 10 trials, against 3 of 10.)

Source: Ainsworth, Hayase & Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries" (2023), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from math import sqrt
from typing import TypeAlias

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused, WtoolError, a_few
from wtool.transforms.permuting import Channels, Sources, sources_of, with_permutation
from wtool.transforms.similarity import add_similarities, product, square
from wtool.transforms.streams import stream
from wtool.values import dataclass

GAIN = 1e-12
"""The share of the largest possible L by which a permutation must be better than the one before."""

MOST = 1 << 14
"""Channels of one group; the assignment of twice as many would take 8 GiB."""

Read: TypeAlias = Callable[[str], tuple[Array, Array]]
"""From the name of a tensor to its values in the reference and in the model, of one shape."""


@dataclass(frozen=True, eq=False)
class Matched:
    """The best order of channels that was found.

    Attributes:
        permutations: for each group and each new place the channel that comes there, shape (n,).
        before, after: cosine between all weights of the reference and of the model, with the channels in their old and
            in their new order.
        rounds: over all groups, of the search that found it.
    """

    permutations: tuple[Array, ...]
    before: float
    after: float
    rounds: int


def weight_matching(
    groups: Sequence[Channels],
    read: Read,
    seed: int = 0,
    restarts: int = 1,
    iterations: int = 100,
    told: Callable[[int, int], None] | None = None,
) -> Matched:
    """Returns the order of channels in which the weights of a model are most like those of a reference.

    Each search visits the groups in an order of its own, round by round, until nothing gets better. Among equally good
    permutations, it prefers to leave channels where they are.

    Args:
        groups: what may be permuted, from the front of the graph to the back.
        read: gives the tensors of both models.
        seed: of the order in which groups are visited.
        restarts: how many searches are made, of which the best one counts.
        iterations: the largest number of rounds of a search.
        told: called with steps done and steps in all.

    Raises:
        Refused: a tensor holds NaN or infinite values, or a group has more than `MOST` channels.
        WtoolError: SciPy is not installed.
    """
    for group in groups:
        if any(len(each) > MOST for each in group.movable):
            raise Refused(f"{group.name} has more than {MOST:,} channels, too many to put in order; --lock keeps them")
    search = _Search(groups, read)
    bound = _largest(search.tensors, read)
    start = search.objective({})
    best = (start, [np.arange(len(group.kinds)) for group in groups], 0)
    restarts = restarts if sum(bool(group.movable) for group in groups) > 1 else 1
    for number in range(restarts):

        def report(left: int, number: int = number) -> None:
            if told is not None:
                told(number * len(groups) + len(groups) - left, restarts * len(groups))

        permutations, rounds = search.ascend(seed, number, iterations, GAIN * bound, report)
        value = search.objective(sources_of(groups, permutations))
        if value > best[0] + GAIN * bound:
            best = (value, permutations, rounds)
    value, permutations, rounds = best
    scale = bound or 1.0
    return Matched(tuple(permutations), start / scale, value / scale, rounds)


def _largest(tensors: Sequence[str], read: Read) -> float:
    """The product of the norms of all weights of both models, which L cannot exceed.

    Raises:
        Refused: a tensor holds NaN or infinite values.
    """
    sums, wrong = np.zeros(2), []
    for name in tensors:
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.array([square(values) for values in read(name)])
        if not np.isfinite(squares).all():
            wrong.append(name)
        sums += squares
    if wrong:
        raise Refused(f"{a_few(wrong)}: NaN or infinite values, in the model or in the reference, are like no others")
    return sqrt(sums[0]) * sqrt(sums[1])


@dataclass(eq=False)
class _Search:
    """The groups, and what of each other they depend on.

    Attributes:
        groups: what may be permuted.
        read: gives the tensors of both models.
        tensors: names of all tensors with channels of a group, each once.
        users: for each tensor the groups, by number, with the axis along which their channels stand.
        near: for each group the groups whose permutations make a difference to it; itself, where a tensor has it along
            two axes.
    """

    groups: Sequence[Channels]
    read: Read
    tensors: list[str] = field(init=False)
    users: dict[str, set[tuple[int, int]]] = field(init=False)
    near: list[set[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.users = {}
        for number, group in enumerate(self.groups):
            for place in group.places:
                self.users.setdefault(place.tensor, set()).add((number, place.axis))
        self.tensors = list(self.users)
        self.near = [set() for _ in self.groups]
        for own in self.users.values():
            for number, axis in own:
                self.near[number] |= {other for other, along in own if along != axis}

    def objective(self, sources: Sources) -> float:
        """L, with the channels of the model as `sources` says."""
        return sum(self._product(name, sources) for name in self.tensors)

    def _product(self, name: str, sources: Sources) -> float:
        return product(*self.read(name), sources.get(name, {}))

    def ascend(
        self, seed: int, number: int, iterations: int, gain: float, report: Callable[[int], None]
    ) -> tuple[list[Array], int]:
        """Returns the permutations that one search finds, and the number of its rounds.

        A group is looked at only if a permutation that makes a difference to it is new.
        """
        permutations = [np.arange(len(group.kinds)) for group in self.groups] if number else self.from_the_front()
        sources = sources_of(self.groups, permutations)
        stale, rounds = set(range(len(self.groups))), 0
        random = stream(seed, "align", str(number)).chunk(0)
        while stale and rounds < iterations:
            rounds += 1
            for at in np.argsort(random.random(len(self.groups)), kind="stable").tolist():
                if at not in stale:
                    continue
                stale.discard(at)
                found = self._better(at, permutations[at], sources, gain)
                if found is not None:
                    permutations[at] = found
                    sources = with_permutation(sources, self.groups[at], found)
                    stale |= self.near[at]
                report(len(stale))
        return permutations, rounds

    def from_the_front(self) -> list[Array]:
        """Returns permutations that are found one after the other, each with the help of those before.

        Of a group, only tensors count here whose other axes have no channels of groups that are still to come. So
        what is not in order yet does not drown what the order of the inputs tells.
        """
        permutations: list[Array] = []
        sources: Sources = {}
        for at, group in enumerate(self.groups):
            settled = [
                place.tensor
                for place in group.places
                if all(other < at for other, axis in self.users[place.tensor] if axis != place.axis)
            ]
            found = np.arange(len(group.kinds))
            for number, channels in enumerate(group.movable):
                found[channels] = channels[_assigned(self._similarities(group, number, set(settled), sources))]
            permutations.append(found)
            sources = with_permutation(sources, group, found)
        return permutations

    def _better(self, at: int, permutation: Array, sources: Sources, gain: float) -> Array | None:
        """A permutation of one group with a larger L than the one it has; None if there is none."""
        group = self.groups[at]
        twice = _twice(group)
        once = {place.tensor for place in group.places} - twice
        found = permutation.copy()
        gained = 0.0
        for number, channels in enumerate(group.movable):
            linear = self._similarities(group, number, once, sources)
            now = np.searchsorted(channels, permutation[channels])
            new = _assigned(linear + self._similarities(group, number, twice, sources) if twice else linear)
            found[channels] = channels[new]
            rows = np.arange(len(channels))
            gained += float(linear[rows, new].sum() - linear[rows, now].sum())
        if np.array_equal(found, permutation):
            return None
        if twice:
            moved = with_permutation(sources, group, found)
            gained += sum(self._product(name, moved) - self._product(name, sources) for name in sorted(twice))
        return found if gained > gain else None

    def _similarities(self, group: Channels, number: int, tensors: set[str], sources: Sources) -> Array:
        """How much L grows by each pair of channels of one kind, shape (m, m): rows are of the reference.

        Args:
            group: the channels.
            number: of the kind, in the order of `movable`.
            tensors: that count.
            sources: what happens along the axes of the model's tensors; that of the group itself only counts for
                tensors with the group along two axes.
        """
        size = len(group.movable[number])
        total = np.zeros((size, size))
        for place, positions in zip(group.places, group.positions, strict=True):
            if place.tensor in tensors:
                others = {axis: each for axis, each in sources.get(place.tensor, {}).items() if axis != place.axis}
                add_similarities(total, *self.read(place.tensor), others, place.axis, positions[number])
        return total


def _twice(group: Channels) -> set[str]:
    """The tensors that have the channels of a group along more than one axis."""
    axes: dict[str, set[int]] = {}
    for place in group.places:
        axes.setdefault(place.tensor, set()).add(place.axis)
    return {name for name, own in axes.items() if len(own) > 1}


def _assigned(similarity: Array) -> Array:
    """Returns for each row its column, such that the sum of their similarities is the largest, shape (m,).

    Raises:
        WtoolError: SciPy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise WtoolError("alignment needs SciPy: pip install 'wtool[align]'") from None
    preferred = similarity.copy()
    preferred[np.diag_indices_from(preferred)] += GAIN * max(float(similarity.max()), -float(similarity.min()))
    columns: Array = linear_sum_assignment(preferred, maximize=True)[1]
    return columns
