"""Weighted sums: merges in which each value of the result depends on the values at its own position only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Usage
from wtool.transforms.change import Blocks, Data
from wtool.transforms.merging.method import Prepared
from wtool.transforms.merging.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


def linear(data: Data, settings: Settings) -> Prepared:
    """sum_i(w_i m_i) / sum_i(w_i); without `normalize`, sum_i(w_i m_i). No pass before the writing one.

    Terms are added in the order of the models and then divided, as `numpy.average` does.

    Raises:
        Usage: the weights of a tensor add up to zero, and are to be normalised.
    """
    combines = {}
    for site in data.sites:
        weights = settings.of_models("weight", site)
        total = weight_sum(weights, site.path) if settings.flag("normalize") else 1.0
        combines[site.path] = partial(_mean, weights, total)
    return Prepared(combines)


def wise_ft(data: Data, settings: Settings) -> Prepared:
    """(1 - t) b + t m, between a model before and after fine-tuning. No pass before the writing one.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv:2109.01903.
    """
    shares = {site.path: settings.number("t", site) for site in data.sites}
    return Prepared({path: partial(_mean, np.array([1 - t, t]), 1.0) for path, t in shares.items()})


def weight_sum(
    weights: NDArray[np.float64], path: str, remedy: str = "--no-normalize leaves them as they are"
) -> float:
    """Returns the sum of a tensor's weights, shape (models,), for results to be divided by.

    Args:
        weights: one for each model.
        path: of the tensor, for messages.
        remedy: what the message says besides.

    Raises:
        Usage: the sum is zero but for rounding errors.
    """
    total = float(weights.sum())
    if not abs(total) > len(weights) * np.finfo(np.float64).eps * float(np.abs(weights).sum()):
        raise Usage(f"the weights of {path} add up to 0, so they cannot be normalised; {remedy}")
    return total


def _mean(weights: NDArray[np.float64], total: float, blocks: Blocks, start: int) -> NDArray[np.float64]:
    result = weighted_sum(blocks, weights)
    return result if total == 1 else np.divide(result, total, out=result)


def weighted_sum(blocks: Blocks, weights: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """sum_i(w_i x_i) in float64, added in order; terms of weight 0 are left out, so that 1 and 0 give a block's bits.

    Args:
        blocks: arrays of one shape (n,), of any floating dtype.
        weights: one for each block.
    """
    result = term = None
    for block, weight in zip(blocks, weights, strict=True):
        if weight == 0:
            continue
        if result is None:
            result = block.astype(np.float64)
            np.multiply(result, weight, out=result)
            continue
        term = np.empty(result.shape) if term is None else term
        np.copyto(term, block)
        np.multiply(term, weight, out=term)
        np.add(result, term, out=result)
    return np.zeros(blocks[0].shape) if result is None else result
