"""Pruning: weights in a range, or those that matter least, become zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from wtool.choices import CRITERIA as NAMES
from wtool.choices import SCOPES, SHORT, check_choice
from wtool.dtypes import Array, dtype_of
from wtool.errors import Usage
from wtool.transforms.change import Apply, Blocks, Change, Data, Prepared, Site, single
from wtool.transforms.criteria import CRITERIA, large_init_large_final, magnitude
from wtool.transforms.ranking import Cut, Equals, Group, Score, cuts, scored
from wtool.transforms.streams import drawn, stream


@dataclass(frozen=True, slots=True)
class Prune:
    """Set weights to zero: those in a range, or the share of them that matters least.

    By range, all w with min_value <= w <= max_value, compared in the tensor's own dtype. By sparsity S, exactly
    round(S*n) of n weights: those with the lowest scores, ties by position; weights that are zero already come first,
    and are counted in.

    Args:
        min_value, max_value: both ends are included; either both or none.
        set_value: what they become.
        sparsity: 0 to 1.
        criterion: a name in `CRITERIA`, or its short name: what makes a weight matter.
        scope: `tensor` (S of each tensor) or `global` (S of all together, with one threshold).
        last_layer_scale: the output layer's kernel is pruned to S times this (and by itself, in the global scope).

    Raises:
        Usage: numbers out of range, or options that do not go together.

    Source: KeraStroke's Pruning (range); Frankle & Carbin, arXiv:1803.03635 (sparsity, the scale of the last layer);
    Zhou et al., arXiv:1905.01067 (criteria).
    """

    name: ClassVar[str] = "prune"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False

    min_value: float | None = None
    max_value: float | None = None
    set_value: float = 0.0
    sparsity: float | None = None
    criterion: str = "large-final"
    scope: str = "tensor"
    last_layer_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "criterion", SHORT.get(self.criterion, self.criterion))
        if self.sparsity is None:
            check_range(self.min_value, self.max_value)
            if (self.criterion, self.scope, self.last_layer_scale) != ("large-final", "tensor", 1.0):
                raise Usage("a criterion, a scope and a scale of the last layer go with a sparsity, not with a range")
        elif (self.min_value, self.max_value) != (None, None):
            raise Usage("a range and a sparsity contradict each other; choose one")
        elif not 0 <= self.sparsity <= 1:
            raise Usage(f"a sparsity of {self.sparsity} is not between 0 and 1")
        elif not 0 <= self.last_layer_scale * self.sparsity <= 1:
            raise Usage(f"a last-layer scale of {self.last_layer_scale} makes its sparsity more than 1, or negative")
        check_choice(self.criterion, "criterion", NAMES)
        check_choice(self.scope, "scope", SCOPES)

    @property
    def is_random(self) -> bool:
        """Only as the random control."""
        return self.criterion == "random"

    @property
    def reads_initial(self) -> bool:
        """All criteria but the final magnitude and chance compare with the initial value."""
        return self.criterion not in ("large-final", "random")

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find what is pruned: nothing to find for a range, one or more passes over the weights for a sparsity."""
        if self.sparsity is None:
            assert self.min_value is not None
            assert self.max_value is not None
            inside = partial(within, self.min_value, self.max_value)
            return Prepared({site.path: _setting(inside, site, self.set_value) for site in data.sites})
        groups, notes = self._groups(data.sites)
        score = self._score(data, groups, seed)
        found = cuts(data, groups, score)
        stops: dict[str, int] = {}
        scores: dict[str, float] = {}
        for group, cut in zip(groups, found, strict=True):
            done_before = cut.score == (0 if self.criterion == "large-final" else -math.inf)
            stops |= _stops(data, group, cut, score, done_before and self.set_value == 0)
            scores |= {site.path: cut.score for site in group.sites}
        return Prepared(
            {
                site.path: _setting(
                    partial(_lowest, score, site, scores[site.path], stops[site.path]), site, self.set_value
                )
                for site in data.sites
                if site.path in scores
            },
            notes,
        )

    def _groups(self, sites: Sequence[Site]) -> tuple[list[Group], tuple[str, ...]]:
        """The tensors that share a threshold, each with how many of their values are pruned; without those of none."""
        assert self.sparsity is not None
        last = [site for site in sites if site.is_output] if self.last_layer_scale != 1 else []
        rest = [site for site in sites if site.size and not (last and site.is_output)]
        together = [rest] if self.scope == "global" else [[site] for site in rest]
        shares = [(tuple(each), self.sparsity) for each in together]
        shares += [((site,), self.sparsity * self.last_layer_scale) for site in last]
        groups = [Group(each, round(share * sum(site.size for site in each))) for each, share in shares]
        notes: tuple[str, ...] = ()
        if self.last_layer_scale != 1:
            named = ", ".join(site.path for site in last)
            notes = (f"the output layer's kernel is {named}" if last else "no kernel of an output layer is selected",)
        return [group for group in groups if group.rank > 0], notes

    def _score(self, data: Data, groups: Sequence[Group], seed: int) -> Score:
        if self.criterion == "large-final":
            wide = any(site.dtype == "float64" for group in groups for site in group.sites)
            return partial(_final_magnitude, np.dtype(np.float64 if wide else np.float32))  # comparable with each other
        if self.criterion == "random":
            return partial(_by_chance, seed)
        if self.criterion != "large-init-large-final":
            function = CRITERIA[self.criterion]
            assert function is not None
            return partial(_compared, function)
        alphas = _alphas(data, groups)
        return lambda site, blocks, start: _compared(
            partial(large_init_large_final, alpha=alphas[site.path]), site, blocks, start
        )


def check_range(low: float | None, high: float | None) -> None:
    """Raise Usage unless both ends are given, and in order."""
    if low is None or high is None:
        raise Usage("say what is pruned: --sparsity, or a range with both --min-value and --max-value")
    check_order(low, high)


def check_order(low: float, high: float) -> None:
    """Raise Usage unless the ends of a range are in order."""
    if not low <= high:
        raise Usage(f"the range from {low} to {high} is empty")


def within(low: float, high: float, blocks: Blocks, start: int) -> Array:
    """Mask of the values in [low, high], compared in the block's dtype."""
    with np.errstate(over="ignore", under="ignore"):
        bounds = np.array([low, high]).astype(blocks[0].dtype)
    above = blocks[0] > 0 if low > 0 == bounds[0] else blocks[0] >= bounds[0]  # 0 is not above a bound that became 0
    below = blocks[0] < 0 if high < 0 == bounds[1] else blocks[0] <= bounds[1]
    return np.asarray(above & below)


def _setting(choose: Callable[[Blocks, int], Array], site: Site, value: float) -> Apply:
    new = single(value, dtype_of(site.dtype))
    return lambda blocks, start: Change(choose(blocks, start), new)


def _lowest(score: Score, site: Site, cut: float, stop: int, blocks: Blocks, start: int) -> Array:
    """Mask of the scores below the cut, and of those equal to it before position `stop` of the tensor."""
    scores = score(site, blocks, start)  # the pass that found the cut has seen that none is NaN
    if stop >= site.size:
        return np.asarray(scores <= cut)
    mask = np.asarray(scores < cut)
    before = max(0, stop - start)
    mask[:before] |= scores[:before] == cut
    return mask


def _stops(data: Data, group: Group, cut: Cut, score: Score, all_alike: bool) -> Mapping[str, int]:
    """For each tensor, the position up to which values equal to the cut are pruned: all where that is the same."""
    everything = {site.path: site.size for site in group.sites}
    if cut.within == cut.ties or all_alike:
        return everything

    order = {site.path: number for number, site in enumerate(group.sites)}
    places = _ties(data, group, cut, score) if cut.places is None else cut.places
    left = cut.within
    for place in sorted(places, key=lambda place: (order[place.site.path], place.start)):
        if place.ties >= left:
            site, stop = place.site, place.start + place.size
            scores = scored(site, data.read(site, place.start, stop), place.start, score)
            last = place.start + int(np.flatnonzero(scores == cut.score)[left - 1]) + 1
            later = {each.path: 0 for each in group.sites[order[site.path] + 1 :]}
            return {**everything, site.path: last, **later}
        left -= place.ties
    raise AssertionError("fewer values are equal to the cut than were counted")


def _ties(data: Data, group: Group, cut: Cut, score: Score) -> Iterator[Equals]:
    """Where the values equal to the cut are, if they were only counted."""

    def look(site: Site, blocks: Blocks, start: int) -> Equals:
        count = int(np.count_nonzero(scored(site, blocks, start, score) == cut.score))
        return Equals(site, start, len(blocks[0]), count)

    return (found for _, _, found in data.walk(look, group.sites))


def _final_magnitude(dtype: np.dtype[Any], site: Site, blocks: Blocks, start: int) -> Array:
    return magnitude(blocks[0], dtype)


def _by_chance(seed: int, site: Site, blocks: Blocks, start: int) -> Array:
    source = stream(seed, "prune", site.path)
    scores = drawn(source, site.size, start, start + len(blocks[0]), lambda generator, count: generator.random(count))
    return np.where(blocks[0] == 0, -np.inf, scores)


def _compared(function: Callable[[Array, Array], Array], site: Site, blocks: Blocks, start: int) -> Array:
    final, initial = blocks[0].astype(np.float64), blocks[1].astype(np.float64)
    return np.where(final == 0, -np.inf, function(final, initial))


def _alphas(data: Data, groups: Sequence[Group]) -> dict[str, float]:
    """For each tensor, quantile(|wi|) / quantile(|wf|) of its group's unpruned weights, at the share pruned now."""
    zeros = _zeros(data, groups)
    left = [_Left(group, before) for group, before in zip(groups, zeros, strict=True) if before < group.rank]
    initial = _quantiles(data, left, lambda final, initial: np.abs(initial))
    final = _quantiles(data, left, lambda final, initial: np.abs(final))
    alphas = {site.path: 1.0 for group in groups for site in group.sites}
    for each, above, below in zip(left, initial, final, strict=True):
        alphas |= {site.path: above / below for site in each.group.sites}
    return alphas


class _Left(NamedTuple):
    """A group of which something is pruned now, and how much of it was before."""

    group: Group
    before: int

    @property
    def place(self) -> float:
        """Where the quantile is among the unpruned values: 0 is the lowest."""
        kept = self.group.size - self.before
        return (kept - 1) * ((self.group.rank - self.before) / kept)


def _zeros(data: Data, groups: Sequence[Group]) -> list[int]:
    counts: dict[str, int] = {}

    def look(site: Site, blocks: Blocks, start: int) -> int:
        return int(np.count_nonzero(blocks[0] == 0))

    for site, _, found in data.walk(look, [site for group in groups for site in group.sites]):
        counts[site.path] = counts.get(site.path, 0) + found
    return [sum(counts[site.path] for site in group.sites) for group in groups]


def _quantiles(data: Data, left: Sequence[_Left], of: Callable[[Array, Array], Array]) -> list[float]:
    """`numpy.quantile` of each group's unpruned values: interpolated between the two nearest."""
    score = partial(_compared, of)

    def at(nearest: Callable[[float], int]) -> list[Cut]:
        ranks = [Group(each.group.sites, each.before + nearest(each.place) + 1) for each in left]
        return cuts(data, ranks, score)

    return [
        float(np.quantile([low.score, high.score], each.place - math.floor(each.place)))
        for each, low, high in zip(left, at(math.floor), at(math.ceil), strict=True)
    ]
