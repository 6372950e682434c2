"""DELLA: values of task vectors are kept by chance, the larger ones of an output unit with the greater probability.

Source: Deep et al., "DELLA-Merging", arXiv:2406.11617.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.errors import Usage
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.identities import identities
from wtool.transforms.merging.settings import Settings
from wtool.transforms.merging.sparsifiers import SMALL, Sparsify
from wtool.transforms.merging.task_vector_data import delta
from wtool.transforms.merging.units import row_blocks, rows_of
from wtool.transforms.streams import Stream, drawn, stream
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Pruning:
    """How the task vectors of a tensor are made sparse.

    A value with rank r of the R values of its output unit (1 is the lowest magnitude, the earlier of equal ones) is
    kept with the probability p = (density - epsilon) + 2 epsilon (r - 1) / (R - 1); p is the density where R is 1. The
    other axes of the kernel count together. (mergekit ranks along axis 1 of PyTorch's kernels, which for convolutions
    are the input channels alone.) A tensor with one dimension is one unit.

    `expected` divides a kept value by its p, as the paper does. `l1` multiplies all kept values of a tensor so that
    their magnitudes add up to what they did before, as mergekit does. `none` leaves them.

    Attributes:
        site: the tensor.
        densities: one for each model, shape (models,).
        epsilon: half the range of the probabilities.
        rescale: `expected`, `l1` or `none`.
        sources: the random numbers of each model.
    """

    site: Site
    densities: Sequence[float]
    epsilon: float
    rescale: str
    sources: Sequence[Stream]

    def sparsify(self, blocks: Blocks) -> Sparsify:
        """Returns what makes the task vectors sparse; the blocks are those of the whole tensor."""
        factors = [
            self._factors(number, blocks) if density < 1 else None for number, density in enumerate(self.densities)
        ]
        return partial(_scale, factors)

    def _factors(self, number: int, blocks: Blocks) -> NDArray[np.float64]:
        """What each value of a model's task vector is multiplied by: 0 where it goes."""
        site, density = self.site, self.densities[number]
        if density <= 0:
            return np.zeros(site.size)
        numbers = drawn(self.sources[number], site.size, 0, site.size, lambda generator, count: generator.random(count))
        factors = np.empty(site.size)
        into, chances = rows_of(factors, site), rows_of(numbers, site)
        base, model = rows_of(blocks[0], site), rows_of(blocks[1 + number], site)
        before = after = 0.0
        for index in row_blocks(site):
            shape = into[index].shape
            sizes = np.abs(delta(model[index].reshape(-1), base[index].reshape(-1))).reshape(shape[0], -1)
            share = self._probabilities(sizes, density)
            kept = chances[index].reshape(sizes.shape) < share
            before, after = before + float(sizes.sum()), after + float((sizes * kept).sum())
            into[index] = (kept / share if self.rescale == "expected" else kept).reshape(shape)
        if self.rescale == "l1" and before >= SMALL and after >= SMALL:
            np.multiply(factors, before / after, out=factors)
        return factors

    def _probabilities(self, sizes: NDArray[np.float64], density: float) -> NDArray[np.float64]:
        units, length = sizes.shape
        if length == 1:
            return np.full(sizes.shape, density)
        ranks = np.empty(sizes.shape)
        order = np.argsort(sizes, axis=1, kind="stable")
        np.put_along_axis(ranks, order, np.broadcast_to(np.arange(length, dtype=np.float64), (units, length)), axis=1)
        ranks *= 2 * self.epsilon / (length - 1)
        ranks += density - self.epsilon
        return ranks


def pruning(data: Data, settings: Settings) -> Mapping[str, Pruning]:
    """Path of each tensor -> how its task vectors are made sparse; without those that stay as they are.

    Raises:
        Usage: density - epsilon or density + epsilon are no probabilities between 0 and 1.
    """
    keys = identities(data, settings)
    found = {}
    for site in data.sites:
        densities = [float(each) for each in settings.of_models("density", site)]
        epsilon = settings.number("epsilon", site)
        for density in densities:
            _check(site, density, epsilon)
        if any(density < 1 for density in densities):
            sources = [stream(settings.seed, f"merge {key}", site.path) for key in keys]
            found[site.path] = Pruning(site, densities, epsilon, settings.word("rescale"), sources)
    return found


def _check(site: Site, density: float, epsilon: float) -> None:
    if 0 < density < 1 and not (density - epsilon > 0 and density + epsilon < 1):
        raise Usage(
            f"with --density {density:g} and --epsilon {epsilon:g}, values of {site.path} would be kept with "
            f"probabilities from {density - epsilon:.3g} to {density + epsilon:.3g}; "
            f"take an --epsilon below {min(density, 1 - density):.3g}"
        )


def _scale(
    factors: Sequence[NDArray[np.float64] | None], number: int, vector: NDArray[np.float64], start: int
) -> NDArray[np.float64]:
    factor = factors[number]
    return vector if factor is None else np.multiply(vector, factor[start : start + len(vector)], out=vector)
