"""Which weights matter least: exact thresholds of scores, and the positions up to which ties are pruned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wtool.dtypes import Array, dtype_of
from wtool.transforms.budgets import spread
from wtool.transforms.change import Apply, Blocks, Change, Data, Prepared, Site, single, within
from wtool.transforms.criteria import CRITERIA, large_final, large_init_large_final, random
from wtool.transforms.ranking import Cut, Group, Score, cuts, stops
from wtool.transforms.streams import drawn, stream

if TYPE_CHECKING:
    from wtool.transforms.pruning import Prune


def prepare(prune: Prune, data: Data, seed: int) -> Prepared:
    """Find what is pruned: nothing to find for a range, one or more passes over the weights for a sparsity."""
    if prune.sparsity is None:
        assert prune.min_value is not None
        assert prune.max_value is not None
        inside = partial(within, prune.min_value, prune.max_value)
        return Prepared({site.path: setting(inside, site, prune.set_value) for site in data.sites})
    found_groups, notes = spread(prune, data, {site: site.size for site in data.sites})
    groups = [Group(sites, count) for sites, count in found_groups]
    score = score_of(prune.criterion, data, groups, seed)
    found = cuts(data, groups, score)
    up_to: dict[str, int] = {}
    scores: dict[str, float] = {}
    before = []
    for group, cut in zip(groups, found, strict=True):
        done_before = cut.score == (0 if prune.criterion == "large-final" else -math.inf)
        before.append(done_before)
        up_to |= stops(data, group, cut, score, done_before and prune.set_value == 0)
        scores |= {site.path: cut.score for site in group.sites}
    return Prepared(
        {
            site.path: setting(partial(lowest, score, site, scores[site.path], up_to[site.path]), site, prune.set_value)
            for site in data.sites
            if site.path in scores
        },
        (*schedule_notes(prune), *_already(before), *notes),
    )


def _already(before: Sequence[bool]) -> tuple[str, ...]:
    """A note on a model that is as sparse as it is to become, or more, in each of its groups."""
    return ("already as sparse as that, or more: no further weight is pruned",) if before and all(before) else ()


def schedule_notes(prune: Prune) -> tuple[str, ...]:
    """A note on the sparsity that a schedule gives."""
    return () if prune.step is None else (f"step {prune.step} of the schedule is a sparsity of {prune.share:.4g}",)


def score_of(criterion: str, data: Data, groups: Sequence[Group], seed: int) -> Score:
    """Returns what makes a weight matter, by a criterion; what is zero scores lowest.

    Args:
        criterion: its name.
        data: has the tensors.
        groups: the tensors that are ranked together, each with how many values are pruned.
        seed: of random scores.
    """
    if criterion == "large-final":
        wide = any(site.dtype == "float64" for group in groups for site in group.sites)
        return partial(_final_magnitude, np.dtype(np.float64 if wide else np.float32))  # comparable with each other
    if criterion == "random":
        return partial(_by_chance, seed)
    if criterion != "large-init-large-final":
        score, reads_initial = CRITERIA[criterion].score, CRITERIA[criterion].reads_initial
        return partial(_compared, score if reads_initial else lambda final, *_: score(final))
    alphas = _alphas(data, groups)
    return lambda site, blocks, start: _compared(
        partial(large_init_large_final, alpha=alphas[site.path]), site, blocks, start
    )


def setting(choose: Callable[[Blocks, int], Array], site: Site, value: float) -> Apply:
    """Returns the change that gives a value to what a mask chooses."""
    new = single(value, dtype_of(site.dtype))
    return lambda blocks, start: Change(choose(blocks, start), new)


def lowest(score: Score, site: Site, cut: float, stop: int, blocks: Blocks, start: int) -> Array:
    """Mask of the scores below the cut, and of those equal to it before position `stop` of the tensor."""
    scores = score(site, blocks, start)  # the pass that found the cut has seen that none is NaN
    if stop >= site.size:
        return np.asarray(scores <= cut)
    mask = np.asarray(scores < cut)
    before = max(0, stop - start)
    mask[:before] |= scores[:before] == cut
    return mask


def _final_magnitude(dtype: np.dtype[Any], site: Site, blocks: Blocks, start: int) -> Array:
    """|w| in a dtype that holds it exactly: float32, or float64 where w is."""
    final = blocks[0]
    return large_final(final if final.dtype == dtype else final.astype(dtype))


def _by_chance(seed: int, site: Site, blocks: Blocks, start: int) -> Array:
    source = stream(seed, "prune", site.path)
    numbers = drawn(source, site.size, start, start + len(blocks[0]), lambda generator, count: generator.random(count))
    return np.where(blocks[0] == 0, -np.inf, random(blocks[0], numbers))


def _compared(function: Callable[..., Array], site: Site, blocks: Blocks, start: int) -> Array:
    values = [block.astype(np.float64) for block in blocks]
    return np.where(values[0] == 0, -np.inf, function(*values))


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
