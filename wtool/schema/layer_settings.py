"""The layers of a model with their settings in one form, whatever version of Keras and format of files wrote them.

What says nothing of the model is left out: names (the paths of layers tell them), modules, numbers of shared objects,
and what follows from building a layer. Tensors in calls become `[layer, call, output]`, policies of dtypes their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wtool.errors import Refused
from wtool.schema.config import MAX_NESTED_MODELS, inside
from wtool.schema.inbound_nodes import layer_name
from wtool.schema.layers import class_and_settings, class_of
from wtool.values import dataclass

IGNORED = frozenset({"name", "build_config", "build_input_shape", "compile_config", "shared_object_id"})
"""Settings of layers that say nothing of the model, or are told elsewhere."""

LISTS, SINGLES = ("layers", "cells"), ("layer", "cell", "forward_layer", "backward_layer")
"""Settings that hold layers."""

RENAMED = {"OrthogonalInitializer": "Orthogonal", "IdentityInitializer": "Identity", "STFTInitializer": "STFT"}
"""Initializers that older versions of Keras 3 call otherwise."""

FRAME = frozenset({"module", "registered_name", "shared_object_id", "build_config"})
"""What stands beside the class and the settings of an object and follows from the class."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """A layer as its configuration tells it.

    Attributes:
        path: of names, `encoder/dense_1`; empty for the model.
        class_name: with its package, where that is not Keras.
        settings: in one form; `inbound_nodes` are the calls of the layer.
        rank: how many axes the input has that the layer was built for; None where that is not told.
        order: paths of the layers inside that run in the order of their list; those of a graph do not.
    """

    path: str
    class_name: str
    settings: dict[str, Any]
    rank: int | None = None
    order: tuple[str, ...] = ()


def layer_settings_of(config: Mapping[str, Any], renamed: Mapping[str, str] | None = None) -> list[LayerSettings]:
    """Returns the model and all its layers with their settings, outermost first.

    Args:
        config: the model's entry, parsed JSON.
        renamed: path of a layer -> the path that it gets; settings that name the layer follow.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    return list(_walk(config, "", "", renamed or {}, {}, 0))


def _walk(
    entry: Any, path: str, new_path: str, renamed: Mapping[str, str], names: Mapping[str, str], depth: int
) -> Iterator[LayerSettings]:
    """Yields a layer and what is inside it; `names` are new names of layers in the model around it."""
    if depth > MAX_NESTED_MODELS:
        raise Refused(f"the model's configuration nests more than {MAX_NESTED_MODELS} layers inside each other")
    class_name, settings = class_and_settings(entry, path or "the model")
    children = list(_children(settings, path))
    new_paths = {child_path: renamed.get(child_path, child_path) for child_path, _ in children}
    own_names = {old.rpartition("/")[2]: new.rpartition("/")[2] for old, new in new_paths.items() if old != new}
    own = {
        key: _plain(value, own_names)
        for key, value in settings.items()
        if key not in IGNORED and not _holds_layers(key, value)
    }
    if entry.get("inbound_nodes"):
        own["inbound_nodes"] = _plain(entry["inbound_nodes"], names)
    listed = _listed(settings)
    order = tuple(new_paths[child_path] for child_path, child in children if id(child) in listed)
    yield LayerSettings(new_path, _class_of_layer(entry, class_name), own, _rank(entry), order)
    for child_path, child in children:
        yield from _walk(child, child_path, new_paths[child_path], renamed, own_names, depth + 1)


def _rank(entry: Mapping[str, Any]) -> int | None:
    built = entry.get("build_config")
    shape = built.get("input_shape") if isinstance(built, Mapping) else None
    is_shape = isinstance(shape, list) and all(each is None or type(each) is int for each in shape)
    return len(shape) if isinstance(shape, list) and is_shape else None


def _holds_layers(key: str, value: Any) -> bool:
    if key in LISTS or (key == "cell" and isinstance(value, list)):
        return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)
    return key in SINGLES and isinstance(value, Mapping) and "class_name" in value


def _listed(settings: Mapping[str, Any]) -> set[int]:
    """Returns the identities of the entries of layers whose order is that of their list: no graph tells their calls."""
    lists = (value for key, value in settings.items() if _holds_layers(key, value) and isinstance(value, list))
    return {id(child) for children in lists for child in children if "inbound_nodes" not in child}


def _children(settings: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yields path and entry of each layer inside a layer; a second layer of a name has a number behind its path."""
    seen: dict[str, int] = {}
    for key, value in settings.items():
        if not _holds_layers(key, value):
            continue
        for child in value if isinstance(value, list) else [value]:
            name = inside(path, layer_name(child) or key)
            seen[name] = seen.get(name, 0) + 1
            yield name if seen[name] == 1 else f"{name}#{seen[name]}", child


def _class_of_layer(entry: Mapping[str, Any], class_name: str) -> str:
    known = class_of(entry)
    if known is None:
        return _class_name(entry, class_name)
    return "Functional" if known == "Model" else known


def _class_name(entry: Mapping[str, Any], class_name: str) -> str:
    """Returns the name of a class with its package, whether that stands in the class's name or beside it."""
    registered = entry.get("registered_name")
    told = registered if isinstance(registered, str) and ">" in registered else class_name
    name = told.removeprefix("keras>").removeprefix("Custom>")
    return RENAMED.get(name, name)


def plain_settings(value: Any) -> Any:
    """Returns a part of a configuration, parsed JSON, in the form that all versions and formats share."""
    return _plain(value, {})


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Sequence):
        return [_plain(each, names) for each in value]
    if not isinstance(value, Mapping):
        return value
    class_name, config = value.get("class_name"), value.get("config")
    if class_name == "__tuple__":
        return _plain(value.get("items"), names)
    if class_name == "__keras_tensor__" and isinstance(config, Mapping):
        return _plain(config.get("keras_history"), names)
    if class_name == "DTypePolicy" and isinstance(config, Mapping):
        return config.get("name")
    if not isinstance(class_name, str):
        return {key: _plain(each, names) for key, each in value.items() if key != "shared_object_id"}
    kept = {key: _plain(each, names) for key, each in value.items() if key not in FRAME}
    if isinstance(kept.get("config"), dict):
        kept["config"].pop("name", None)
    return {**kept, "class_name": _class_name(value, class_name)}
