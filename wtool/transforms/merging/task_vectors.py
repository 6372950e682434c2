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

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.della import Pruning, pruning
from wtool.transforms.merging.linear import weighted_sum
from wtool.transforms.merging.method import Combine, Prepared
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.sparsifiers import Sparsifier, Sparsify, at_random, largest, without_outliers
from wtool.transforms.merging.task_vector_data import delta
from wtool.transforms.streams import CHUNK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 16_384
"""Values that are merged at a time: a few float64 blocks of so many fit into the L2 cache."""

EPSILON = float(np.finfo(np.float64).eps)


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
        step: values that are merged at a time.
    """

    weights: NDArray[np.float64]
    scale: float
    normalize: bool
    consensus: bool
    sparsify: Sparsify | None = None
    sign_of_zero: int = 1
    step: int = STEP

    def __call__(self, blocks: Blocks, start: int) -> NDArray[np.float64]:
        """Merges blocks of the base and of the models."""
        result = np.empty(len(blocks[0]))
        for low in range(0, len(result), self.step):
            part = [block[low : low + self.step] for block in blocks]
            total = (self._agreeing if self.consensus else self._all)(part, start + low)
            np.multiply(total, self.scale, out=total)
            np.add(total, part[0].astype(np.float64), out=result[low : low + self.step])
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
        total = either(is_up, up, down)
        if self.normalize:
            divisor = either(is_up, weights_up, weights_down)
            np.add(divisor, divisor == 0, out=divisor)
            np.divide(total, divisor, out=total)
        return total

    def sums(self, blocks: Blocks, start: int) -> tuple[Array, Array, Array, Array]:
        """Sums of the positive u_i, of the negative u_i, and of the weights of both, where there is a division."""
        size = len(blocks[0])
        common = float(self.weights[0])
        is_counted = len(self.weights) < 256 and bool((self.weights == common).all())
        up, down = np.zeros((2, size))
        weights_up, weights_down = np.zeros((2, size), np.uint8 if is_counted else np.float64)
        for number, weight in enumerate(self.weights):
            if weight == 0:
                continue
            vector = self.sparse(number, blocks, start)
            if weight != 1:
                np.multiply(vector, weight, out=vector)
            if self.normalize:
                weights_up += (vector > 0) if is_counted else np.multiply(vector > 0, weight)
                weights_down += (vector < 0) if is_counted else np.multiply(vector < 0, weight)
            positive = np.maximum(vector, 0)
            np.add(up, positive, out=up)
            np.subtract(vector, positive, out=vector)
            np.add(down, vector, out=down)
        if is_counted:
            return up, down, weights_up * common, weights_down * common
        return up, down, weights_up, weights_down


def either(condition: NDArray[np.bool_], values: Array, others: Array) -> Array:
    """Returns finite values where a condition holds and others elsewhere; both arrays are overwritten.

    Twice as fast as `numpy.where` for signs, which no processor can foresee.
    """
    np.multiply(values, condition, out=values)
    np.multiply(others, ~condition, out=others)
    return np.add(values, others, out=values)


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


def task_arithmetic(data: Data, settings: Settings) -> Prepared:
    """b + lambda sum_i(w_i d_i). No pass before the writing one."""
    return Prepared(_added(data, settings, consensus=False))


def ties(data: Data, settings: Settings) -> Prepared:
    """Consensus of the `sparsifiers.largest` values.

    In the scope `tensor`, the values of a tensor are ranked together, and a sum of zero counts as +1. In the scope
    `global`, those of all tensors are, and a sum of zero counts as the sign that most sums have, as in the code of the
    paper's authors.
    """
    return _sparse(data, settings, largest, consensus=True)


def breadcrumbs(data: Data, settings: Settings) -> Prepared:
    """The weighted sum of the task vectors `sparsifiers.without_outliers`.

    Source: Davari & Belilovsky, "Model breadcrumbs", arXiv:2312.06795.
    """
    return _sparse(data, settings, without_outliers, consensus=False)


def breadcrumbs_ties(data: Data, settings: Settings) -> Prepared:
    """Consensus of the task vectors `sparsifiers.without_outliers`."""
    return _sparse(data, settings, without_outliers, consensus=True)


def dare_linear(data: Data, settings: Settings) -> Prepared:
    """The weighted sum of the values that `sparsifiers.at_random` keeps."""
    return _sparse(data, settings, at_random, consensus=False, step=CHUNK)


def dare_ties(data: Data, settings: Settings) -> Prepared:
    """Consensus of the values that `sparsifiers.at_random` keeps."""
    return _sparse(data, settings, at_random, consensus=True, step=CHUNK)


def della(data: Data, settings: Settings) -> Prepared:
    """Consensus of the values that `della.Pruning` keeps."""
    return _whole(data, settings, consensus=True)


def della_linear(data: Data, settings: Settings) -> Prepared:
    """The weighted sum of the values that `della.Pruning` keeps."""
    return _whole(data, settings, consensus=False)


def _added(
    data: Data, settings: Settings, consensus: bool, sparse: Mapping[str, Sparsify] | None = None, step: int = STEP
) -> Mapping[str, Added]:
    return {
        site.path: Added(
            settings.of_models("weight", site),
            settings.number("lambda", site),
            settings.flag("normalize"),
            consensus,
            None if sparse is None else sparse.get(site.path),
            step=step,
        )
        for site in data.sites
    }


def _sparse(data: Data, settings: Settings, sparsifier: Sparsifier, consensus: bool, step: int = STEP) -> Prepared:
    added = _added(data, settings, consensus, sparsifier(data, settings), step)
    if consensus and "scope" in settings.takes and settings.word("scope") == "global":
        sign = _most_frequent_sign(data, added)
        added = {path: replace(each, sign_of_zero=sign) for path, each in added.items()}
    return Prepared(added)


def _most_frequent_sign(data: Data, added: Mapping[str, Added]) -> int:
    """Returns the sign that most sums of all tensors together have; +1 where there are as many of both."""

    def look(site: Site, blocks: Blocks, start: int) -> int:
        total = 0
        for low in range(0, len(blocks[0]), STEP):
            up, down, *_ = added[site.path].sums([block[low : low + STEP] for block in blocks], start + low)
            models = len(blocks) - 1
            positive, negative = elected(up, down, models, sign_of_zero=-1), ~elected(up, down, models)
            total += int(np.count_nonzero(positive)) - int(np.count_nonzero(negative))
        return total

    return -1 if sum(found for _, _, found in data.walk(look, data.sites)) < 0 else 1


def _whole(data: Data, settings: Settings, consensus: bool) -> Prepared:
    added, found = _added(data, settings, consensus), pruning(data, settings)
    combines: dict[str, Combine] = {
        path: partial(_pruned, each, found[path]) if path in found else each for path, each in added.items()
    }
    return Prepared(combines, frozenset(found))


def _pruned(added: Added, how: Pruning, blocks: Blocks, start: int) -> NDArray[np.float64]:
    return replace(added, sparsify=how.sparsify(blocks))(blocks, start)
