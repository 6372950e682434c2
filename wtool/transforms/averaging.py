"""Weighted means of checkpoints: coefficients by age, and the mean itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import Array, round_into
from wtool.errors import Usage, counted
from wtool.transforms.power import power_coefficients

if TYPE_CHECKING:
    from numpy.typing import NDArray

CACHE_BLOCK = 32_768  # elements: two float64 blocks of it fit into the L2 cache beside the data
_scratch = threading.local()  # fresh memory costs a page fault every 4 KiB, and there are gigabytes to go through
SMALLEST = 1e-290  # the sum of magnitudes: coefficients that are smaller still lose digits, as subnormal numbers do
PAIRWISE = 8  # from so many terms on, NumPy adds up a contiguous axis in pairs


def equal(count: int) -> NDArray[np.float64]:
    """1 for each of `count` checkpoints."""
    return np.ones(count)


def linear(count: int) -> NDArray[np.float64]:
    """k for the k-th oldest of `count`: the newest counts `count` times as much as the oldest."""
    return np.arange(1.0, count + 1)


def exponential(count: int, decay: float) -> NDArray[np.float64]:
    """decay**age, the newest of `count` checkpoints having age 0, in order oldest to newest.

    Raises:
        Usage: decay is not in (0, 1].
    """
    if not 0 < decay <= 1:
        raise Usage(f"a decay of {decay} is not between 0 (excluded) and 1")
    return np.asarray(np.power(decay, np.arange(count - 1.0, -1, -1)), np.float64)


def polyak(count: int, alpha: float) -> NDArray[np.float64]:
    """e**(-i/alpha), i = 1 for the newest of `count` checkpoints, in order oldest to newest.

    Source: the weight-averaging ensemble of the Polyak-averaging tutorial, where alpha is 2.

    Raises:
        Usage: alpha is not above 0.
    """
    if not alpha > 0:
        raise Usage(f"an alpha of {alpha} is not above 0")
    return np.exp(-np.arange(float(count), 0, -1) / alpha)


def given(count: int, coefficients: Sequence[float]) -> NDArray[np.float64]:
    """The coefficients as they are, one for each of `count` checkpoints, oldest to newest.

    Raises:
        Usage: too many or too few, or not finite.
    """
    weights = np.asarray(coefficients, dtype=np.float64)
    if len(weights) != count:
        raise Usage(f"{counted(len(weights), 'coefficient')} for {counted(count, 'checkpoint')}")
    if not np.isfinite(weights).all():
        raise Usage("the coefficients are not all finite numbers")
    return weights


def power(count: int, over: Mapping[str, Any]) -> NDArray[np.float64]:
    """The coefficients of a power-function average.

    Args:
        count: of checkpoints.
        over: `exponent` -> the exponent, `times` -> the time of each checkpoint, oldest first.

    Raises:
        Usage: the times do not grow from above 0, or the exponent is not above -1.
    """
    return power_coefficients(over["times"], over["exponent"])


def normalised(weights: NDArray[np.float64]) -> list[float]:
    """The weights divided by their sum.

    Raises:
        Usage: the sum is zero but for rounding errors, or no number: nothing to normalise by; or all coefficients are
            so small that digits of them are lost.
    """
    with np.errstate(all="ignore"):
        total, size = weights.sum(), np.abs(weights).sum()
    if not np.isfinite(size) or not abs(total) > len(weights) * np.finfo(np.float64).eps * size:
        raise Usage("the coefficients add up to zero or to no number, so they cannot be normalised to 1")
    if size < SMALLEST:
        raise Usage(f"the coefficients are too small to calculate with: their magnitudes add up to {size:.3g}")
    return [float(share) for share in weights / total]


COEFFICIENTS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "equal": equal,
    "linear": linear,
    "exp": exponential,
    "alpha": polyak,
    "coefficients": given,
    "power": power,
}
"""Name on the command line -> function of (number of checkpoints[, the option's value])."""


def average(
    blocks: Sequence[Array], weights: NDArray[np.float64], whole_size: int = 0, out: Array | None = None
) -> Array:
    """Weighted mean, element by element: round(sum_i(w_i * x_i) / sum_i(w_i)), in float64 and rounded once.

    Bit for bit what `numpy.average(numpy.stack(blocks).astype(float64), axis=0, weights=weights)` gives before the
    rounding: the terms are added in order; only a single number is added up in pairs, as NumPy does along an axis.

    Args:
        blocks: arrays of one shape (n,) and one floating dtype, oldest first.
        weights: one for each block; they need not add up to 1.
        whole_size: elements of the tensor that the blocks are part of, if more than the blocks have.
        out: takes the result; it may be one of the blocks. A new array by default.

    Returns:
        `out`, of the blocks' shape and dtype.
    """
    size = blocks[0].size
    result = np.empty(size, blocks[0].dtype) if out is None else out
    with np.errstate(all="ignore"):  # NaN and infinities are the caller's to judge
        for start in range(0, size, CACHE_BLOCK):
            stop = min(start + CACHE_BLOCK, size)
            part = [block[start:stop] for block in blocks]
            round_into(result[start:stop], weighted_mean(part, weights, max(whole_size, size)))
    return result


def weighted_mean(blocks: Sequence[Array], weights: NDArray[np.float64], whole_size: int) -> NDArray[np.float64]:
    """Weighted mean before the rounding: sum_i(w_i * x_i) / sum_i(w_i), in float64.

    Args:
        blocks: arrays of one shape (n,), n <= `CACHE_BLOCK`, and one floating dtype, oldest first.
        weights: one for each block.
        whole_size: elements of the tensor that the blocks are part of.

    Returns:
        shape (n,), in this thread's scratch memory: the next call overwrites the values.
    """
    if whole_size == 1 and len(blocks) >= PAIRWISE:
        terms = np.concatenate([block.astype(np.float64) for block in blocks]) * weights
        return np.atleast_1d(terms.sum() / weights.sum())
    if not hasattr(_scratch, "space"):
        _scratch.space = np.empty((2, CACHE_BLOCK))
    sums: NDArray[np.float64] = _scratch.space[0, : blocks[0].size]
    term: NDArray[np.float64] = _scratch.space[1, : blocks[0].size]
    np.copyto(sums, blocks[0])
    np.multiply(sums, weights[0], out=sums)
    for block, weight in zip(blocks[1:], weights[1:], strict=True):
        np.copyto(term, block)
        if weight != 1.0:  # equal coefficients need no multiplication
            np.multiply(term, weight, out=term)
        np.add(sums, term, out=sums)
    np.divide(sums, weights.sum(), out=sums)
    return sums


def all_finite(values: Array) -> bool:
    """Whether an array, shape (n,), is free of NaN and infinities."""
    return all(
        bool(np.isfinite(values[start : start + CACHE_BLOCK]).all()) for start in range(0, values.size, CACHE_BLOCK)
    )
