"""Sequential models: an InputLayer stands first, and no other layer says what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wtool.errors import Refused
from wtool.schema.inbound_nodes import layer_name
from wtool.schema.layers import class_and_settings, class_of
from wtool.schema.upgrade.context import Context, Place

Upgrade = Callable[[Any, Place, Context], dict[str, Any]]


def sequential_config(
    settings: Mapping[str, Any], place: Place, context: Context, upgraded_entry: Upgrade
) -> dict[str, Any]:
    """Returns the settings of a Sequential model as Keras 3 writes them.

    Args:
        settings: of the old model; `layers` are its layers.
        place: of the model.
        context: notes what is done.
        upgraded_entry: upgrades the entry of a layer inside.

    Raises:
        Refused: the layers are no list of entries.
    """
    entries = settings.get("layers")
    if not isinstance(entries, list):
        raise Refused(f"the configuration of {place.path or 'the model'} has layers that are no list: {entries!r:.60}")
    layers = []
    for number, entry in enumerate(entries):
        class_name, _ = class_and_settings(entry, f"layer {number} of {place.path or 'the model'}")
        inner = place.inner(layer_name(entry), class_of(entry) or class_name.rpartition(">")[2])
        layers.append(upgraded_entry(entry, inner, context))
    return {"name": settings.get("name"), "trainable": settings.get("trainable", True), "layers": layers}
