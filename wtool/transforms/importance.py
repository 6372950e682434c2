"""Criteria of channels: how much each channel of a group matters, from the weights that have the channels.

A criterion is one function with its names; what may be chosen, help and documentation follow. Its docstring is the
formula of a channel's score in one weight. The score in the group is the mean over the weights that count, divided by
the mean over all channels of the group, so that groups compare. This module imports no NumPy at its top, since
`wtool shrink --help` reads the names.

Sources: Fang, Ma, Song, Mi & Wang, "DepGraph: Towards Any Structural Pruning", arXiv:2301.12900; Li et al., "Pruning
Filters for Efficient ConvNets", arXiv:1608.08710 (l1); Liu et al., "Learning Efficient Convolutional Networks through
Network Slimming", arXiv:1708.06519 (bn-scale); He et al., "Filter Pruning via Geometric Median", arXiv:1811.00250
(fpgm); Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", arXiv:2010.07611 (lamp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import TYPE_CHECKING, Literal, TypeVar

from wtool.errors import Refused
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.dtypes import Array
    from wtool.transforms.streams import Stream

BLOCK = 1 << 18  # values that are converted to float64 at a time
ROWS = 1 << 21  # distances between channels that are held at a time
ROUNDING = 1e-13  # of the squares of two filters: a square of their distance below this share is none

MOST_FILTERS = 1 << 16
"""Channels of a group whose distances from one another are measured; of more, that would take minutes."""

Kind = Literal["kernel", "gamma"]


@dataclass(frozen=True, eq=False)
class Part:
    """A weight that has channels of a group along an axis.

    Attributes:
        path: of the weight, for messages.
        kind: what the weight is.
        axis: of the weight.
        channels: for each position along the axis the channel of the group; -1 where it has none of them.
        read: returns the weight's values.
    """

    path: str
    kind: Kind
    axis: int
    channels: Array
    read: Callable[[], Array]


Score = TypeVar("Score", bound="Callable[..., Array]")


@dataclass(frozen=True, slots=True)
class Criterion:
    """What makes a channel matter.

    Attributes:
        score: from the values of a weight, the axis, the channel at each position and the number of channels to a
            score for each channel, shape (n,).
        kinds: which weights count; none, where the scores are random numbers.
        is_lamp: whether a score is divided by the sum of the scores from it upwards, instead of by the mean.
    """

    score: Callable[..., Array]
    kinds: tuple[Kind, ...]
    is_lamp: bool = False

    @property
    def formula(self) -> str:
        """The formula of the score, for the documentation."""
        return (self.score.__doc__ or "").rstrip(".")


CHANNEL_CRITERIA: dict[str, Criterion] = {}
"""Name -> criterion."""


def criterion(name: str, *kinds: Kind, is_lamp: bool = False) -> Callable[[Score], Score]:
    """Returns a decorator that registers a function as a criterion of channels."""

    def registered(score: Score) -> Score:
        CHANNEL_CRITERIA[name] = Criterion(score, kinds, is_lamp)
        return score

    return registered


@criterion("l2", "kernel", "gamma")
def squares(values: Array, axis: int, channels: Array, size: int) -> Array:
    """sum(w^2) over kernels and gammas."""
    return _summed(values, axis, channels, size, lambda block: block * block)


@criterion("l1", "kernel", "gamma")
def magnitudes(values: Array, axis: int, channels: Array, size: int) -> Array:
    """sum(abs(w)) over kernels and gammas."""
    return _summed(values, axis, channels, size, abs)


@criterion("bn-scale", "gamma")
def scales(values: Array, axis: int, channels: Array, size: int) -> Array:
    """abs(gamma) of the normalisations."""
    return _summed(values, axis, channels, size, abs)


@criterion("fpgm", "kernel")
def distances(values: Array, axis: int, channels: Array, size: int) -> Array:
    """sum of the Euclidean distances between the channel's weights in a kernel and those of each other channel."""
    import numpy as np

    if size > MOST_FILTERS:
        raise Refused(f"a layer has {size:,} channels, too many for fpgm to measure the distance of each from each")
    filters, held = _filters(values, axis, channels, size)
    count, width = filters.shape
    found = np.zeros(size)
    rows = max(1, ROWS // max(1, count))
    columns = max(1, BLOCK // max(1, count))
    for first in range(0, count, rows):
        products = np.zeros((min(rows, count - first), count))
        squared = np.zeros(count)
        for start in range(0, width, columns):
            block = filters[:, start : start + columns].astype(np.float64)
            products += block[first : first + rows] @ block.T
            squared += np.einsum("ij,ij->i", block, block)
        both = squared[first : first + rows, None] + squared
        square = both - 2 * products
        square[square <= ROUNDING * both] = 0  # equal filters have no distance
        found[held[first : first + rows]] = np.sqrt(square).sum(axis=1)
    return found


@criterion("lamp", "kernel", "gamma", is_lamp=True)
def lamp(values: Array, axis: int, channels: Array, size: int) -> Array:
    """sum(w^2) over kernels and gammas; of the group, divided by the sum over all channels that score no less."""
    return squares(values, axis, channels, size)


@criterion("random")
def random(source: Stream, size: int) -> Array:
    """a random number: the control."""
    import numpy as np

    from wtool.transforms.streams import drawn

    return drawn(source, size, 0, size, np.random.Generator.random)


def scores(name: str, parts: Iterable[Part], size: int, source: Stream) -> Array | None:
    """Returns how much each channel of a group matters, shape (size,), float64; None where no weight tells.

    Args:
        name: of the criterion.
        parts: the weights of the group. One is held at a time.
        size: how many channels the group has.
        source: the random numbers of the group.

    Raises:
        Refused: a weight that counts has values that are not finite.
    """
    import numpy as np

    chosen = CHANNEL_CRITERIA[name]
    if not chosen.kinds:
        return chosen.score(source, size)
    total, count = np.zeros(size), np.zeros(size)
    for part in parts:
        if part.kind not in chosen.kinds:
            continue
        found = chosen.score(part.read(), part.axis, part.channels, size)
        if not np.isfinite(found).all():
            raise Refused(
                f"{part.path} has values that are not finite, and no channel can be told from another by them"
            )
        total += found
        count[np.unique(part.channels[part.channels >= 0])] += 1
    if not count.any():
        return None
    means: Array = total / np.maximum(count, 1)
    return _lamp(means) if chosen.is_lamp else _by_mean(means)


def _by_mean(means: Array) -> Array:
    mean = means.mean()
    return means / mean if mean > 0 else means


def _lamp(means: Array) -> Array:
    """Each divided by the sum of itself and of all that are higher; of equal ones, the later one is higher."""
    import numpy as np

    order = np.argsort(means, kind="stable")[::-1]
    above = np.cumsum(means[order])
    found = np.empty(len(means))
    found[order] = means[order] / np.where(above > 0, above, 1)
    return found


def _summed(values: Array, axis: int, channels: Array, size: int, of: Callable[[Array], Array]) -> Array:
    """The sum of a function of the weights, over all positions of each channel and all other axes."""
    import numpy as np

    cube = values.reshape(prod(values.shape[:axis]), values.shape[axis], prod(values.shape[axis + 1 :]))
    before, positions, after = cube.shape
    rows = max(1, BLOCK // max(1, after))
    deep = max(1, BLOCK // max(1, min(rows, positions) * after))
    totals = np.zeros(positions)
    for start in range(0, positions, rows):
        for first in range(0, before, deep):
            block = cube[first : first + deep, start : start + rows].astype(np.float64)
            totals[start : start + rows] += of(block).sum(axis=2).sum(axis=0)
    held = channels >= 0
    return np.bincount(channels[held], totals[held], minlength=size)


def _filters(values: Array, axis: int, channels: Array, size: int) -> tuple[Array, Array]:
    """The weights of each channel in a row, shape (count, width), and which channels the rows are of.

    A channel of fewer positions than others has zeros in the place of those that it lacks.
    """
    import numpy as np

    held = np.flatnonzero(channels >= 0)
    order = held[np.argsort(channels[held], kind="stable")]
    own, counts = np.unique(channels[held], return_counts=True)
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    deepest = int(counts.max(initial=0))
    if (counts == deepest).all():
        return rows[order].reshape(len(own), -1), own
    filters = np.zeros((len(own), deepest, rows.shape[1]), values.dtype)
    row = np.repeat(np.arange(len(own)), counts)
    nth = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    filters[row, nth] = rows[order]
    return filters.reshape(len(own), -1), own


NAMES = tuple(CHANNEL_CRITERIA)
"""All names that may be chosen."""
