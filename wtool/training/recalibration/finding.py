"""The BatchNormalization layers of a live model, and which of them a training leaves as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import keras


def layers_of(model: Any) -> tuple[list[Any], list[Any]]:
    """Returns the BatchNormalization layers of a model, wherever they are: those that train, and those that do not.

    A layer does not train if it is frozen (`trainable` is false), or if a functional model calls it, or a model around
    it, in inference mode whatever the mode of the model itself is (`training=False`). Its statistics are constants
    then, to which the training fitted all other weights.
    """
    trains: dict[int, bool] = {}
    found: dict[int, Any] = {}
    seen: set[tuple[int, bool]] = set()
    waiting = [(model, True)]
    while waiting:
        layer, runs = waiting.pop()
        if (id(layer), runs) in seen:
            continue
        seen.add((id(layer), runs))
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built:
            found[id(layer)] = layer
            trains[id(layer)] = trains.get(id(layer), False) or (runs and bool(layer.trainable))
        parts = [(part, runs and calls) for part, calls in _parts(layer)]
        waiting += reversed(parts)
    trained = [layer for key, layer in found.items() if trains[key]]
    return trained, [layer for key, layer in found.items() if not trains[key]]


def _parts(layer: Any) -> Iterator[tuple[Any, bool]]:
    """Yields each layer inside a layer, and whether any of its calls there follows the mode of the layer."""
    inside = layer.layers if isinstance(layer, keras.Model) else layer._flatten_layers(False, False)
    modes: dict[int, list[Any]] = defaultdict(list)
    for nodes in getattr(layer, "_nodes_by_depth", {}).values():
        for node in nodes:
            modes[id(node.operation)].append(node.arguments.kwargs.get("training"))
    for part in inside:
        own = modes.get(id(part), [None])
        yield part, not all(mode is False for mode in own)
