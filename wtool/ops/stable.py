"""A model as text that changes only where the model does: for git's `diff`, and for people who read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from blake3 import blake3

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array
from wtool.ops.compared import as_stored
from wtool.ops.diff import OPTIMIZER, plain_training
from wtool.run import pipeline
from wtool.schema.layer_settings import layer_settings_of
from wtool.transforms.statistics import Statistics, statistics
from wtool.words import Progress

DIGITS = 16  # of a hash: enough to tell tensors apart

Known = tuple[str, Statistics]
"""The hash of a tensor's bytes, and the statistics of its values."""


def stable_text(path: str, progress: Progress | None = None) -> str:
    """Returns a model as lines of text that do not depend on dates, versions, and how the file is laid out.

    A line tells a setting of a layer, or of the training, or a tensor: its shape, its dtype, a hash of its bytes, how
    many values are zero, and the smallest and the largest value. Layers come in the order of the model, settings and
    tensors in that of their names. One pass over the file, in bounded memory, also verifies its checksums.

    Args:
        path: a file, or `-` for standard input.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: no Keras model, damaged, or hostile.
        WtoolError: missing or unreadable.
    """
    with open_checkpoint(path) as checkpoint:
        known = _known(checkpoint, progress)
        lines = [*_settings(checkpoint), *_tensors(checkpoint, known)]
    return "".join(f"{line}\n" for line in lines)


def _settings(checkpoint: Checkpoint) -> Iterator[str]:
    stored = as_stored(checkpoint)
    layers = [] if stored.config is None else layer_settings_of(stored.config)
    for layer in layers:
        name = f"layer {layer.path}" if layer.path else "model"
        yield f"{name}: {layer.class_name}"
        yield from (f"{name}: {key} = {_json(layer.settings[key])}" for key in sorted(layer.settings))
    training = plain_training(stored.training or {})
    optimizer = training.get(OPTIMIZER)
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        told = {f"{OPTIMIZER}.{key}": value for key, value in optimizer["config"].items()}
        training = {**training, OPTIMIZER: optimizer.get("class_name"), **told}
    yield from (f"training: {key} = {_json(training[key])}" for key in sorted(training))


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _tensors(checkpoint: Checkpoint, known: dict[str, Known]) -> Iterator[str]:
    for tensor in sorted((*checkpoint.weights, *checkpoint.slots), key=lambda each: each.path):
        digest, found = known[tensor.path]
        shape = "x".join(map(str, tensor.shape)) or "scalar"
        values = f"zeros {found.zeros}, min {found.min:.9g}, max {found.max:.9g}"
        nonfinite = f", {found.nonfinite} not finite" if found.nonfinite else ""
        yield f"tensor {tensor.path}: {shape} {tensor.dtype} {digest}, {values}{nonfinite}"


def _known(checkpoint: Checkpoint, progress: Progress | None) -> dict[str, Known]:
    """Returns path of each tensor -> what one pass over the file tells of it."""
    tensors = (*checkpoint.weights, *checkpoint.slots)
    hashes = {tensor.path: blake3() for tensor in tensors}
    found = {tensor.path: Statistics() for tensor in tensors}

    def edit(tensor: Tensor) -> pipeline.Edit:
        def look(blocks: Sequence[Array], start: int, stop: int) -> Statistics:
            hashes[tensor.path].update(blocks[0].view("u1").data)  # blocks of a tensor come in their order
            return statistics(blocks[0])

        return pipeline.Edit(tensor, (tensor,), look)

    for tensor, _, part in pipeline.verified_scan([checkpoint], list(map(edit, tensors)), progress):
        found[tensor.path] = found[tensor.path].merged(part)
    return {path: (f"blake3:{each.hexdigest()[:DIGITS]}", found[path]) for path, each in hashes.items()}
