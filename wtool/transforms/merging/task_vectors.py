"""The task-vector family: what fine-tuning changed, made sparse, weighted, added up, and added to the base.

A task vector is d_i = m_i - b, of the model m_i and the base b. For each tensor:

1. s_i is d_i with some values set to zero: the sparsifier's business.
2. u_i = w_i s_i.
3. With consensus, the sign of each value is elected, S = +1 where sum_i(u_i) >= 0 and -1 elsewhere, and only values
   with that sign count: num = sum of the u_i that agree, den = sum of their w_i; a zero agrees with neither sign.
   Without consensus, num = sum_i(u_i) and den = sum_i(w_i).
4. With `normalize`, num is divided by den, or by 1 where den is 0.
5. The result is b + lambda * num.

Sources: Ilharco et al., arXiv:2212.04089 (task arithmetic); Yadav et al., arXiv:2306.01708 (TIES); the table of methods
and their defaults are those of mergekit 0.1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Usage
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.bands import Band, BandOf, delta, magnitude_bands, share_of
from wtool.transforms.merging.linear import weighted_sum
from wtool.transforms.merging.method import Prepared, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 16_384  # values: a few float64 blocks of so many fit into the L2 cache
EPSILON = float(np.finfo(np.float64).eps)

Sparsify = Callable[[int, "NDArray[np.float64]", int], "NDArray[np.float64]"]
"""From a model's number, a block of its task vector, and the block's position to the sparse block, in place."""


@dataclass(frozen=True, slots=True)
class Added:
    """How sparse task vectors are added up for one tensor.

    Attributes:
        weights: one for each model, shape (models,).
        scale: lambda.
        normalize: whether the sum is divided by the weights that went into it.
        consensus: whether only values with the elected sign count.
        sparsify: makes a task vector sparse; None where it stays as it is.
        sign_of_zero: +1 or -1, the sign that is elected where the sum is zero.
    """

    weights: NDArray[np.float64]
    scale: float
    normalize: bool
    consensus: bool
    sparsify: Sparsify | None = field(default=None)
    sign_of_zero: int = 1

    def __call__(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        """Merges blocks of the base and of the models."""
        result = np.empty(len(blocks[0]))
        for low in range(0, len(result), STEP):
            part = [block[low : low + STEP] for block in blocks]
            total = (self._agreeing if self.consensus else self._all)(part, start + low)
            np.multiply(total, self.scale, out=total)
            np.add(total, part[0].astype(np.float64), out=result[low : low + STEP])
        return result

    def sparse(self, number: int, blocks: Blocks, start: int) -> NDArray[np.float64]:
        """The sparse task vector of a model."""
        difference = delta(blocks[1 + number], blocks[0])
        return difference if self.sparsify is None else self.sparsify(number, difference, start)

    def _all(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        vectors = [self.sparse(number, blocks, start) for number in range(len(self.weights))]
        total = weighted_sum(vectors, self.weights)
        divisor = float(self.weights.sum()) if self.normalize else 1.0
        return total if abs(divisor) < 1e-8 or divisor == 1 else np.divide(total, divisor, out=total)

    def _agreeing(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        up, down, weights_up, weights_down = self.sums(blocks, start)
        is_up = elected(up, down, len(self.weights), self.sign_of_zero)
        total = np.where(is_up, up, down)
        if self.normalize:
            divisor = np.where(is_up, weights_up, weights_down)
            divisor[divisor == 0] = 1
            np.divide(total, divisor, out=total)
        return total

    def sums(self, blocks: Blocks, start: int) -> tuple[NDArray[np.float64], ...]:
        """The sums of the positive u_i, of the negative u_i, and of their weights (where they are divided by)."""
        up, down, weights_up, weights_down = np.zeros((4, len(blocks[0])))
        for number, weight in enumerate(self.weights):
            if weight == 0:
                continue
            vector = self.sparse(number, blocks, start)
            np.multiply(vector, weight, out=vector)
            if self.normalize:
                weights_up += np.multiply(vector > 0, weight)
                weights_down += np.multiply(vector < 0, weight)
            positive = np.maximum(vector, 0)
            np.add(up, positive, out=up)
            np.subtract(vector, positive, out=vector)
            np.add(down, vector, out=down)
        return up, down, weights_up, weights_down


def elected(
    up: NDArray[np.float64], down: NDArray[np.float64], models: int, sign_of_zero: int = 1
) -> NDArray[np.bool_]:
    """Returns where the elected sign is +1: where the sum of all values is positive, or zero but for rounding.

    A sum that is zero for real numbers may come out as 1e-17 or -1e-17 in floating point, as the order of the models
    has it; both count as zero.

    Args:
        up: sums of the positive values, shape (n,).
        down: sums of the negative values.
        models: how many values were added.
        sign_of_zero: the sign that is elected where the sum is zero.
    """
    room = (models * EPSILON) * (up - down)
    return np.asarray(up + down >= -room if sign_of_zero > 0 else up + down > room)


def _prepared(
    data: Data,
    settings: Settings,
    consensus: bool,
    sparsifiers: Mapping[str, Sparsify] | None = None,
    is_global: bool = False,
) -> Prepared:
    found = sparsifiers or {}
    combines = {site.path: _added(site, settings, consensus, found.get(site.path)) for site in data.sites}
    if is_global:
        sign = _most_frequent_sign(data, combines)
        combines = {path: replace(each, sign_of_zero=sign) for path, each in combines.items()}
    return Prepared(combines)


def _most_frequent_sign(data: Data, combines: Mapping[str, Added]) -> int:
    """Returns the sign that most sums of all tensors together have; +1 where there are as many of both."""

    def look(site: Site, blocks: Blocks, start: int) -> int:
        total = 0
        for low in range(0, len(blocks[0]), STEP):
            up, down, *_ = combines[site.path].sums([block[low : low + STEP] for block in blocks], start + low)
            models = len(blocks) - 1
            least, most = elected(up, down, models, sign_of_zero=-1), elected(up, down, models)
            total += int(np.count_nonzero(least)) - int(np.count_nonzero(~most))
        return total

    return -1 if sum(found for _, _, found in data.walk(look, data.sites)) < 0 else 1


def _added(site: Site, settings: Settings, consensus: bool, sparsify: Sparsify | None) -> Added:
    weights, scale = settings.of_models("weight", site), settings.number("lambda", site)
    return Added(weights, scale, settings.flag("normalize"), consensus, sparsify)


def task_arithmetic(data: Data, settings: Settings) -> Prepared:
    """b + lambda * sum_i(w_i d_i). No pass before the writing one."""
    return _prepared(data, settings, consensus=False)


def ties(data: Data, settings: Settings) -> Prepared:
    """Consensus of the k = max(1, floor(density * n)) largest values of each task vector; of none at density 0.

    In the scope `tensor`, n are the values of a tensor, and a sum of zero counts as +1. In the scope `global`, n are
    those of all tensors together, and a sum of zero counts as the sign that most sums have, as in the authors' code.
    """
    trimmed = _trimming(data, settings, lambda site: partial(_largest, settings.of_models("density", site)))
    return _prepared(data, settings, True, trimmed, is_global=settings.word("scope") == "global")


def _largest(densities: NDArray[np.float64], number: int, size: int) -> tuple[int, int]:
    density = float(densities[number])
    return size - (max(1, share_of(density, size)) if density > 0 else 0), size


def _trimming(data: Data, settings: Settings, band: Callable[[Site], BandOf]) -> Mapping[str, Sparsify]:
    """Path of each tensor -> what keeps the values of a band of magnitudes; nothing is looked at where all are kept."""
    is_global = settings.word("scope") == "global"
    if is_global:
        _refuse_differing(data, settings)
    dense = all((settings.of_models("density", site) >= 1).all() for site in data.sites)
    if dense:
        return {}
    bands = magnitude_bands(data, settings.models, band, is_global)
    return {path: partial(_keep, found) for path, found in bands.items()}


def _refuse_differing(data: Data, settings: Settings) -> None:
    every = {tuple(settings.of_models("density", site)) for site in data.sites}
    if len(every) > 1:
        raise Usage("in the scope global all tensors of a model are ranked together, and have one --density")


def _keep(bands: list[Band], number: int, vector: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    mask = bands[number].kept(np.abs(vector), start)
    return np.multiply(vector, mask, out=vector)
