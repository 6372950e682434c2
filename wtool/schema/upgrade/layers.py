"""The upgrade of a layer's entry, whatever the layer is: models, wrappers, single layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.layers import class_and_settings, class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.nodes import functional_config
from wtool.schema.upgrade.sequential import sequential_config

Entry = dict[str, Any]


def upgraded_entry(entry: Any, place: Place, context: Context) -> Entry:
    """Returns the entry of a layer as Keras 3 writes it: module, class, settings and registered name.

    The calls of a functional model's layers (`inbound_nodes`) are not in it.

    Args:
        entry: of the layer in the old model; parsed JSON.
        place: of the layer.
        context: notes what is done. What cannot be kept is refused there, and the entry that comes back is not of use.

    Raises:
        Refused: this is no layer's entry.
    """
    class_name, settings = class_and_settings(entry, place.path or "the model")
    kind = class_of(entry) or class_name
    if kind == "Sequential":
        return written("Sequential", sequential_config(settings, place, context, upgraded_entry), "keras")
    if "input_layers" in settings:
        functional = functional_config(settings, place, context, upgraded_entry)
        return {**written("Functional", functional, "keras.src.models.functional"), "registered_name": "Functional"}
    return written(kind, dict(settings))


def written(class_name: str, settings: Mapping[str, Any], module: str = "keras.layers") -> Entry:
    """Returns the entry of a class of Keras's own."""
    return {"module": module, "class_name": class_name, "config": dict(settings), "registered_name": None}
