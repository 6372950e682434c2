"""Exact order statistics of more values than fit into memory, by streaming over them.

A sample brackets the value that is looked for; a pass counts what is below the bracket and keeps what is inside. Nearly
always that is all. Where too much is inside (or the bracket missed) another pass takes a narrower one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import NamedTuple

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.change import Blocks, Data, Site
from wtool.values import dataclass

CACHE_BLOCK = 65_536  # values; scores and masks of so many stay in the L2 cache
MOST_KEPT = 1 << 22  # values inside the bracket that are kept
UNSAMPLED = 1 << 17  # with no more values than this, all are kept
SAMPLE = (1 << 15, 1 << 19)  # values: at least, at most
SAMPLE_BLOCK = 256  # values read together: few, since neighbours are alike
BUCKETED = 1 << 12  # values that are worth buckets
BITS_BEHIND = 18  # of a float32, behind those that tell its bucket: sign, exponent, and 5 of the fraction
SIGMAS = 8.0  # half the bracket's width, in standard deviations of the sample's rank

Score = Callable[[Site, Blocks, int], Array]
"""From the blocks of a tensor, and their position, to one number for each value; never NaN."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors ranked together, the rank that is looked for (1 is the lowest), and how many values they have."""

    sites: tuple[Site, ...]
    rank: int
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(site.size for site in self.sites))


class Equals(NamedTuple):
    """How many of the `size` values of a tensor from `start` on have the same score."""

    site: Site
    start: int
    size: int
    ties: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The value at a rank: `ties` values are equal to it, and the rank is that of the `within`-th of them.

    Attributes:
        places: where these are, in the order of blocks; None where that was not looked at.
    """

    score: float
    ties: int
    within: int
    places: tuple[Equals, ...] | None = None


@dataclass(slots=True)
class _Search:
    """The bracket [low, high] of a group in this pass, what the pass has found so far, and where the value must be."""

    group: Group
    low: float = -math.inf
    high: float = math.inf
    least: float = -math.inf
    most: float = math.inf
    below: int = 0
    inside: int = 0
    seen: int = 0
    stride: int = 1
    kept: list[_Part] = field(default_factory=list)
    size: int = 0  # of what is kept
    found: Cut | None = None

    @property
    def is_open(self) -> bool:
        """Whether all values are inside the bracket."""
        return self.low == -math.inf and self.high == math.inf

    def take(self, part: _Part) -> None:
        """Add what a block held; settle after the last."""
        self.below += part.below
        self.inside += part.inside
        self.seen += part.size
        thinned = part.values if self.stride == 1 else part.values[:: self.stride].copy()  # a view would keep all of it
        self.kept.append(part._replace(values=thinned))
        self.size += len(self.kept[-1].values)
        if self.size > MOST_KEPT:
            self.kept = [each._replace(values=each.values[::2].copy()) for each in self.kept]
            self.size = sum(len(each.values) for each in self.kept)
            self.stride *= 2
        if self.seen == self.group.size:
            self._settle()

    def _settle(self) -> None:
        """Find the value, or the next bracket."""
        position = self.group.rank - self.below
        values = np.concatenate([part.values for part in self.kept])
        if position < 1:
            self.most = float(np.nextafter(values.dtype.type(self.low), values.dtype.type(-math.inf)))
            self._next(self.least, self.most, values)
        elif position > self.inside:
            self.least = float(np.nextafter(values.dtype.type(self.high), values.dtype.type(math.inf)))
            self._next(self.least, self.most, values)
        elif self.low == self.high:
            self.found = Cut(self.low, self.inside, position)
        elif self.stride == 1:
            self.found = self._among(values, position)
        else:
            self.least, self.most = self.low, self.high
            self._next(*bracket(values, (position - 1) / self.inside, self.low, self.high), values)
        self.below = self.inside = self.seen = self.size = 0
        self.stride, self.kept = 1, []

    def _among(self, values: Array, position: int) -> Cut:
        score, less, ties = ranked(values, position)
        counts = [ties] if len(self.kept) == 1 else [int(np.count_nonzero(each.values == score)) for each in self.kept]
        places = [Equals(part.site, part.start, part.size, n) for part, n in zip(self.kept, counts, strict=True) if n]
        return Cut(score, ties, position - less, tuple(places))

    def _next(self, low: float, high: float, values: Array) -> None:
        """Go on with another bracket; one that is not narrower is split at its middle value instead."""
        if (low, high) == (self.low, self.high):
            low = high = ranked(values, len(values) // 2 + 1)[0]
        self.low, self.high = low, high


def ranked(values: Array, rank: int) -> tuple[float, int, int]:
    """Returns the value at a rank (1 is the lowest), how many values are below it, and how many are equal to it.

    Floating numbers that are not negative are in the order of their bits. So many of them are counted by their first
    bits, in 8,192 buckets, and only the bucket that holds the rank is partitioned. Of normal values that takes half of
    the time of a partition, or less.

    Args:
        values: numbers, not NaN, shape (n,); they may change places.
        rank: 1 to n.
    """
    below = 0
    if len(values) >= BUCKETED and values.dtype == np.float32:
        bits = values.view(np.int32)
        if bits.min() >= 0:
            buckets = bits >> BITS_BEHIND
            upto = np.cumsum(np.bincount(buckets))
            bucket = int(np.searchsorted(upto, rank))
            below = int(upto[bucket - 1]) if bucket else 0
            values = values[buckets == bucket]
    values.partition(rank - below - 1)
    found = values[rank - below - 1]
    less = below + int(np.count_nonzero(values < found))
    return float(found), less, int(np.count_nonzero(values == found))


def bracket(sample: Array, quantile: float, least: float, most: float) -> tuple[float, float]:
    """Bounds between which the quantile of all values almost surely is.

    Args:
        sample: some of the values, shape (m,); they may change places.
        quantile: 0 to 1.
        least, most: the bounds where the sample is too small to tell.
    """
    size = len(sample)
    margin = SIGMAS * math.sqrt(size * quantile * (1 - quantile)) + 32
    first, last = math.floor(quantile * size - margin), math.ceil(quantile * size + margin)
    return (
        ranked(sample, first + 1)[0] if 0 <= first < size else least,
        ranked(sample, last + 1)[0] if 0 <= last < size else most,
    )


def cuts(data: Data, groups: Sequence[Group], score: Score) -> list[Cut]:
    """For each group, the score at its rank; a tensor may be in several groups.

    Raises:
        Refused: a score is NaN.
    """
    searches = [_Search(group) for group in groups]
    for search in searches:
        if search.group.size > UNSAMPLED:
            sample = _sample(data, search.group, score)
            quantile = (search.group.rank - 1) / search.group.size
            search.low, search.high = bracket(sample, quantile, -math.inf, math.inf)

    while pending := [search for search in searches if search.found is None]:
        sites = {site.path: site for search in pending for site in search.group.sites}
        of_site: dict[str, list[_Search]] = {path: [] for path in sites}
        for search in pending:
            for site in search.group.sites:
                of_site[site.path].append(search)
        look = partial(_looked, of_site, score)
        for site, _, parts in data.walk(look, list(sites.values())):
            for search, part in zip(of_site[site.path], parts, strict=True):
                search.take(part)
    return [search.found for search in searches if search.found is not None]


def stops(data: Data, group: Group, cut: Cut, score: Score, all_alike: bool = False) -> Mapping[str, int]:
    """Where the value at a group's rank stands: values equal to it count as lower the earlier they come.

    Args:
        data: the tensors.
        group: the tensors that were ranked together.
        cut: what `cuts` found for the group.
        score: what the values were ranked by.
        all_alike: whether it makes no difference which of the equal values are meant.

    Returns:
        path of each tensor -> the position behind the last of its equal values that are not above the rank.
    """
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


class _Part(NamedTuple):
    """Of a block: how many scores are below the bracket, how many inside, and these (unless all are equal)."""

    site: Site
    start: int
    size: int
    below: int
    inside: int
    values: Array


def _looked(
    of_site: Mapping[str, Sequence[_Search]], score: Score, site: Site, blocks: Blocks, start: int
) -> list[_Part]:
    """What a block holds for each search that its tensor is part of; its scores are calculated once."""
    searches = of_site[site.path]
    size = len(blocks[0])
    below, inside = [0] * len(searches), [0] * len(searches)
    kept: list[list[Array]] = [[] for _ in searches]
    for low in range(0, size, CACHE_BLOCK):
        scores = scored(site, [block[low : low + CACHE_BLOCK] for block in blocks], start + low, score)
        for at, search in enumerate(searches):
            if search.is_open:  # as of all small tensors
                inside[at] += len(scores)
                kept[at].append(scores)
                continue
            less, upto = scores < search.low, scores <= search.high
            below[at] += int(np.count_nonzero(less))
            inside[at] += int(np.count_nonzero(upto))
            kept[at].append(scores[less ^ upto] if search.low < search.high else scores[:0])
    counts = zip(below, inside, kept, strict=True)
    return [_Part(site, start, size, less, upto - less, np.concatenate(each)) for less, upto, each in counts]


def scored(site: Site, blocks: Blocks, start: int, score: Score) -> Array:
    """The scores of a block.

    Raises:
        Refused: one is NaN, which has no rank.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scores = score(site, blocks, start)
        if np.isnan(scores.max(initial=-math.inf)):
            raise Refused(f"{site.path} holds NaN, or infinite values whose difference has no rank")
    return scores


def _sample(data: Data, group: Group, score: Score) -> Array:
    """Scores of evenly spread blocks of a group's values."""
    wanted = min(max(group.size >> 5, SAMPLE[0]), SAMPLE[1])
    step = group.size * SAMPLE_BLOCK // wanted
    found: list[Array] = []
    next_at = 0  # counted from the first value that is not yet passed
    for site in group.sites:
        for start in range(next_at, site.size, step):
            stop = min(start + SAMPLE_BLOCK, site.size)
            found.append(scored(site, data.read(site, start, stop), start, score))
            next_at = start + step
        next_at -= site.size
    return np.concatenate(found)
