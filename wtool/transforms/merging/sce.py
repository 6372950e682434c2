"""SCE: select the values that differ most between the models, calculate weights, erase minority signs.

Source: Wan et al., "FuseChat", arXiv:2408.07990.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.bands import Band, Ranks, bands, share_of
from wtool.transforms.merging.method import Prepared
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.task_vector_data import delta
from wtool.transforms.merging.task_vectors import STEP, elected
from wtool.transforms.merging.totals import totals
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sce(data: Data, settings: Settings) -> Prepared:
    """b + sum_i(w_i M_i d_i) / max(sum_i(w_i M_i), 1e-6), in which d_i are the selected values of the task vectors.

    Selected are the k = floor(select_topk * nonzero) values of a tensor with the largest variance over the models,
    where nonzero is how many values differ between models at all; the others stay the base's. With select_topk 1 all
    are. w_i is mean(d_i^2), divided by the sum over the models; equal weights where all d_i are zero. M_i tells which
    values of d_i have the sign of sum_i(d_i); a zero sum counts as positive.

    mergekit takes equal weights also where the means add up to less than 1e-6.
    """
    shares = {site.path: settings.number("select_topk", site) for site in data.sites}
    kept = _selected(data, {path: share for path, share in shares.items() if share < 1})
    energies = totals(data, data.sites, partial(_squares, kept))
    return Prepared({path: _Merge(_weights(np.array(sums)), kept.get(path)) for path, sums in energies.items()})


def _selected(data: Data, shares: Mapping[str, float]) -> Mapping[str, Band]:
    """Path of each tensor that is not merged whole -> which variances are selected."""
    sites = [site for site in data.sites if site.path in shares]
    differing = {path: int(sums[0]) for path, sums in totals(data, sites, _differing).items()}
    asked = [
        Ranks((site,), site.size - share_of(shares[site.path], differing[site.path]), site.size)
        for site in sites
        if site.path in differing
    ]
    return {path: band for found in bands(data, asked, _score) for path, band in found.items()}


def _differing(site: Site, blocks: Blocks, start: int) -> list[NDArray[np.float64]]:
    differs = np.zeros(len(blocks[0]), np.bool_)
    for block in blocks[2:]:
        differs |= block != blocks[1]
    return [differs.astype(np.float64)]


def _squares(kept: Mapping[str, Band], site: Site, blocks: Blocks, start: int) -> list[NDArray[np.float64]]:
    return [np.square(vector) for vector in _vectors(kept.get(site.path), blocks, start)]


def _vectors(band: Band | None, blocks: Blocks, start: int) -> list[NDArray[np.float64]]:
    """The task vectors of a block, with zeros where nothing is selected."""
    vectors = [delta(block, blocks[0]) for block in blocks[1:]]
    if band is not None:
        kept = band.kept(variance(blocks), start)
        for vector in vectors:
            np.multiply(vector, kept, out=vector)
    return vectors


def _weights(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    total = energies.sum()
    return energies / total if total > 0 else np.full(len(energies), 1 / len(energies))


def _score(site: Site, blocks: Blocks, start: int) -> Array:
    return variance(blocks)


def variance(blocks: Blocks) -> NDArray[np.float64]:
    """Returns N^2 times the variance over N models, shape (n,).

    That is the sum of the squared differences of all pairs, which is exactly 0 for equal values.
    """
    total = np.zeros(len(blocks[0]))
    for left, right in combinations(blocks[1:], 2):
        total += np.square(delta(left, right))
    return total


@dataclass(frozen=True, slots=True, eq=False)
class _Merge:
    """Merges blocks of a tensor with the weights of the models, shape (models,)."""

    weights: NDArray[np.float64]
    band: Band | None

    def __call__(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        result = np.empty(len(blocks[0]))
        for low in range(0, len(result), STEP):
            part = [block[low : low + STEP] for block in blocks]
            np.add(self._change(part, start + low), part[0].astype(np.float64), out=result[low : low + STEP])
        return result

    def _change(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        vectors = _vectors(self.band, blocks, start)
        up, down = np.zeros((2, len(blocks[0])))
        for vector in vectors:
            up += np.maximum(vector, 0)
            down += np.minimum(vector, 0)
        is_up = elected(up, down, len(vectors))
        total, divisor = np.zeros((2, len(blocks[0])))
        for vector, weight in zip(vectors, self.weights, strict=True):
            agrees = (vector > 0) & is_up | (vector < 0) & ~is_up
            np.multiply(vector, agrees, out=vector)
            total += np.multiply(vector, weight, out=vector)
            divisor += weight * agrees
        return np.divide(total, np.maximum(divisor, 1e-6), out=total)
