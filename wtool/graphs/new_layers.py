"""Entries of configurations for new layers, in the words of the file that they go into."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from wtool.schema.graph import Entry, Layer
from wtool.schema.layers import quantisation

PACKAGE = "wtool"
MODULES = {"AutoRot": "wtool.layers.autorot", "L": "wtool.layers.linked"}


def own_class(entry: Entry, name: str) -> None:
    """Make an entry one of wtool's layers, in place."""
    if "module" in entry:
        entry["module"] = next(module for start, module in MODULES.items() if name.startswith(start))
        entry["class_name"], entry["registered_name"] = name, f"{PACKAGE}>{name}"
    else:
        entry["class_name"] = f"{PACKAGE}>{name}"


def keras_class(entry: Entry, name: str) -> None:
    """Make an entry one of Keras's layers, in place."""
    entry["class_name"] = name
    if "module" in entry:
        entry["module"], entry["registered_name"] = "keras.layers", None


def beside(layer: Layer, name: str, settings: Mapping[str, Any]) -> Entry:
    """Returns an entry for a new layer with the dtype of another layer; the caller sets its class."""
    config: Entry = {"name": name, "trainable": layer.config.get("trainable", True) is not False}
    if "dtype" in layer.config:
        config["dtype"] = _unquantised(layer.config["dtype"])
    entry: Entry = {"class_name": "", "config": {**config, **settings}}
    return {"module": "", "registered_name": None, **entry} if "module" in layer.entry else entry


def _unquantised(policy: Any) -> Any:
    """Returns the dtype that a quantised layer had before; the dtype of any other layer as it is."""
    if quantisation({"dtype": policy}) == (None,):
        return without_sharing(policy)
    settings = policy.get("config") if isinstance(policy, dict) else {"name": policy}
    if not isinstance(settings, dict) or not isinstance(settings.get("name", ""), str):
        return "float32"
    return settings.get("source_name") or settings.get("name", "").rpartition("from_")[2] or "float32"


def without_sharing(value: Any) -> Any:
    """Returns a copy without the marks by which Keras makes one object of several entries."""
    if isinstance(value, dict):
        return {key: without_sharing(each) for key, each in value.items() if key != "shared_object_id"}
    return deepcopy(value)
