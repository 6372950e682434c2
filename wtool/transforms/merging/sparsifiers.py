"""Sparsifiers of task vectors: by magnitude, and by chance.

At a density of 1 or more every one of them leaves a task vector as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Usage
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.bands import Band, Ranks, bands, share_of
from wtool.transforms.merging.identities import identities
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.task_vector_data import delta, magnitude, task_vector_data
from wtool.transforms.merging.totals import totals
from wtool.transforms.streams import CHUNK, Stream, drawn, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sparsify = Callable[[int, "NDArray[np.float64]", int], "NDArray[np.float64]"]
"""From a model's number, a block of its task vector, and the block's position to the sparse block, in place."""

Sparsifier = Callable[[Data, Settings], Mapping[str, Sparsify]]
"""From the tensors to path -> what makes the task vectors of a tensor sparse; none for those that stay as they are."""

SMALL = 1e-7
"""Task vectors whose magnitudes add up to less are not rescaled to keep that sum."""


def largest(data: Data, settings: Settings) -> Mapping[str, Sparsify]:
    """The k = max(1, floor(density * n)) largest magnitudes of n values are kept; none at density 0."""
    return _by_rank(data, settings, _largest)


def _largest(settings: Settings, site: Site, number: int, size: int) -> tuple[int, int]:
    return size - _count(settings, site, number, size), size


def without_outliers(data: Data, settings: Settings) -> Mapping[str, Sparsify]:
    """The floor(gamma * n) largest magnitudes of n values go, and max(1, floor(density * n)) below them are kept.

    Where that is more than are left, the smallest ones are kept and fewer outliers go. Of a tensor with fewer than
    1 / gamma values no outlier goes. (mergekit before 0.1.5 lost the whole task vector there.)
    """
    return _by_rank(data, settings, _without_outliers)


def _without_outliers(settings: Settings, site: Site, number: int, size: int) -> tuple[int, int]:
    count = _count(settings, site, number, size)
    if count >= size:
        return 0, size
    first = max(0, size - count - share_of(settings.number("gamma", site), size))
    return first, first + count


def _count(settings: Settings, site: Site, number: int, size: int) -> int:
    """How many of the values that are ranked together are kept."""
    density = float(settings.of_models("density", site)[number])
    return max(1, share_of(density, size)) if density > 0 else 0


def _by_rank(
    data: Data, settings: Settings, ranks: Callable[[Settings, Site, int, int], tuple[int, int]]
) -> Mapping[str, Sparsify]:
    """Keeps values by the ranks of their magnitudes; nothing is looked at where all are kept."""
    sites = [site for site in data.sites if site.size]
    is_global = settings.word("scope") == "global"
    if is_global:
        _refuse_differing(settings, sites)
    together = [tuple(sites)] if is_global and sites else [(site,) for site in sites]
    view = task_vector_data(data, settings.models)
    asked: list[Ranks] = []
    for each in together:
        size = sum(site.size for site in each)
        for number in range(settings.models):
            first, stop = ranks(settings, each[0], number, size)
            if (first, stop) != (0, size):
                asked.append(Ranks(tuple(view.vectors[site.path][number] for site in each), first, stop))
    kept = {path: band for found in bands(view, asked, magnitude) for path, band in found.items()}
    found = {site.path: [kept.get(vector.path) for vector in view.vectors[site.path]] for site in sites}
    return {path: partial(_keep, each) for path, each in found.items() if any(each)}


def _refuse_differing(settings: Settings, sites: Sequence[Site]) -> None:
    for name in ("density", "gamma"):
        if name in settings.takes and len({tuple(settings.of_models(name, site)) for site in sites}) > 1:
            raise Usage(f"with --scope global all tensors of a model are ranked together, and have one --{name}")


def _keep(kept: Sequence[Band | None], number: int, vector: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    band = kept[number]
    return vector if band is None else np.multiply(vector, band.kept(np.abs(vector), start), out=vector)


def at_random(data: Data, settings: Settings) -> Mapping[str, Sparsify]:
    """DARE: each value is kept with the probability `density`, by itself, and the kept ones are rescaled.

    `expected` divides them by the density, as the paper does: the mean over all random numbers is the task vector.
    `l1` multiplies them so that their magnitudes add up to what they did before, as mergekit does; that takes a pass
    over the tensors before the writing one. `none` leaves them.

    Source: Yu et al., arXiv:2311.03099.
    """
    keys = identities(data, settings)
    drawing = {
        site.path: [
            _Drawing(stream(settings.seed, f"merge {key}", site.path), site.size, float(density))
            for key, density in zip(keys, settings.of_models("density", site), strict=True)
        ]
        for site in data.sites
    }
    factors = _factors(data, settings, drawing)
    return {path: partial(_draw, each, factors[path]) for path, each in drawing.items()}


class _Drawing:
    """Which values of a task vector are kept by chance."""

    def __init__(self, source: Stream, size: int, density: float) -> None:
        self.source, self.size, self.density = source, size, density

    def kept(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Mask of the values [start, stop) of the tensor that are kept."""
        numbers = drawn(self.source, self.size, start, stop, lambda generator, count: generator.random(count))
        return np.asarray(numbers < self.density)


def _draw(
    drawing: Sequence[_Drawing], factors: Sequence[float], number: int, vector: NDArray[np.float64], start: int
) -> NDArray[np.float64]:
    if drawing[number].density >= 1:
        return vector
    np.multiply(vector, drawing[number].kept(start, start + len(vector)), out=vector)
    return np.multiply(vector, factors[number], out=vector)


def _factors(
    data: Data, settings: Settings, drawing: Mapping[str, Sequence[_Drawing]]
) -> Mapping[str, Sequence[float]]:
    """For each tensor, what the kept values of each model are multiplied by."""
    rescale = settings.word("rescale")
    if rescale == "expected":
        return {path: [1 / one.density if one.density else 1.0 for one in each] for path, each in drawing.items()}
    ones = {path: [1.0] * settings.models for path in drawing}
    if rescale == "none":
        return ones

    def terms(site: Site, blocks: Blocks, start: int) -> list[NDArray[np.float64]]:
        sizes = [np.abs(delta(block, blocks[0])) for block in blocks[1:]]
        kept = [each.kept(start, start + len(blocks[0])) for each in drawing[site.path]]
        return [*sizes, *(size * mask for size, mask in zip(sizes, kept, strict=True))]

    wanted = [site for site in data.sites if any(each.density < 1 for each in drawing[site.path])]
    sums = totals(data, wanted, terms, CHUNK)
    return ones | {path: _ratios(each[: settings.models], each[settings.models :]) for path, each in sums.items()}


def _ratios(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """What keeps the sums of magnitudes; 1 for one that is next to nothing."""
    return [old / new if old >= SMALL and new >= SMALL else 1.0 for old, new in zip(before, after, strict=True)]
