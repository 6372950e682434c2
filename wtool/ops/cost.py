"""What a saved model costs to run, as the JSON object that `wtool inspect --cost --json` prints."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Refused, Usage
from wtool.io.addresses import text_of
from wtool.option import path_of
from wtool.schema.costs import Costs, LayerCost, costs_of


def cost(path: str | os.PathLike[str], input_shapes: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
    """Tell what a model costs to run: multiply-adds and activations of each layer, for a batch of one.

    Only the configuration and the shapes of the weights are read. docs/reference/inspect.md describes the keys and what
    is counted; numbers that are not known are None.

    Args:
        path: a file, or `-` for standard input.
        input_shapes: a shape for each input of the model, without the batch, where the configuration leaves sizes open.

    Raises:
        Usage: a shape has sizes below 1.
        Refused: no Keras model, damaged, or hostile; without an architecture, or one whose graph is in code.
        WtoolError: missing or unreadable.

    Example:
        >>> wtool.cost("model.keras", [(224, 224, 3)])["multiply_adds"]  # doctest: +SKIP
    """
    if any(type(size) is not int or size < 1 for shape in input_shapes for size in shape):
        raise Usage("the sizes of an input shape are whole numbers from 1 on")
    with open_checkpoint(text_of(path_of("path", path))) as checkpoint:
        if checkpoint.config is None:
            raise Refused("the file has weights alone, and no architecture to count multiply-adds of", checkpoint.name)
        costs = costs_of(checkpoint.config, [(None, *shape) for shape in input_shapes])
        return _described(checkpoint, costs)


def _described(checkpoint: Checkpoint, costs: Costs) -> dict[str, Any]:
    parameters = _parameters(checkpoint, costs)
    return {
        "path": checkpoint.name,
        "format": checkpoint.format,
        "keras_version": checkpoint.keras_version,
        "inputs": [None if shape is None else list(shape[1:]) for shape in costs.inputs],
        "parameters": sum(prod(tensor.shape) for tensor in checkpoint.weights),
        "multiply_adds": costs.multiply_adds,
        "activations": costs.activations,
        "layers": [_layer(layer, parameters[layer.path]) for layer in costs.layers],
        "notes": list(checkpoint.notes),
    }


def _layer(layer: LayerCost, parameters: int) -> dict[str, Any]:
    return {
        "name": layer.path,
        "class": layer.class_name,
        "calls": layer.calls,
        "output": None if layer.output is None else list(layer.output[1:]),
        "parameters": parameters,
        "multiply_adds": layer.multiply_adds,
        "activations": layer.activations,
        "unknown": layer.unknown or None,
    }


def _parameters(checkpoint: Checkpoint, costs: Costs) -> Counter[str]:
    """The number of values in the weights of each layer, those of the layers that it holds included."""
    listed = {layer.path for layer in costs.layers}
    found: Counter[str] = Counter()
    for tensor in checkpoint.weights:
        owner = tensor.layer
        while owner and owner not in listed:
            owner = owner.rpartition("/")[0]
        found[owner] += prod(tensor.shape)
    return found
