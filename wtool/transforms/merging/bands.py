"""Which values of task vectors are kept by rank: exact thresholds, found for all tensors and models in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wtool.dtypes import NUMPY_FLOATS, Array
from wtool.transforms.change import Blocks, Data, Look, Site
from wtool.transforms.ranking import Group, cuts, stops

if TYPE_CHECKING:
    from numpy.typing import NDArray

BandOf = Callable[[int, int], tuple[int, int]]
"""From a model's number and the number of values that are ranked together to [first, stop) of the ranks that are kept.

Rank 0 is the lowest magnitude; of equal magnitudes, the one that stands earlier has the lower rank.
"""


@dataclass(frozen=True, slots=True)
class Band:
    """The magnitudes of a task vector that are kept: those between two values, with those equal to them from and to
    certain positions.

    Attributes:
        low: the smallest magnitude that may be kept.
        low_from: from which position of the tensor on values equal to `low` are kept.
        high: the largest magnitude that may be kept.
        high_stop: before which position of the tensor values equal to `high` are kept.
        size: values in the tensor.
    """

    low: float
    low_from: int
    high: float
    high_stop: int
    size: int

    def kept(self, magnitudes: NDArray[np.float64], start: int) -> NDArray[np.bool_]:
        """Returns the mask of the values that are kept, for the block that begins at the position `start`."""
        stop = start + len(magnitudes)
        if self.low_from <= start:
            mask = magnitudes >= self.low
        else:
            mask = magnitudes > self.low
            if self.low_from < stop:
                mask[self.low_from - start :] |= magnitudes[self.low_from - start :] == self.low
        if self.high < math.inf:
            below = magnitudes <= self.high
            first_off = max(0, self.high_stop - start)
            below[first_off:] &= magnitudes[first_off:] < self.high
            mask &= below
        return mask


def magnitude_bands(
    data: Data, models: int, band: Callable[[Site], BandOf], is_global: bool
) -> Mapping[str, list[Band]]:
    """Ranks |m_i - b| of each tensor and model, or of each model over all tensors together.

    Args:
        data: the tensors; the base's block is the first.
        models: how many there are.
        band: from a tensor to the ranks that are kept of it.
        is_global: whether all tensors of a model are ranked together; `band` is asked for the first one only.

    Returns:
        path of each tensor that is not empty -> the band of each model.
    """
    sites = [site for site in data.sites if site.size]
    together = [sites] if is_global and sites else [[site] for site in sites]
    found: dict[str, list[Band]] = {site.path: [] for site in sites}
    view = _TaskVectors(data, {})
    asked: list[_Asked] = []
    for number in range(models):
        for each in together:
            size = sum(site.size for site in each)
            asked.append(_Asked(view, number, each, band(each[0])(number, size)))
    groups = [group for each in asked for group in each.groups]
    cut_of = dict(zip(map(id, groups), cuts(view, groups, _magnitude), strict=True))
    for ranks in asked:
        for site, kept in ranks.bands(cut_of):
            found[site.path].append(kept)
    return found


class _Ranked(NamedTuple):
    """A task vector of one tensor under a name of its own, and the model whose it is."""

    site: Site
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class _TaskVectors:
    """Data in which each model's task vector of each tensor is a tensor of its own, with the blocks (base, model)."""

    data: Data
    known: dict[str, tuple[Site, int]]

    @property
    def sites(self) -> Sequence[Site]:
        return [replace(site, path=path) for path, (site, _) in self.known.items()]

    def named(self, site: Site, number: int, which: str) -> Site:
        """Returns a task vector as a tensor, which is read and ranked by itself."""
        path = f"{which} {number}: {site.path}"
        self.known[path] = (site, number)
        return replace(site, path=path)

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of the task vectors to `look`; each tensor is read once for all of its models."""
        of_tensor: dict[str, list[_Ranked]] = {}
        tensors: dict[str, Site] = {}
        for site in sites:
            tensor, number = self.known[site.path]
            tensors[tensor.path] = tensor
            of_tensor.setdefault(tensor.path, []).append(_Ranked(site, number))

        def looked(tensor: Site, blocks: Blocks, start: int) -> list[Any]:
            return [look(each.site, [blocks[0], blocks[1 + each.number]], start) for each in of_tensor[tensor.path]]

        for tensor, start, found in self.data.walk(looked, list(tensors.values())):
            for each, part in zip(of_tensor[tensor.path], found, strict=True):
                yield each.site, start, part

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of the base and of a model."""
        tensor, number = self.known[site.path]
        blocks = self.data.read(tensor, start, stop)
        return [blocks[0], blocks[1 + number]]


class _Asked:
    """The ranks [first, stop) of a model's task vectors that are kept, and the groups whose cuts tell the values."""

    def __init__(self, view: _TaskVectors, number: int, sites: Sequence[Site], ranks: tuple[int, int]) -> None:
        first, stop = ranks
        size = sum(site.size for site in sites)
        self.view, self.sites, self.is_none = view, sites, stop <= first
        self.low = self._group("low", number, first) if 0 < first < stop else None
        self.high = self._group("high", number, stop) if first < stop < size else None

    def _group(self, which: str, number: int, rank: int) -> Group:
        return Group(tuple(self.view.named(site, number, which) for site in self.sites), rank)

    @property
    def groups(self) -> list[Group]:
        return [each for each in (self.low, self.high) if each is not None]

    def bands(self, cut_of: Mapping[int, Any]) -> Iterator[tuple[Site, Band]]:
        """Each tensor with its band."""
        low, low_from = self._end(self.low, cut_of, -math.inf)
        high, high_stop = self._end(self.high, cut_of, math.inf)
        if self.is_none:
            low = math.inf
        for at, site in enumerate(self.sites):
            yield site, Band(low, low_from[at], high, high_stop[at], site.size)

    def _end(self, group: Group | None, cut_of: Mapping[int, Any], otherwise: float) -> tuple[float, list[int]]:
        """The magnitude at one end of the band, and in each tensor the position behind the last equal one below."""
        if group is None:
            return otherwise, [0] * len(self.sites)
        cut = cut_of[id(group)]
        up_to = stops(self.view, group, cut, _magnitude, all_alike=cut.score == 0)
        return cut.score, [up_to[site.path] for site in group.sites]


def _magnitude(site: Site, blocks: Blocks, start: int) -> Array:
    difference = delta(blocks[1], blocks[0])
    return np.abs(difference, out=difference)


def delta(model: Array, base: Array) -> NDArray[np.float64]:
    """Returns model - base in float64, shape (n,): exact for narrower types, unless one is 2**28 times the other."""
    result: NDArray[np.float64] = model.astype(np.float64)
    np.subtract(result, base if base.dtype.name in NUMPY_FLOATS else base.astype(np.float64), out=result)
    return result


def share_of(share: float, size: int) -> int:
    """Returns the whole number of `size` values that a share means: floor(share * size), of the decimal as written.

    In floating point, .29 * 100 is 28.999999999999996 and would mean 28 values.
    """
    return int(Fraction(repr(share)) * size)
