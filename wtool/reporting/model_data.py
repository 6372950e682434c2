"""What a page tells of one model: all that `wtool inspect` tells, and the pictures of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial, reduce
from math import isqrt, prod
from typing import Any

import numpy as np

from wtool.checkpoint.lineage import without_masks
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array, is_floating
from wtool.io.json_text import without_nan
from wtool.ops.diff import diff
from wtool.ops.inspect import BLOCK, described
from wtool.run import pipeline
from wtool.run.selection import kind_of
from wtool.transforms.histograms import Histogram, histogram
from wtool.transforms.mask_images import cell_finder, image_shape, shares
from wtool.transforms.statistics import Statistics, statistics
from wtool.values import dataclass
from wtool.words import Progress

CELLS = 48
"""Rows and columns that the image of a mask has at most."""

FEWEST_CELLS = 8
"""Rows and columns that the image of a mask may have, however many masks there are."""

ALL_CELLS = 4_000_000
"""Cells of all masks of a page together: where there are many masks, each has fewer cells."""

MOST_HISTOGRAMS = 20_000
"""Tensors of a page that have a histogram. Those behind them have statistics alone."""

LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""The letter of a cell: the first where no value is zero, the last where all are, and the others between in steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one pass over a model found of a tensor, or of a block of it.

    Attributes:
        statistics: of all values.
        histogram: of the finite values that are not zero; empty where none is wanted.
        zeros: number of zeros in each cell of the mask's image, shape (rows * columns,); (0,) where none is wanted.
    """

    statistics: Statistics
    histogram: Histogram
    zeros: Array

    def merged(self, other: Look) -> Look:
        """Returns what is known of both blocks together."""
        zeros = self.zeros + other.zeros
        return Look(self.statistics.merged(other.statistics), self.histogram.merged(other.histogram), zeros)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a page has of one of its models.

    Attributes:
        histograms: tensors that may have one.
        cells: of the images of all masks together; no masks if zero.
    """

    histograms: int
    cells: int

    @classmethod
    def of(cls, models: int) -> Bounds:
        """Returns the bounds of each of the models that share a page."""
        return cls(MOST_HISTOGRAMS // models, ALL_CELLS // models)

    def side(self, kernels: int) -> int:
        """Returns the rows and columns that the image of each mask has at most."""
        return min(CELLS, max(FEWEST_CELLS, isqrt(self.cells // max(1, kernels)))) if self.cells else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for in a tensor: the place of each value in the image of its mask, if it has one."""

    has_histogram: bool
    size: int = 0
    cell_of: Callable[[Array], Array] | None = None

    def empty(self) -> Look:
        """Returns what is known before the first block."""
        return Look(Statistics(), Histogram(), np.zeros(self.size, np.int64))


def model_data(path: str, bounds: Bounds, progress: Progress | None = None) -> dict[str, Any]:
    """Returns what a page tells of a model, as JSON values, by one streaming pass that also verifies the file.

    Args:
        path: a file, or `-` for standard input.
        bounds: how much of the model the page has.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: no Keras model, damaged, or hostile.
        WtoolError: missing or unreadable.
    """
    with open_checkpoint(path) as checkpoint:
        kernels = {tensor.path for tensor in kernels_of(checkpoint)}
        cells = bounds.side(len(kernels))
        wanted = {
            tensor.path: _wanted(tensor, number < bounds.histograms, cells if tensor.path in kernels else 0)
            for number, tensor in enumerate(checkpoint.weights)
        }
        found = _looked_at(checkpoint, wanted, progress)
        told = described(checkpoint, {name: look.statistics for name, look in found.items()})
        told["lineage"] = [without_masks(record) for record in told["lineage"]]
        return {
            "kind": "model",
            "model": told,
            "kernels": [tensor.path for tensor in checkpoint.weights if tensor.path in kernels],
            "histograms": {name: _histogram(look.histogram) for name, look in found.items() if _has_values(look)},
            "masks": {
                tensor.path: _mask(tensor, found[tensor.path], cells)
                for tensor in checkpoint.weights
                if cells and tensor.path in kernels and found[tensor.path].statistics.zeros
            },
        }


def kernels_of(checkpoint: Checkpoint) -> list[Tensor]:
    """Returns the tensors of a model that could be pruned: its kernels of floating numbers."""
    return [tensor for tensor in checkpoint.weights if kind_of(tensor.role) == "kernel" and is_floating(tensor.dtype)]


def difference_data(before: str, path: str, progress: Progress | None = None) -> dict[str, Any]:
    """Returns in what a model differs from an earlier one, as JSON values: what `wtool diff` finds, and histograms.

    Raises:
        Refused: a file is no Keras model, damaged, or hostile.
        WtoolError: missing or unreadable.
    """
    found = diff(before, path, progress=progress)
    with open_checkpoint(before, foreign=True) as checkpoint:
        weights = checkpoint.weights[:MOST_HISTOGRAMS]
        looks = _looked_at(checkpoint, {tensor.path: Wanted(True) for tensor in weights}, progress)
    return {
        **without_nan({"equal": found.equal, **asdict(found)}),
        "histograms": {name: _histogram(look.histogram) for name, look in looks.items() if _has_values(look)},
        "zeros": {name: look.statistics.zeros for name, look in looks.items()},
    }


def _wanted(tensor: Tensor, has_histogram: bool, cells: int) -> Wanted:
    if not cells:
        return Wanted(has_histogram)
    return Wanted(has_histogram, prod(image_shape(tensor.shape, cells)), cell_finder(tensor.shape, cells))


def _looked_at(checkpoint: Checkpoint, wanted: Mapping[str, Wanted], progress: Progress | None) -> dict[str, Look]:
    """Returns what one pass finds of each tensor that is looked at; the pass also verifies the file."""
    looks = [
        pipeline.Edit(tensor, (tensor,), partial(_look, wanted[tensor.path]))
        for tensor in checkpoint.weights
        if tensor.path in wanted
    ]
    found = {path: each.empty() for path, each in wanted.items()}
    for tensor, _, look in pipeline.verified_scan([checkpoint], looks, progress):
        found[tensor.path] = found[tensor.path].merged(look)
    return found


def _look(wanted: Wanted, blocks: Sequence[Array], start: int, stop: int) -> Look:
    values = blocks[0]
    parts = (_look_at_part(wanted, start + at, values[at : at + BLOCK]) for at in range(0, values.size, BLOCK))
    return reduce(Look.merged, parts)


def _look_at_part(wanted: Wanted, start: int, part: Array) -> Look:
    look = wanted.empty()
    values = part.astype(np.float64)
    is_zero = values == 0
    if wanted.cell_of is not None and is_zero.any():
        cells = wanted.cell_of(start + np.flatnonzero(is_zero))
        look = Look(look.statistics, look.histogram, np.bincount(cells, minlength=wanted.size))
    drawn = histogram(values[~is_zero & np.isfinite(values)]) if wanted.has_histogram else look.histogram
    return Look(statistics(part), drawn, look.zeros)


def _has_values(look: Look) -> bool:
    return look.histogram.counts.size > 0


def _histogram(found: Histogram) -> dict[str, Any]:
    return {"exponent": found.exponent, "first": found.first, "counts": found.counts.tolist()}


def _mask(tensor: Tensor, look: Look, cells: int) -> dict[str, Any]:
    rows, columns = image_shape(tensor.shape, cells)
    return {"rows": rows, "columns": columns, "zeros": _letters(shares(look.zeros, tensor.shape, cells))}


def _letters(found: Array) -> str:
    """Returns a letter for each share, row by row; only no zeros at all, and nothing but zeros, have the ends."""
    last = len(LEVELS) - 1
    levels = np.clip(np.rint(found * last), 1, last - 1).astype(np.int64)
    levels = np.where(found == 0, 0, np.where(found == 1, last, levels))
    return "".join(LEVELS[level] for level in levels.ravel().tolist())
