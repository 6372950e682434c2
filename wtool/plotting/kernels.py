"""Statistics of models' kernels for plots: histograms, shares of zeros and masks, by streaming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial, reduce
from math import prod

import numpy as np

from wtool.checkpoint.masks import Mask, recorded_masks
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array
from wtool.errors import Refused, Usage
from wtool.run import pipeline
from wtool.run.selection import arithmetic, by_role
from wtool.transforms.mask_images import cell_finder, image_shape, shares
from wtool.transforms.statistics import Statistics, statistics
from wtool.values import dataclass

BINS = 60
CELLS = 96  # of a mask's image, each way: a larger kernel is shown by shares
MOST = 1_000  # kernels: ten pages
BLOCK = 65_536  # values; their float64 copies stay in the L2 cache


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """The statistics of one tensor of a model.

    Attributes:
        path, shape: of the tensor.
        statistics: of all its values.
        edges: of the histogram, shape (BINS + 1,).
        counts: of finite values other than zero, shape (BINS,).
        pruned: share of pruned values in each cell of the mask's image: its columns are the last axis, its rows all
            others.
    """

    path: str
    shape: tuple[int, ...]
    statistics: Statistics
    edges: Array
    counts: Array
    pruned: Array


@dataclass(frozen=True, slots=True)
class ModelKernels:
    """A model's name, and its kernels by path, in model order."""

    name: str
    kernels: Mapping[str, Kernel]


def models(
    paths: Sequence[str], include: Sequence[str], exclude: Sequence[str], progress: pipeline.Progress | None = None
) -> list[ModelKernels]:
    """Returns the statistics of models' kernels, by two streaming passes, of which the first verifies the files.

    Histograms of tensors of one path have the same edges in all models: from the least value to the largest.

    Args:
        paths: files, or `-`.
        include, exclude: only tensors with paths like these: biases too, and others where they are named.
        progress: called with bytes done and bytes in all, for each file and pass.

    Raises:
        Refused: damaged, hostile, or without floating kernels.
        Usage: a pattern matches nothing, or there are more kernels than anybody looks through.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(open_checkpoint(path)) for path in paths]
        chosen = chosen_kernels(opened, include, exclude)
        known = [statistics_of(*both, progress) for both in zip(opened, chosen, strict=True)]
        edges = {path: bin_edges(each.min, each.max) for path, each in merged_statistics(known).items()}
        return [_model(*each, edges, progress) for each in zip(opened, chosen, known, strict=True)]


def chosen_kernels(models: Sequence[Checkpoint], include: Sequence[str], exclude: Sequence[str]) -> list[list[Tensor]]:
    """Returns the tensors of each model that are drawn.

    Raises:
        Refused: a model has no such tensors.
        Usage: a pattern matches nothing, or there are more kernels than anybody looks through.
    """
    chosen = [_chosen(each, include, exclude) for each in models]
    count = len({tensor.path for tensors in chosen for tensor in tensors})
    if count > MOST:
        raise Usage(f"{count:,} kernels are too many to draw; choose at most {MOST:,} with --include")
    return chosen


def _chosen(checkpoint: Checkpoint, include: Sequence[str], exclude: Sequence[str]) -> list[Tensor]:
    numbers = arithmetic(checkpoint.weights)
    chosen = by_role(numbers, include, exclude, kernels=True, biases=bool(include))
    found = [each for each in chosen if prod(each.shape)]
    if not found:
        raise Refused("has no floating kernels to draw; name other tensors with --include", checkpoint.name)
    return found


def masks_of(checkpoint: Checkpoint) -> Mapping[str, Mask]:
    """Returns path -> mask of the tensors whose zeros do not tell which values are pruned, by the model's lineage.

    Raises:
        Refused: a mask is damaged.
    """
    try:
        return recorded_masks(checkpoint.lineage, checkpoint.weights).masks
    except Refused as error:
        raise error.about(checkpoint.name) from None


def is_pruned(values: Array, start: int, mask: Mask | None) -> Array:
    """Returns which values of a tensor are pruned: those that its mask does not keep, or zeros where it has none.

    Args:
        values: of the positions [start, start + n) of the tensor, shape (n,).
        start: position of the first of them.
        mask: of the tensor, if its model's lineage tells one.

    Returns:
        booleans of shape (n,).
    """
    zero: Array = values == 0
    return zero if mask is None else ~mask.kept(values, start)


def statistics_of(
    checkpoint: Checkpoint, tensors: Sequence[Tensor], progress: pipeline.Progress | None
) -> dict[str, Statistics]:
    """Returns path -> statistics of tensors, by a pass that also verifies the file, once for an open checkpoint.

    Raises:
        Refused: the file is damaged or changes meanwhile.
    """
    found = dict.fromkeys((tensor.path for tensor in tensors), Statistics())
    looks = [pipeline.Edit(tensor, (tensor,), _described) for tensor in tensors]
    try:
        for tensor, _, part in pipeline.verified_scan([checkpoint], looks, progress):
            found[tensor.path] = found[tensor.path].merged(part)
    except Refused as error:
        raise error.about(checkpoint.name) from None
    return found


def _parts(values: Array) -> Iterator[tuple[int, Array]]:
    for at in range(0, values.size, BLOCK):
        yield at, values[at : at + BLOCK]


def _described(blocks: Sequence[Array], start: int, stop: int) -> Statistics:
    return reduce(Statistics.merged, (statistics(part) for _, part in _parts(blocks[0])))


def merged_statistics(known: Sequence[Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Returns path -> statistics of the values that all models have under that path together."""
    merged: dict[str, Statistics] = {}
    for found in known:
        for path, each in found.items():
            merged[path] = each.merged(merged.get(path, Statistics()))
    return merged


def bin_edges(low: float, high: float, bins: int = BINS) -> Array:
    """Returns edges of equal bins from `low` to `high`, as NumPy's: of width 1 around one value, 0 to 1 for none.

    Returns:
        shape (bins + 1,).
    """
    if not low <= high:
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    shares = np.linspace(0, 1, bins + 1)
    return low * (1 - shares) + high * shares if np.isinf(high - low) else np.linspace(low, high, bins + 1)


def _model(
    checkpoint: Checkpoint,
    tensors: Sequence[Tensor],
    known: Mapping[str, Statistics],
    edges: Mapping[str, Array],
    progress: pipeline.Progress | None,
) -> ModelKernels:
    counts = {tensor.path: np.zeros(BINS, np.int64) for tensor in tensors}
    pruned = {tensor.path: np.zeros(prod(image_shape(tensor.shape, CELLS)), np.int64) for tensor in tensors}
    masks = masks_of(checkpoint)
    looks = [
        pipeline.Edit(
            tensor,
            (tensor,),
            partial(_counted, edges[tensor.path], cell_finder(tensor.shape, CELLS), masks.get(tensor.path)),
        )
        for tensor in tensors
    ]
    for tensor, _, (values, cells) in pipeline.scan([checkpoint], looks, progress):
        counts[tensor.path] += values
        pruned[tensor.path] += np.bincount(cells[0], cells[1], pruned[tensor.path].size).astype(np.int64)
    return ModelKernels(
        checkpoint.name,
        {
            path: Kernel(path, shape, known[path], edges[path], counts[path], shares(pruned[path], shape, CELLS))
            for path, shape in ((tensor.path, tensor.shape) for tensor in tensors)
        },
    )


def _counted(
    edges: Array,
    cell_of: Callable[[Array], Array],
    mask: Mask | None,
    blocks: Sequence[Array],
    start: int,
    stop: int,
) -> tuple[Array, tuple[Array, Array]]:
    """Returns counts of the histogram, and (cells, pruned values in each cell)."""
    counts = np.zeros(len(edges) - 1, np.int64)
    found: list[tuple[Array, Array]] = []
    for at, part in _parts(blocks[0]):
        values = part.astype(np.float64)
        counts += np.histogram(values[(values != 0) & np.isfinite(values)], edges)[0]
        positions = start + at + np.flatnonzero(is_pruned(values, start + at, mask))
        found.append(np.unique(cell_of(positions), return_counts=True))
    return counts, (np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found]))
