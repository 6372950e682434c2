"""What is in a checkpoint, as the JSON object that `wtool inspect --json` prints."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from math import prod
from typing import Any, TypeAlias

from wtool.checkpoint.lineage import lineage_json
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.optimizer.lost import lost_slots, saved_step
from wtool.dtypes import Array, is_floating
from wtool.errors import Refused
from wtool.io.addresses import is_address, text_of
from wtool.io.json_text import without_nan
from wtool.option import checked, path_of
from wtool.run import pipeline
from wtool.run.selection import kind_of
from wtool.transforms.statistics import Statistics
from wtool.transforms.statistics import statistics as statistics_of_block

BLOCK = 65_536  # values; their float64 copies stay in the L2 cache

Scan: TypeAlias = Callable[[Sequence[pipeline.Edit], pipeline.Progress | None], Iterator[tuple[Tensor, int, Any]]]


def inspect(
    path: str | os.PathLike[str], progress: pipeline.Progress | None = None, *, statistics: bool | None = None
) -> dict[str, Any]:
    """Describe a checkpoint: layers, tensors with their statistics, optimizer, lineage.

    Statistics are computed in float64 over the finite values, in one streaming pass that also verifies the archive's
    checksums. docs/reference/inspect.md describes the keys; numbers that do not exist (the mean of nothing) are None.

    Args:
        path: a file, an address, or `-` for standard input.
        progress: called with bytes done and bytes in all.
        statistics: whether all values are read for statistics. By default, those of files are, and those of models at
            addresses are not: index and configuration alone are fetched, and statistics are None.

    Raises:
        Refused: no Keras model, damaged, or hostile.
        WtoolError: missing or unreadable.

    Example:
        >>> wtool.inspect("model.keras")["parameters"]  # doctest: +SKIP
    """
    name = text_of(path_of("path", path))
    checked("statistics", bool | None, statistics)
    if statistics is None:
        statistics = not is_address(name)
    with open_checkpoint(name) as checkpoint:
        if not statistics:
            return described(checkpoint, None)
        return described(checkpoint, statistics_of(checkpoint, partial(pipeline.verified_scan, [checkpoint]), progress))


def statistics_of(checkpoint: Checkpoint, scan: Scan, progress: pipeline.Progress | None) -> dict[str, Statistics]:
    """Returns the statistics of each weight of an open checkpoint, by path.

    Args:
        checkpoint: whose weights are read.
        scan: the pass over the weights: `pipeline.verified_scan` or `pipeline.hashed_scan`.
        progress: called with bytes done and bytes in all.
    """
    found = {tensor.path: Statistics() for tensor in checkpoint.weights}
    looks = [pipeline.Edit(tensor, (tensor,), _statistics) for tensor in checkpoint.weights]
    for tensor, _, part in scan(looks, progress):
        found[tensor.path] = found[tensor.path].merged(part)
    return found


def _statistics(blocks: Sequence[Array], start: int, stop: int) -> Statistics:
    values = blocks[0]
    parts = (statistics_of_block(values[at : at + BLOCK]) for at in range(0, values.size, BLOCK))
    return reduce(Statistics.merged, parts)


def described(checkpoint: Checkpoint, found: Mapping[str, Statistics] | None) -> dict[str, Any]:
    """Returns what `inspect` tells of an open checkpoint, from the statistics of each of its weights by path.

    Args:
        checkpoint: the open checkpoint.
        found: the statistics; None where the values were not read.
    """
    weights, found = checkpoint.weights, found or {}
    bad = [f"{path} holds {each.nonfinite} NaN or infinite values" for path, each in found.items() if each.nonfinite]
    return {
        "path": checkpoint.name,
        "format": checkpoint.format,
        "keras_version": checkpoint.keras_version,
        "parameters": sum(prod(tensor.shape) for tensor in weights),
        "bytes": sum(tensor.nbytes for tensor in weights),
        "layers": [{"name": layer.name, "class": layer.class_name} for layer in checkpoint.contents.layers],
        "tensors": [_tensor(tensor, found.get(tensor.path)) for tensor in weights],
        "dead": _dead(checkpoint, found),
        "optimizer": _optimizer(checkpoint),
        "lineage": without_nan(lineage_json(checkpoint.lineage)),
        "notes": [*checkpoint.notes, *bad],
    }


def _dead(checkpoint: Checkpoint, found: Mapping[str, Statistics]) -> list[dict[str, Any]]:
    """The layers with channels that cannot change an output; none where nothing is zero, or the graph is not known."""
    if checkpoint.config is None or not any(each.zeros for path, each in found.items() if path.endswith("kernel")):
        return []
    # Imported late: most models have no zeros.
    from wtool.graphs.dead import dead_channels
    from wtool.graphs.grouping import grouping_of
    from wtool.schema import graph

    try:
        model = graph.read(checkpoint.config)
        grouping = grouping_of(checkpoint, model)
        kept = dead_channels(checkpoint, model, grouping).kept
    except Refused:
        return []
    return [
        {"channels_of": list(group.layers), "channels": group.size, "dead": int((~kept[group.name]).sum())}
        for group in grouping.groups
        if group.name in kept
    ]


def _tensor(tensor: Tensor, found: Statistics | None) -> dict[str, Any]:
    numbers = {name: getattr(found, name, math.nan) for name in ("sum", "mean", "std", "min", "max")}
    return {
        "path": tensor.path,
        "role": tensor.role,
        "layer": tensor.layer,
        "class": tensor.layer_class,
        "trainable": tensor.trainable,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "bytes": tensor.nbytes,
        "zeros": None if found is None else found.zeros,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
    }


def _optimizer(checkpoint: Checkpoint) -> dict[str, Any] | None:
    optimizer = checkpoint.contents.optimizer
    if optimizer is None:
        return None
    scalars = {tensor.slot.name: tensor for tensor in checkpoint.slots if tensor.slot and not tensor.shape}
    lost = lost_slots(checkpoint)
    return {
        "class": optimizer.class_name,
        "step": None if lost else saved_step(checkpoint),
        "lost": lost,
        "slots": [
            {"path": tensor.slot.weight, "slot": tensor.slot.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
            for tensor in checkpoint.slots
            if tensor.slot and tensor.slot.name not in scalars
        ],
    }


def by_layer(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Summaries of `inspect`'s object by layer, in model order: tensors, dtypes, sizes, statistics.

    `kernels` and `biases` summarise what `wtool prune` may prune, kernels of every kind and biases: `parameters`,
    `zeros`, `mean` and `std`. Other variables, those of normalisation for one, count in `parameters` and `bytes` alone.
    Layers without variables are there too, with no tensors.
    """
    layers = {layer["name"]: layer["class"] for layer in found["layers"]}
    layers |= {tensor["layer"]: tensor["class"] for tensor in found["tensors"] if tensor["layer"] not in layers}
    inside: dict[str, list[dict[str, Any]]] = {name: [] for name in layers}
    for tensor in found["tensors"]:
        inside[tensor["layer"]].append(tensor)
    return [{"name": name, "class": layers[name], **summary(inside[name])} for name in layers]


def summary(tensors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the summary of some tensors of `inspect`'s object; see `by_layer`."""
    return {
        "tensors": list(tensors),
        "dtypes": sorted({tensor["dtype"] for tensor in tensors}),
        "parameters": sum(prod(tensor["shape"]) for tensor in tensors),
        "bytes": sum(tensor["bytes"] for tensor in tensors),
        "kernels": _together([tensor for tensor in tensors if _is_prunable(tensor, "kernel")]),
        "biases": _together([tensor for tensor in tensors if _is_prunable(tensor, "bias")]),
    }


def _is_prunable(tensor: dict[str, Any], kind: str) -> bool:
    return kind_of(tensor["role"]) == kind and is_floating(tensor["dtype"])


def _together(tensors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the statistics of all values of some tensors; None each where the values were not read."""
    if any(tensor["zeros"] is None for tensor in tensors):
        count = sum(prod(tensor["shape"]) for tensor in tensors)
        return {"parameters": count, "zeros": None, "mean": None, "std": None}
    every = Statistics()
    for tensor in tensors:
        count, total = prod(tensor["shape"]), tensor["sum"] or 0.0
        every = every.merged(Statistics(count, tensor["zeros"], 0, total, count * (tensor["std"] or 0.0) ** 2))
    return {
        "parameters": every.count,
        "zeros": every.zeros,
        "mean": every.mean if every.count else None,
        "std": every.std if every.count else None,
    }
