"""Initializers of variables, and the kernels of output layers, by a model's configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.schema.config import read_architecture

_SETTINGS = {
    "kernel": ("kernel_initializer", "depthwise_initializer", "init"),
    "recurrent_kernel": ("recurrent_initializer", "inner_init"),
    "depthwise_kernel": ("depthwise_initializer",),
    "pointwise_kernel": ("pointwise_initializer",),
    "embeddings": ("embeddings_initializer", "init"),
}
"""Role -> settings that may name its initializer, that of Keras 1 last; other roles have `<role>_initializer`."""


def initializers(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns path of each variable -> configuration of its initializer, for variables whose layer tells."""
    if checkpoint.config is None:
        return {}
    root, _ = read_architecture(checkpoint.config, checkpoint.keras_version)
    nodes = dict(root.paths())
    found = {}
    for tensor in checkpoint.weights:
        settings = nodes[tensor.layer].config if tensor.layer in nodes else {}
        names = _SETTINGS.get(tensor.role, (f"{tensor.role}_initializer",))
        entry = next((settings[name] for name in names if settings.get(name) is not None), None)
        if entry is not None:
            found[tensor.path] = entry
    return found


def output_kernels(checkpoint: Checkpoint, kernels: Sequence[Tensor]) -> list[Tensor]:
    """Returns the kernels of output layers, out of kernels in model order; the last one if the file tells none."""
    last: dict[str, Tensor] = {}  # of each layer, and of each that holds it
    for kernel in kernels:
        path = kernel.layer
        while path:
            last[path] = kernel
            path = path.rpartition("/")[0]
    return [last[name] for name in _output_layers(checkpoint.config) if name in last] or list(kernels[-1:])


def _output_layers(config: Any) -> list[str]:
    """Returns the names of a functional model's output layers."""
    settings = config.get("config") if isinstance(config, dict) else None
    outputs = settings.get("output_layers") if isinstance(settings, dict) else None
    return list(dict.fromkeys(_names(outputs)))


def _names(outputs: Any) -> Iterator[str]:
    """Yields the layer names in `["out", 0, 0]`, in a list of such references, or in a dictionary of them."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, list):
        return
    if outputs and isinstance(outputs[0], str):
        yield outputs[0]
        return
    for output in outputs:
        yield from _names(output)
