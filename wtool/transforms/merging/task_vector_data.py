"""Task vectors as tensors: what each model added to the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import NUMPY_FLOATS, Array
from wtool.transforms.change import Blocks, Data, Look, Site
from wtool.transforms.ranking import SAMPLE, SAMPLE_BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_RECENT = 2 * SAMPLE[1] // SAMPLE_BLOCK
"""Blocks that are remembered: more than a sample has."""


def delta(model: Array, base: Array) -> NDArray[np.float64]:
    """Returns model - base in float64, shape (n,): exact for narrower types, unless one is 2**28 times the other."""
    result: NDArray[np.float64] = model.astype(np.float64)
    np.subtract(result, base if base.dtype.name in NUMPY_FLOATS else base.astype(np.float64), out=result)
    return result


def magnitude(site: Site, blocks: Blocks, start: int) -> Array:
    """Returns the magnitudes of a task vector, from the blocks of the base and of the model."""
    difference = delta(blocks[1], blocks[0])
    return np.abs(difference, out=difference)


@dataclass(frozen=True, slots=True, eq=False)
class TaskVectorData:
    """Data in which the task vector of each model is a tensor of its own, with the blocks of the base and the model.

    Attributes:
        data: tensors with the blocks of the base and of all models.
        models: how many models there are.
        recent: the small blocks of the last tensor that were read; the task vectors of all models are sampled at the
            same positions, one model after the other.
    """

    data: Data
    models: int
    recent: dict[tuple[str, int, int], Blocks] = field(default_factory=dict)

    @property
    def sites(self) -> Sequence[Site]:
        """The task vectors of all models."""
        return [self.site(tensor, number) for tensor in self.data.sites for number in range(self.models)]

    def site(self, tensor: Site, number: int) -> Site:
        """Returns the task vector of a tensor in the model of this number, from 0."""
        return replace(tensor, path=f"{number}:{tensor.path}")

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of the task vectors to `look`; each tensor is read once for all of its models."""
        numbers: dict[str, list[int]] = {}
        for site in sites:
            number, _, path = site.path.partition(":")
            numbers.setdefault(path, []).append(int(number))

        def looked(tensor: Site, blocks: Blocks, start: int) -> list[tuple[Site, Any]]:
            vectors = [(self.site(tensor, at), [blocks[0], blocks[1 + at]]) for at in numbers[tensor.path]]
            return [(vector, look(vector, pair, start)) for vector, pair in vectors]

        tensors = [tensor for tensor in self.data.sites if tensor.path in numbers]
        for _, start, found in self.data.walk(looked, tensors):
            for vector, part in found:
                yield vector, start, part

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of the base and of a model."""
        number, _, path = site.path.partition(":")
        blocks = self.recent.get((path, start, stop))
        if blocks is None and stop - start > SAMPLE_BLOCK:
            blocks = self.data.read(replace(site, path=path), start, stop)
        elif blocks is None:
            if self.recent and (next(iter(self.recent))[0] != path or len(self.recent) >= MOST_RECENT):
                self.recent.clear()
            blocks = self.recent[path, start, stop] = self.data.read(replace(site, path=path), start, stop)
        return [blocks[0], blocks[1 + int(number)]]
