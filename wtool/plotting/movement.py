"""Weights of trained models against those of their initial model, counted by streaming in cells of a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.checkpoint.masks import Mask
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array
from wtool.plotting.kernels import (
    BLOCK,
    bin_edges,
    chosen_kernels,
    is_pruned,
    masks_of,
    merged_statistics,
    statistics_of,
)
from wtool.run import pipeline
from wtool.run.matching import match
from wtool.transforms.statistics import Statistics
from wtool.values import dataclass

CELLS = 64  # of a plane, each way


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """Where the weights of a kernel were and where they are, each pair counted in a cell of a plane.

    Attributes:
        initial, trained: edges of the cells, shape (CELLS + 1,) each.
        kept: pairs that are not pruned, shape (CELLS, CELLS); rows go along the initial values.
        pruned: pairs that are, of the same shape.
        nonfinite: pairs that are in no cell, since one of the values is NaN or infinite.
    """

    initial: Array
    trained: Array
    kept: Array
    pruned: Array
    nonfinite: int


@dataclass(frozen=True, slots=True)
class ModelMovements:
    """A model's name, and the movements of its kernels by path, in model order."""

    name: str
    kernels: Mapping[str, Movement]


def movements(
    paths: Sequence[str],
    against: str,
    mask: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    progress: pipeline.Progress | None = None,
) -> list[ModelMovements]:
    """Returns the movements of models' kernels, by two streaming passes, of which the first verifies the files.

    Args:
        paths: the trained models.
        against: path of the initial model.
        mask: path of the model that tells which weights are pruned, by the masks in its lineage or by its zeros; None
            where each trained model tells that itself.
        include, exclude: only tensors with paths like these: biases too, and others where they are named.
        progress: called with bytes done and bytes in all, for each file and pass.

    Raises:
        Refused: a file is damaged, or the models are of different architectures.
        Usage: a pattern matches nothing, or there are more kernels than anybody looks through.
    """
    refuse_two_streams([*paths, against, *([] if mask is None else [mask])])
    with ExitStack() as stack:
        models = [stack.enter_context(open_checkpoint(path)) for path in paths]
        others = [stack.enter_context(open_checkpoint(path)) for path in (against, mask) if path is not None]
        chosen = chosen_kernels(models, include, exclude)
        partners = [_partners(*both, others) for both in zip(models, chosen, strict=True)]
        known = [statistics_of(*both, progress) for both in zip(models, chosen, strict=True)]
        ranges = [statistics_of(other, _of(number, partners), progress) for number, other in enumerate(others)]
        trained = merged_statistics(known)
        return [
            _moved([model, *others], found, ranges[0], trained, progress)
            for model, found in zip(models, partners, strict=True)
        ]


def _partners(model: Checkpoint, chosen: Sequence[Tensor], others: Sequence[Checkpoint]) -> list[tuple[Tensor, ...]]:
    """Returns the kernels of a model, each with the tensors that stand for it in the other models."""
    found = [
        dict(zip((weight.path for weight in model.weights), match(model, other).tensors, strict=True))
        for other in others
    ]
    return [(tensor, *(each[tensor.path] for each in found)) for tensor in chosen]


def _of(number: int, partners: Sequence[Sequence[tuple[Tensor, ...]]]) -> list[Tensor]:
    """Returns the tensors of one of the other models, each once."""
    return list({each[1 + number].path: each[1 + number] for found in partners for each in found}.values())


def _moved(
    inputs: Sequence[Checkpoint],
    tensors: Sequence[tuple[Tensor, ...]],
    initial: Mapping[str, Statistics],
    trained: Mapping[str, Statistics],
    progress: pipeline.Progress | None,
) -> ModelMovements:
    found: dict[str, Movement] = {}
    looks = []
    masks = masks_of(inputs[-1] if len(inputs) > 2 else inputs[0])
    for own, first, *marked in tensors:
        before, after = initial[first.path], trained[own.path]
        edges = bin_edges(before.min, before.max, CELLS), bin_edges(after.min, after.max, CELLS)
        mask = masks.get(marked[0].path if marked else own.path)
        looks.append(pipeline.Edit(own, (own, first, *marked), partial(_counted, *edges, mask)))
        nothing = np.zeros((CELLS, CELLS), np.int64)
        found[own.path] = Movement(*edges, kept=nothing, pruned=nothing, nonfinite=0)
    for tensor, _, (kept, pruned, nonfinite) in pipeline.scan(inputs, looks, progress):
        each = found[tensor.path]
        found[tensor.path] = Movement(
            each.initial, each.trained, each.kept + kept, each.pruned + pruned, each.nonfinite + nonfinite
        )
    return ModelMovements(inputs[0].name, found)


def _counted(
    initial: Array, trained: Array, mask: Mask | None, blocks: Sequence[Array], start: int, stop: int
) -> tuple[Array, Array, int]:
    """Returns counts of kept and of pruned pairs in the cells, and how many pairs are in no cell."""
    counts = np.zeros((2, CELLS, CELLS), np.int64)
    nonfinite = 0
    for at in range(0, stop - start, BLOCK):
        own, first, *marked = (block[at : at + BLOCK].astype(np.float64) for block in blocks)
        pruned = is_pruned(marked[0] if marked else own, start + at, mask)
        is_finite = np.isfinite(own) & np.isfinite(first)
        nonfinite += int(is_finite.size - np.count_nonzero(is_finite))
        for number, some in enumerate((is_finite & ~pruned, is_finite & pruned)):
            counts[number] += np.histogram2d(first[some], own[some], (initial, trained))[0].astype(np.int64)
    return counts[0], counts[1], nonfinite
