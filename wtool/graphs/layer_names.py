"""New names for layers of a Sequential or Functional model: in its entries, its calls, and how it was compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.errors import Refused
from wtool.graphs.inner_names import rename_inner
from wtool.schema import graph
from wtool.schema.config import COMPILED
from wtool.schema.inbound_nodes import Ref, refs_of
from wtool.schema.upgrade.upgraded import moved_path

BY_OUTPUT = ("loss", "loss_weights", "metrics", "weighted_metrics")
"""What a compiled model may have by the names of its output layers."""


def rename_layers(config: dict[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Give layers of a model new names, in place.

    Args:
        config: the model's entry in a configuration of Keras 3.
        names: path of a layer -> its new name.

    Returns:
        old path -> new path of each layer whose path changes.

    Raises:
        Refused: a layer is not there, has no name of its own, or two layers would have one name.
    """
    root = graph.read(config)
    known = {layer.path for model in root.walk() for layer in model.layers}
    inner = rename_inner(config, {path: name for path, name in names.items() if path not in known})
    moved: dict[str, str] = {}
    for model in list(root.walk()):
        above = moved.get(model.path, model.path)
        new = {layer.name: names.get(layer.path, layer.name) for layer in model.layers}
        if len(set(new.values())) < len(new):
            twice = [name for name in new.values() if list(new.values()).count(name) > 1]
            raise Refused(f"two layers would be called {twice[0]}")
        refs = [ref for ref in _refs(model) if ref.place is not None]
        moved |= {layer.path: f"{above}/{new[layer.name]}" if above else new[layer.name] for layer in model.layers}
        for ref in {id(ref.place): ref for ref in refs}.values():
            name, call, output = ref.key
            ref.point((new.get(name, name), call, output))
        for layer in model.layers:
            _call(layer.entry, new[layer.name])
        if model is root:
            rename_outputs(config.get(COMPILED), new)
    for path, (owner, name) in inner.items():
        moved[path] = f"{moved_path(owner, moved)}/{name}"
    return {old: path for old, path in moved.items() if old != path}


def _refs(model: graph.Model) -> Iterator[Ref]:
    for call in model.calls:
        yield from call.inputs
    for key in ("input_layers", "output_layers"):
        yield from refs_of(model.config.get(key))


def _call(entry: dict[str, Any], name: str) -> None:
    """Give the entry of a layer another name."""
    entry["config"]["name"] = name
    if "name" in entry:
        entry["name"] = name


def rename_outputs(compiled: Any, new: Mapping[str, str]) -> None:
    """Give output layers new names in what tells how a model was compiled, in place.

    Args:
        compiled: `compile_config` of an archive, or `training_config` of an `.h5`; anything else stays as it is.
        new: old name of a layer of the outermost model -> its new name.
    """
    for key in BY_OUTPUT if isinstance(compiled, dict) else ():
        told = compiled.get(key)
        if isinstance(told, dict) and "class_name" not in told:
            compiled[key] = {new.get(name, name): value for name, value in told.items()}
