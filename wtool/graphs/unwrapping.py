"""Models without the wrappers in which TensorFlow's toolkit for pruning puts layers while they are trained.

Source: `strip_pruning` of tensorflow_model_optimization/python/core/sparsity/keras/prune.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from wtool.errors import Refused, a_few
from wtool.graphs.layer_names import rename_layers, rename_outputs
from wtool.schema import graph
from wtool.schema.config import read_architecture
from wtool.schema.inbound_nodes import layer_name
from wtool.values import dataclass

PRUNED = "tfmot>PruneLowMagnitude"
"""The wrapper, as the table of layers calls it."""

_OF_CALLS = ("name", "inbound_nodes")
"""What the entry of a wrapper says of its place in the graph."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A model without wrappers.

    Attributes:
        config: its architecture.
        training: how an `.h5` says that it was compiled; None where it does not say so.
        moved: old path -> new path of each layer that was wrapped.
        wrappers: old paths of the wrappers.
    """

    config: dict[str, Any]
    training: dict[str, Any] | None
    moved: Mapping[str, str]
    wrappers: frozenset[str]


def wrappers_in(config: Mapping[str, Any], version: str | None) -> tuple[str, ...]:
    """Returns the paths of the wrappers in a model."""
    root, _ = read_architecture(config, version)
    return tuple(path for path, node in root.paths() if node.kind == PRUNED)


def unwrapped(config: Mapping[str, Any], training: Mapping[str, Any] | None, version: str | None) -> Unwrapped:
    """Returns a model with each wrapped layer in the place of its wrapper, under its own name.

    Args:
        config: the model's entry in a configuration.
        training: how an `.h5` says that it was compiled, if it does.
        version: of the Keras that wrote the configuration.

    Raises:
        Refused: a wrapper is not in the list of layers of a Sequential or Functional model, or names would not be
            unique.
    """
    new: dict[str, Any] = deepcopy(dict(config))
    new_training = None if training is None else deepcopy(dict(training))
    wrapped = {layer.path: layer for model in graph.read(new).walk() for layer in model.layers if layer.kind == PRUNED}
    names = {path: layer_name(layer.config["layer"]) for path, layer in wrapped.items()}
    if twice := {path.rpartition("/")[2] for path in wrapped} & {*names.values()}:
        raise Refused(f"a layer inside a wrapper is called as the wrapper is: {a_few(sorted(twice))}")
    paths = rename_layers(new, names)
    if new_training is not None:
        rename_outputs(new_training, {path: name for path, name in names.items() if "/" not in path})
    for layer in wrapped.values():
        _unwrap(layer.entry)
    if left := wrappers_in(new, version):
        raise Refused(f"{a_few(left)} is inside a layer, where only its author could replace it")
    moved = {f"{path}/{name}": paths[path] for path, name in names.items()}
    return Unwrapped(new, new_training, moved, frozenset(wrapped))


def _unwrap(entry: dict[str, Any]) -> None:
    """Put the layer inside a wrapper into the place of the wrapper's entry."""
    outer, inner = dict(entry), entry["config"]["layer"]
    entry.clear()
    entry.update(inner)
    entry.update({key: outer[key] for key in _OF_CALLS if key in outer})
    shape = outer["config"].get("batch_input_shape")
    if shape is not None:  # a Sequential model takes the shape of its input from the first layer
        entry["config"].setdefault("batch_input_shape", shape)
