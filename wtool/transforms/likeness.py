"""How alike models are: sums over their values that tell cosines, signs that disagree, and the norm of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wtool.transforms.averaging import CACHE_BLOCK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wtool.dtypes import Array


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over the values of a tensor in n models, and in their base if there is one.

    What is compared are the values of the models, or with a base their differences from it.

    Attributes:
        products: inner products of what is compared, shape (n, n); with a base its own row and column are the last.
        opposed: how many pairs of values at the same position have different signs.
        pairs: how many pairs of values at the same position have signs, that is, are not zero.
        nonfinite: how many values of each model (and the base) are NaN or infinite, and count as 0 in all other sums.
        nonzero: how many values of each model (and the base) are not zero.
        size: how many values the tensor has, as far as it was looked at.
    """

    products: NDArray[np.float64]
    opposed: float
    pairs: float
    nonfinite: NDArray[np.int64]
    nonzero: NDArray[np.int64]
    size: int

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.products + other.products,
            self.opposed + other.opposed,
            self.pairs + other.pairs,
            self.nonfinite + other.nonfinite,
            self.nonzero + other.nonzero,
            self.size + other.size,
        )


def sums_of(blocks: Sequence[Array], has_base: bool) -> Sums:
    """Returns the sums over blocks of a tensor, in float64.

    Args:
        blocks: of n models, shape (size,) and floating; with that of their base behind them if `has_base`.
        has_base: whether the models are compared by their differences from a base.
    """
    parts = range(0, max(1, blocks[0].size), CACHE_BLOCK)
    found = [_of_part([block[start : start + CACHE_BLOCK] for block in blocks], has_base) for start in parts]
    return sum(found[1:], found[0])


def _of_part(blocks: Sequence[Array], has_base: bool) -> Sums:
    values = np.stack([block.astype(np.float64) for block in blocks])
    finite = np.isfinite(values)
    values[~finite] = 0
    nonzero = np.count_nonzero(values, axis=1)
    compared = values[: len(blocks) - has_base]
    if has_base:
        compared -= values[-1]
    above = np.count_nonzero(compared > 0, axis=0).astype(np.float64)
    below = np.count_nonzero(compared < 0, axis=0).astype(np.float64)
    signed = above + below
    with np.errstate(over="ignore", invalid="ignore"):  # products of the largest float64 values
        products = values @ values.T
    pairs = float((signed * (signed - 1) / 2).sum())
    nonfinite = finite.shape[1] - np.count_nonzero(finite, axis=1)
    return Sums(products, float((above * below).sum()), pairs, nonfinite, nonzero, blocks[0].size)


def of_models(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products of models and their base, from those of the models' differences from the base and the base.

    Args:
        products: shape (n+1, n+1); the last row and column are the base's.

    Returns:
        shape (n+1, n+1); the last row and column are the base's.
    """
    shift = np.eye(len(products))
    shift[:-1, -1] = 1  # a model is its difference and the base
    return np.asarray(shift @ products @ shift.T, np.float64)


def cosines(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each pair, shape (n, n); NaN for a vector of zeros."""
    norms = np.sqrt(np.diagonal(products))
    with np.errstate(all="ignore"):
        return np.asarray(products / np.outer(norms, norms), np.float64)


def mean_of_pairs(values: NDArray[np.float64]) -> float | None:
    """Mean over all pairs of different models, of a symmetric array of shape (n, n); without NaN. None for no pair."""
    upper = values[np.triu_indices(len(values), 1)]
    known = upper[~np.isnan(upper)]
    return float(known.mean()) if known.size else None


def norm_of_mean(products: NDArray[np.float64], shares: NDArray[np.float64]) -> float | None:
    """Norm of a weighted mean, divided by the weighted mean of the norms: 1 for vectors of one direction.

    For n independent vectors of one length and equal shares it is about 1/sqrt(n). None where all vectors are zero.

    Args:
        products: inner products of the vectors, shape (n, n).
        shares: of the vectors in the mean, shape (n,).
    """
    with np.errstate(all="ignore"):
        norm = np.sqrt(max(0.0, float(shares @ products @ shares)))
        norms = float(np.abs(shares) @ np.sqrt(np.diagonal(products)))
    return float(norm / norms) if 0 < norms < np.inf else None
