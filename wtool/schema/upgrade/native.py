"""The configuration of a model of Keras 3 as `config.json` has it, from that of an `.h5`, and the way back.

An `.h5` of Keras 3 keeps the form of Keras 2 for a model and its layers (a class and settings, no module), and tells
how the model was compiled apart from that. The settings themselves are those of Keras 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.errors import Refused
from wtool.schema.config import COMPILED, MAX_NESTED_MODELS
from wtool.schema.keras3_operations import MODULES
from wtool.schema.layers import class_and_settings, class_of
from wtool.schema.optimizer_settings import settings_of
from wtool.schema.upgrade.finishing import Entry, written

MODELS = ("Sequential", "Functional", "Model")


def native_model(config: Mapping[str, Any], training: Mapping[str, Any] | None) -> Entry:
    """Returns a model's entry as `config.json` has it.

    Args:
        config: the model's entry in an `.h5` of Keras 3.
        training: how it was compiled, as the `.h5` tells; None where it was not.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    entry = _native(config, "the model", 0)
    return {**entry, COMPILED: {} if training is None else compile_config_of(training)}


def _native(entry: Any, what: str, depth: int) -> Entry:
    """Returns the entry of a layer with module and registered name; of a model, with its layers so as well."""
    if depth > MAX_NESTED_MODELS:
        raise Refused(f"the model's configuration nests more than {MAX_NESTED_MODELS} layers inside each other")
    class_name, settings = class_and_settings(entry, what)
    kind = class_of(entry)
    new = dict(settings)
    if kind in MODELS and isinstance(settings.get("layers"), list):
        name = settings.get("name") or what
        new["layers"] = [
            _native(each, f"layer {number} of {name}", depth + 1) for number, each in enumerate(settings["layers"])
        ]
    rest = {key: value for key, value in entry.items() if key not in ("class_name", "config")}
    if "module" in entry:
        return {**entry, "config": new}
    if class_name in MODULES and "trainable" not in settings:  # every layer of Keras 3 has that setting
        return written(class_name, new, MODULES[class_name]) | {"registered_name": class_name} | rest
    if kind is None or ">" in kind:
        plain = class_name.rpartition(">")[2]
        return {"module": None, "class_name": plain, "config": new, "registered_name": class_name, **rest}
    if kind in ("Functional", "Model"):
        functional = written("Functional", new, "keras.src.models.functional")
        return functional | {"registered_name": "Functional"} | rest
    return written(kind, new, "keras" if kind == "Sequential" else "keras.layers") | rest


def compile_config_of(training: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how a model was compiled as `config.json` has it, from the `training_config` of an `.h5` of Keras 3."""
    found: dict[str, Any] = {}
    optimizer = training.get("optimizer_config")
    if isinstance(optimizer, Mapping):
        registered = str(optimizer.get("class_name", ""))
        plain = registered.rpartition(">")[2]
        is_own = plain == registered
        found["optimizer"] = {
            "module": "keras.optimizers" if is_own else None,
            "class_name": plain,
            "config": optimizer.get("config"),
            "registered_name": None if is_own else registered,
        }
    return found | {name: value for name, value in training.items() if name != "optimizer_config"}


def training_config_of(compiled: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how a model was compiled as the `training_config` of an `.h5` has it, from that in `config.json`."""
    found = {name: value for name, value in compiled.items() if name != "optimizer"}
    optimizer = compiled.get("optimizer")
    if isinstance(optimizer, Mapping):
        name = optimizer.get("registered_name") or optimizer.get("class_name")
        found["optimizer_config"] = {"class_name": name, "config": optimizer.get("config")}
    elif isinstance(optimizer, str):
        found["optimizer_config"] = {"class_name": settings_of(optimizer).class_name or optimizer, "config": {}}
    return found
