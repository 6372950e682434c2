"""The upgrade of a layer's entry, whatever the layer is: models, wrappers, single layers, layers of other authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtool.schema.layers import class_and_settings, class_of, entry_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.cudnn import from_cudnn
from wtool.schema.upgrade.custom import custom_entry
from wtool.schema.upgrade.finishing import finished, written
from wtool.schema.upgrade.keras1 import relaid_arrays, renamed_settings
from wtool.schema.upgrade.names import renamed
from wtool.schema.upgrade.nodes import functional_config
from wtool.schema.upgrade.objects import custom_part, registered_name
from wtool.schema.upgrade.replacements import replacement_of
from wtool.schema.upgrade.rules import GONE
from wtool.schema.upgrade.sequential import sequential_config
from wtool.schema.upgrade.settings import upgraded_settings

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
    if place.frozen and settings.get("trainable"):
        settings = {**settings, "trainable": False}
        context.change(place, "frozen", "it is not trainable, as the layer around it is not")
    elif isinstance(settings.get("layers"), list) and settings.get("trainable") is False:
        settings = {**settings, "trainable": True}  # Keras 2 loads a model by the flags of its layers alone
    place = replace(place, frozen=place.frozen or settings.get("trainable") is False)
    replacement = replacement_of(settings, place, context)
    if replacement is not None:
        return replacement
    kind = class_of(entry)
    if kind is not None and kind.startswith("wtool>"):
        new = upgraded_settings(kind, settings, place, context, upgraded_entry)
        return custom_part(kind.partition(">")[2], kind, new, place, context)
    if kind is None or ">" in kind:
        if isinstance(settings.get("layers"), list) and kind is None:
            model = _model("Model", settings, place, context)["config"]
            return custom_part(class_name.rpartition(">")[2], registered_name(entry), model, place, context)
        return custom_entry(entry, settings, place, context, upgraded_entry)
    if kind in ("Sequential", "Functional", "Model"):
        return _model(kind, settings, place, context)
    if kind in GONE:
        context.refuse(
            place, "no such layer", f"{GONE[kind]}; name another entry by --replace '{place.path}=CLASS:...'"
        )
    if kind == "Lambda":
        context.refuse(
            place, "Lambda",
            "its function is compiled code, which is neither run nor read; look it up where the model was made, and "
            f"name a layer that computes the same, of Keras or your own: --replace '{place.path}=CLASS:key=value,...'",
        )  # fmt: skip
    if kind in GONE or kind == "Lambda":
        return written(kind, dict(settings))
    relaid_arrays(kind, settings, place, context)
    settings = renamed_settings(kind, settings, place, context)
    kind, settings = from_cudnn(kind, settings, place, context)
    new = upgraded_settings(kind, _with_inner(kind, settings, place, context), place, context, upgraded_entry)
    return finished(kind, new, place, context)


def _model(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> Entry:
    """Returns the entry of a model; one without inputs is a sequence of layers, whatever its class is called."""
    name = settings.get("name")
    if isinstance(name, str) and "/" in name and not place.path:  # a model inside is named where it is listed
        context.change(place, "name", f"the model is called {name.replace('/', '_')!r} now")
        settings = {**settings, "name": name.replace("/", "_")}
    if kind == "Sequential" or "input_layers" not in settings:
        return written("Sequential", sequential_config(settings, place, context, upgraded_entry), "keras")
    config = functional_config(settings, place, context, upgraded_entry)
    return written("Functional", config, "keras.src.models.functional") | {"registered_name": "Functional"}


def _with_inner(kind: str, settings: Mapping[str, Any], place: Place, context: Context) -> dict[str, Any]:
    """Returns a wrapper's settings with the entries of the layers inside as Keras 3 writes them."""
    new = dict(settings)
    entry = entry_of(kind)
    wraps = entry.wraps if entry is not None else ""
    if wraps == "both ways":
        name = _name(settings.get("layer")).removeprefix("forward_")
        new["layer"] = _inner(settings.get("layer"), f"forward_{name}", place, context)
        if settings.get("backward_layer") is None:
            renamed([f"backward_{name}"], place, context)
        else:
            new["backward_layer"] = _inner(settings["backward_layer"], None, place, context)
    elif wraps == "cell":
        cell = settings.get("cell")
        if isinstance(cell, list):
            cell = {"class_name": "StackedRNNCells", "config": {"name": "stacked_rnn_cells", "cells": cell}}
        new["cell"] = _inner(cell, None, place, context)
    elif wraps == "cells":
        cells = settings["cells"] if isinstance(settings.get("cells"), list) else [settings.get("cells")]
        new["cells"] = [_inner(cell, None, place, context) for cell in cells]
    elif isinstance(settings.get("layer"), Mapping):
        new["layer"] = _inner(settings["layer"], None, place, context)
    return new


def _inner(entry: Any, name: str | None, place: Place, context: Context) -> Entry:
    class_name, _ = class_and_settings(entry, f"the layer inside {place.path}")
    kind = class_of(entry) or class_name.rpartition(">")[2]
    new = upgraded_entry(entry, place.inner(name or _name(entry), kind), context)
    if "/" not in _name(new):
        return new
    old = name or _name(entry)
    plain = renamed([old], place, context)[old].removeprefix("forward_" if name else "")
    return {**new, "config": {**new["config"], "name": plain}}


def _name(entry: Any) -> str:
    settings = entry.get("config") if isinstance(entry, Mapping) else None
    return str(settings.get("name", "")) if isinstance(settings, Mapping) else ""
