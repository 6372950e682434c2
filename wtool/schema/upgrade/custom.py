"""Layers of classes that are not Keras's own: kept as they are, with what Keras 3 has to find in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.nodes import functional_config
from wtool.schema.upgrade.objects import FAMILIES, registered_name, upgraded_dtype, upgraded_part

Upgrade = Callable[[Any, Place, Context], dict[str, Any]]

APPLICATIONS = {
    "LayerScale": "applications.convnext",
    "StochasticDepth": "applications.convnext",
    "CustomScaleLayer": "applications.inception_resnet_v2",
}
"""Layer of Keras's applications that has no public name -> the module with its class, in both Kerases."""


def custom_entry(
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
    place: Place,
    context: Context,
    upgraded_entry: Upgrade,
) -> dict[str, Any]:
    """Returns the entry of a layer whose class is its author's, and notes what has to be registered.

    Its settings stay, but for those that every layer has, and for entries of Keras's own layers and parts in them,
    which the author's code hands to Keras.

    Args:
        entry: of the layer in the old model.
        settings: in the entry.
        place: of the layer.
        context: notes what is done.
        upgraded_entry: upgrades the entry of a layer.
    """
    of_application = _of_application(entry)
    if of_application is not None:
        context.change(place, "layer of an application", "its class is that of the same application in Keras 3")
        dtype = upgraded_dtype(settings.get("dtype"), place, context)
        return of_application | {"config": dict(settings) | ({} if dtype is None else {"dtype": dtype})}
    old = registered_name(entry)
    registered = context.registered(old, place)
    renamed = f", now {registered}" if registered != old else ""
    context.change(place, "custom class", f"the class {old}{renamed} is kept, with its settings")
    graph: dict[str, Any] = {}
    if {"layers", "input_layers", "output_layers"} <= settings.keys() and isinstance(settings["layers"], list):
        graph = functional_config(settings, place, context, upgraded_entry)
    own = {key: value for key, value in settings.items() if key not in graph}
    config = graph | {key: _inner(value, place, context, upgraded_entry) for key, value in own.items()}
    config.pop("batch_input_shape", None)
    if "dtype" in settings:
        config["dtype"] = upgraded_dtype(settings["dtype"], place, context)
    if "hard_sigmoid" in settings.values():
        context.note(f"layer {place.path} says hard_sigmoid, and its own code resolves it: Keras 3 means x / 6 + 0.5")
    plain = registered.rpartition(">")[2]
    new = {"module": None, "class_name": plain, "config": config, "registered_name": registered}
    return new | {key: entry[key] for key in ("build_config",) if key in entry}


def _of_application(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the entry, without settings, of a layer that the applications of both Kerases have; else None."""
    name = str(entry.get("class_name")).rpartition(">")[2]
    module = APPLICATIONS.get(name)
    if module is None or entry.get("module") not in [f"{root}.{module}" for root in ("tf_keras.src", "keras.src")]:
        return None
    return {"module": f"keras.src.{module}", "class_name": name, "registered_name": name}


def _inner(value: Any, place: Place, context: Context, upgraded_entry: Upgrade) -> Any:
    """Returns a setting of a custom class; entries of layers, initializers and such become those of Keras 3."""
    if isinstance(value, list):
        return [_inner(each, place, context, upgraded_entry) for each in value]
    if not isinstance(value, Mapping):
        return value
    name = value.get("class_name")
    if not isinstance(name, str) or not isinstance(value.get("config"), (Mapping, list)):
        return {key: _inner(each, place, context, upgraded_entry) for key, each in value.items()}
    for family, classes in FAMILIES.items():
        if name in classes:
            return upgraded_part(value, family, place, context)
    if class_of(value) is not None:
        config = value["config"]
        inner = config.get("name") if isinstance(config, Mapping) else None
        return upgraded_entry(value, place.inner(str(inner or name), name), context)
    return dict(value)
