"""What strokes and NeuroPlast do to arrays: which values are drawn anew, and what they become."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import Array, dtype_of, largest
from wtool.errors import Usage
from wtool.transforms.change import Blocks, Change, Data, Prepared, Site, rounded, single, within
from wtool.transforms.streams import Distinct, Stream, distinct, drawn, stream
from wtool.transforms.stroking import is_over, over

if TYPE_CHECKING:
    from wtool.transforms.stroking import NeuroPlast, Stroke


def stroke(stroke: Stroke, data: Data, seed: int, earlier: int) -> Prepared:
    """Choose the positions; no value has to be looked at."""
    if is_over(stroke.cutoff, earlier):
        return Prepared({}, (over(stroke.name, earlier, stroke.cutoff),))
    ratio = stroke.ratio(earlier)
    changes = {}
    for site in data.sites:
        check_new(stroke.set_value, stroke.low_bound, stroke.high_bound, dtype_of(site.dtype))
        chosen = distinct(stream(seed, stroke.name, site.path), site.size, round(ratio * site.size))
        changes[site.path] = partial(_struck, stroke, chosen, dtype_of(site.dtype))
    notes = (f"stroke {earlier + 1} of this model, with a volatility ratio of {ratio:g}",) if stroke.decay else ()
    return Prepared(changes, notes)


def _struck(stroke: Stroke, chosen: Distinct, dtype: np.dtype[Any], blocks: Blocks, start: int) -> Change:
    places, numbers = chosen.within(start, start + len(blocks[0]))
    if stroke.set_value is not None:
        return Change(places, single(stroke.set_value, dtype))
    return Change(places, uniform(numbers, stroke.low_bound, stroke.high_bound, dtype))


def neuroplast(plast: NeuroPlast, data: Data, seed: int, earlier: int) -> Prepared:
    """Nothing has to be known before."""
    if is_over(plast.cutoff, earlier):
        return Prepared({}, (over(plast.name, earlier, plast.cutoff),))
    for site in data.sites:
        check_new(plast.set_value, plast.low_bound, plast.high_bound, dtype_of(site.dtype))
    sources = {site: stream(seed, plast.name, site.path) for site in data.sites}
    return Prepared({site.path: partial(_replaced, plast, source, site) for site, source in sources.items()})


def _replaced(plast: NeuroPlast, source: Stream, site: Site, blocks: Blocks, start: int) -> Change:
    mask = within(plast.min_value, plast.max_value, blocks, start)
    dtype = blocks[0].dtype
    if plast.set_value is not None:
        return Change(mask, single(plast.set_value, dtype))
    stop = start + len(mask)
    numbers = drawn(source, site.size, start, stop, lambda generator, count: generator.random(count))
    return Change(mask, uniform(numbers[mask], plast.low_bound, plast.high_bound, dtype))


def check_new(value: float | None, low: float, high: float, dtype: np.dtype[Any]) -> None:
    """Raise Usage unless a dtype has the new value, or values within the bounds, before anything is changed."""
    if value is None:
        _inside(low, high, dtype)
    else:
        single(value, dtype)


def uniform(numbers: Array, low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """Numbers in [0, 1) as values in [low, high] of a dtype: none is rounded out of the bounds.

    Raises:
        Usage: no value of the dtype is within the bounds, or none but 0.
    """
    least, most = _inside(low, high, dtype)
    values = rounded(low + (high - low) * numbers, dtype)
    return np.clip(values.astype(np.float64), least, most).astype(dtype)


@lru_cache(maxsize=64)
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
