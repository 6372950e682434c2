"""Task vectors as tensors: what each model added to the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.dtypes import Array
from wtool.transforms.change import Blocks, Data, Look, Site
from wtool.transforms.ranking import SAMPLE, SAMPLE_BLOCK
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_RECENT = 2 * SAMPLE[1] // SAMPLE_BLOCK
"""Blocks that are remembered: more than a sample has."""


def delta(model: Array, base: Array) -> NDArray[np.float64]:
    """Returns model - base in float64, shape (n,): exact for narrower types, unless one is 2**28 times the other."""
    result: NDArray[np.float64] = model.astype(np.float64)
    np.subtract(result, base if base.dtype.isbuiltin == 1 else base.astype(np.float64), out=result)
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
        vectors: path of each tensor -> the task vectors of all models.
        origins: path of each task vector -> its tensor, and the position of its model.
        recent: the small blocks of the last tensor that were read; the task vectors of all models are sampled at the
            same positions, one model after the other.
    """

    data: Data
    vectors: Mapping[str, Sequence[Site]]
    origins: Mapping[str, tuple[Site, int]]
    recent: dict[tuple[str, int, int], Blocks] = field(default_factory=dict)

    @property
    def sites(self) -> Sequence[Site]:
        """The task vectors of all models."""
        return [site for each in self.vectors.values() for site in each]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of the task vectors to `look`; each tensor is read once for all of its models."""
        of_tensor: dict[str, list[tuple[Site, int]]] = {}
        for site in sites:
            tensor, number = self.origins[site.path]
            of_tensor.setdefault(tensor.path, []).append((site, number))

        def looked(tensor: Site, blocks: Blocks, start: int) -> list[tuple[Site, Any]]:
            return [
                (vector, look(vector, [blocks[0], blocks[1 + number]], start))
                for vector, number in of_tensor[tensor.path]
            ]

        tensors = [tensor for tensor in self.data.sites if tensor.path in of_tensor]
        for _, start, found in self.data.walk(looked, tensors):
            for vector, part in found:
                yield vector, start, part

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of the base and of a model."""
        tensor, number = self.origins[site.path]
        key = (tensor.path, start, stop)
        blocks = self.recent.get(key)
        if blocks is None:
            blocks = self.data.read(tensor, start, stop)
            if stop - start <= SAMPLE_BLOCK:
                if self.recent and (next(iter(self.recent))[0] != tensor.path or len(self.recent) >= MOST_RECENT):
                    self.recent.clear()
                self.recent[key] = blocks
        return [blocks[0], blocks[1 + number]]


def task_vector_data(data: Data, models: int) -> TaskVectorData:
    """Returns the task vectors of all models as tensors.

    Args:
        data: tensors with the blocks of the base and of all models.
        models: how many models there are.
    """
    vectors = {
        tensor.path: [replace(tensor, path=f"{number}:{tensor.path}") for number in range(models)]
        for tensor in data.sites
    }
    origins = {
        vector.path: (tensor, number) for tensor in data.sites for number, vector in enumerate(vectors[tensor.path])
    }
    return TaskVectorData(data, vectors, origins)
