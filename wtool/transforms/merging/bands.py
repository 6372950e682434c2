"""Which values are kept by rank: exact thresholds, and the positions from which and up to which equal values count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from wtool.transforms.change import Data, Site
from wtool.transforms.ranking import Cut, Group, Score, cuts, stops
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranks:
    """The ranks [first, stop) that are kept of the values of tensors that are ranked together.

    Rank 0 is the lowest score; of equal scores, the one that stands earlier has the lower rank.
    """

    sites: tuple[Site, ...]
    first: int
    stop: int

    @property
    def low(self) -> Group | None:
        """The group whose cut is the last value below the kept ones; None where there is none."""
        return Group(self.sites, self.first) if 0 < self.first < self.stop else None

    @property
    def high(self) -> Group | None:
        """The group whose cut is the last of the kept values; None where that is the highest value of all."""
        size = sum(site.size for site in self.sites)
        return Group(self.sites, self.stop) if self.first < self.stop < size else None


@dataclass(frozen=True, slots=True)
class Band:
    """The scores of a tensor that are kept: those between two values, and of those equal to one some by position.

    Attributes:
        low: the lowest score that may be kept.
        low_from: from which position of the tensor on scores equal to `low` are kept.
        high: the highest score that may be kept.
        high_stop: before which position of the tensor scores equal to `high` are kept.
    """

    low: float = -math.inf
    low_from: int = 0
    high: float = math.inf
    high_stop: int = 0

    def kept(self, scores: NDArray[np.float64], start: int) -> NDArray[np.bool_]:
        """Returns the mask of the values that are kept, for the block that begins at the position `start`."""
        if self.low_from <= start:
            mask = scores >= self.low
        else:
            mask = scores > self.low
            later = scores[self.low_from - start :]
            mask[self.low_from - start :] |= later == self.low
        if self.high < math.inf:
            below = scores <= self.high
            stop = max(0, self.high_stop - start)
            below[stop:] = scores[stop:] < self.high
            mask &= below
        return mask


NOTHING = Band(low=math.inf)


def bands(data: Data, asked: Sequence[Ranks], score: Score) -> list[dict[str, Band]]:
    """Returns for each of the ranks that are asked for: path of each tensor -> the band of its scores.

    All thresholds are found in one pass, or few; see `ranking`.

    Args:
        data: has the tensors.
        asked: the ranks.
        score: what values are ranked by; a score of 0 may be kept or not.
    """
    groups = [group for each in asked for group in (each.low, each.high) if group is not None]
    found = iter(zip(groups, cuts(data, groups, score), strict=True))
    result = []
    for each in asked:
        kept = dict.fromkeys((site.path for site in each.sites), Band() if each.first < each.stop else NOTHING)
        low = _end(data, *next(found), score) if each.low is not None else None
        high = _end(data, *next(found), score) if each.high is not None else None
        for path, band in kept.items():
            kept[path] = Band(
                *((band.low, band.low_from) if low is None else (low[0].score, low[1][path])),
                *((band.high, band.high_stop) if high is None else (high[0].score, high[1][path])),
            )
        result.append(kept)
    return result


def _end(data: Data, group: Group, cut: Cut, score: Score) -> tuple[Cut, Mapping[str, int]]:
    """A cut, and for each tensor the position behind the last of its equal scores that are not above the rank."""
    return cut, stops(data, group, cut, score, all_alike=cut.score == 0)


def share_of(share: float, size: int) -> int:
    """Returns the whole number of `size` values that a share means: floor(share * size), of the decimal as written.

    In floating point, .29 * 100 is 28.999999999999996 and would mean 28 values.
    """
    return int(Fraction(repr(share)) * size)
