"""Stroke and NeuroPlast: some weights are drawn anew, so that a model that has settled moves again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from wtool.dtypes import Array, dtype_of, largest
from wtool.errors import Usage
from wtool.transforms.change import Blocks, Change, Data, Prepared, Site, rounded, single
from wtool.transforms.pruning import check_order, within
from wtool.transforms.streams import Distinct, Stream, distinct, drawn, stream


@dataclass(frozen=True, slots=True)
class Stroke:
    """Give a random share of each tensor's weights new values.

    Exactly round(R*n) distinct ones of a tensor's n values, every such choice being as likely as any other, become
    uniform in [low_bound, high_bound], or `set_value`. The k-th stroke of a model uses R = volatility_ratio *
    decay**(k-1), never above 1.

    Args:
        volatility_ratio: the share, 0 to 1.
        low_bound, high_bound: of the new values.
        set_value: the new value, instead of random ones.
        decay: factor from one stroke to the next, at least 0.
        cutoff: number of strokes after which nothing happens any more; None or negative for no end.

    Raises:
        Usage: numbers out of range.

    Source: KeraStroke's Stroke, which draws positions with repetition and ignores a set value of 0.
    """

    name: ClassVar[str] = "stroke"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = False

    volatility_ratio: float = 0.05
    low_bound: float = -0.05
    high_bound: float = 0.05
    set_value: float | None = None
    decay: float | None = None
    cutoff: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.volatility_ratio <= 1:
            raise Usage(f"a volatility ratio of {self.volatility_ratio} is not between 0 and 1")
        if self.decay is not None and not 0 <= self.decay < math.inf:
            raise Usage(f"a decay of {self.decay} is not a number from 0 up")
        check_bounds(self.low_bound, self.high_bound)

    def ratio(self, earlier: int) -> float:
        """The share that the next stroke takes, after `earlier` ones."""
        if self.decay is None:
            return self.volatility_ratio
        try:
            return min(1.0, self.volatility_ratio * self.decay**earlier)
        except OverflowError:
            return 1.0

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Choose the positions; no value has to be looked at."""
        if is_over(self.cutoff, earlier):
            return Prepared({}, (over(self.name, earlier, self.cutoff),))
        ratio = self.ratio(earlier)
        changes = {}
        for site in data.sites:
            check_new(self.set_value, self.low_bound, self.high_bound, dtype_of(site.dtype))
            chosen = distinct(stream(seed, self.name, site.path), site.size, round(ratio * site.size))
            changes[site.path] = partial(self._struck, chosen, dtype_of(site.dtype))
        notes = (f"stroke {earlier + 1} of this model, with a volatility ratio of {ratio:g}",) if self.decay else ()
        return Prepared(changes, notes)

    def _struck(self, chosen: Distinct, dtype: np.dtype[Any], blocks: Blocks, start: int) -> Change:
        places, numbers = chosen.within(start, start + len(blocks[0]))
        if self.set_value is not None:
            return Change(places, single(self.set_value, dtype))
        return Change(places, uniform(numbers, self.low_bound, self.high_bound, dtype))


@dataclass(frozen=True, slots=True)
class NeuroPlast:
    """Give weights near zero new values.

    All w with min_value <= w <= max_value, compared in the tensor's own dtype, become uniform in [low_bound,
    high_bound], or `set_value`.

    Args:
        min_value, max_value: both ends are included.
        low_bound, high_bound: of the new values.
        set_value: the new value, instead of random ones.
        cutoff: number of times after which nothing happens any more; None or negative for no end.

    Raises:
        Usage: numbers out of range.

    Source: KeraStroke's NeuroPlast, which ignores a set value of 0.
    """

    name: ClassVar[str] = "neuroplast"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False
    reads_initial: ClassVar[bool] = False

    min_value: float = -0.01
    max_value: float = 0.01
    low_bound: float = -0.05
    high_bound: float = 0.05
    set_value: float | None = None
    cutoff: int | None = None

    def __post_init__(self) -> None:
        check_order(self.min_value, self.max_value)
        check_bounds(self.low_bound, self.high_bound)

    @property
    def is_random(self) -> bool:
        """Unless the new value is given."""
        return self.set_value is None

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before."""
        if is_over(self.cutoff, earlier):
            return Prepared({}, (over(self.name, earlier, self.cutoff),))
        for site in data.sites:
            check_new(self.set_value, self.low_bound, self.high_bound, dtype_of(site.dtype))
        sources = {site: stream(seed, self.name, site.path) for site in data.sites}
        return Prepared({site.path: partial(self._replaced, source, site) for site, source in sources.items()})

    def _replaced(self, source: Stream, site: Site, blocks: Blocks, start: int) -> Change:
        mask = within(self.min_value, self.max_value, blocks, start)
        dtype = blocks[0].dtype
        if self.set_value is not None:
            return Change(mask, single(self.set_value, dtype))
        stop = start + len(mask)
        numbers = drawn(source, site.size, start, stop, lambda generator, count: generator.random(count))
        return Change(mask, uniform(numbers[mask], self.low_bound, self.high_bound, dtype))


def check_bounds(low: float, high: float) -> None:
    """Raise Usage unless the bounds are finite, and in order."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise Usage(f"nothing can be drawn from {low} to {high}")


def check_new(value: float | None, low: float, high: float, dtype: np.dtype[Any]) -> None:
    """Raise Usage unless a dtype has the new value, or values within the bounds, before anything is changed."""
    if value is None:
        _inside(low, high, dtype)
    else:
        single(value, dtype)


def is_over(cutoff: int | None, earlier: int) -> bool:
    """Whether a model has had its share; a negative cutoff is none, as is the -1 of KeraStroke."""
    return cutoff is not None and 0 <= cutoff <= earlier


def over(name: str, earlier: int, cutoff: int | None) -> str:
    """What is said of a model that has had its share."""
    return f"its lineage tells of {earlier} earlier {name} operations and the cutoff is {cutoff}: nothing changes"


def uniform(numbers: Array, low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """Numbers in [0, 1) as values in [low, high] of a dtype: none is rounded out of the bounds.

    Raises:
        Usage: no value of the dtype is within the bounds, or none but 0.
    """
    least, most = _inside(low, high, dtype)
    values = rounded(low + (high - low) * numbers, dtype)
    return np.clip(values.astype(np.float64), least, most).astype(dtype)


def _inside(low: float, high: float, dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the largest value of a dtype within the bounds."""
    for bound in (low, high):
        if not np.isfinite(rounded(np.array([bound]), dtype)).all():
            raise Usage(f"{bound} is no finite {dtype.name} value")
    values = rounded(np.array([low, high]), dtype)
    least, most = values[:1], values[1:]
    if float(least[0]) < low:
        least = np.nextafter(least, largest(dtype))
    if float(most[0]) > high:
        most = np.nextafter(most, -largest(dtype))
    if not float(least[0]) <= float(most[0]):
        raise Usage(f"no {dtype.name} value is between {low} and {high}")
    if float(least[0]) == float(most[0]) == 0 and (low, high) != (0, 0):
        raise Usage(f"{low} and {high} are too small for {dtype.name}: every value between them would be 0")
    return float(least[0]), float(most[0])
