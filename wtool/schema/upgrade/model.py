"""The upgrade of a model: the configuration of Keras 2 in, that of Keras 3 out, and all that happened on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtool.errors import Refused
from wtool.schema.config import COMPILED, is_keras2
from wtool.schema.inbound_nodes import is_of_keras3, layer_settings
from wtool.schema.layers import Shape
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.layers import upgraded_entry
from wtool.schema.upgrade.mask_flow import follow_masks
from wtool.schema.upgrade.masks import has_masks, layers_within
from wtool.schema.upgrade.training import note_embeddings, upgraded_training
from wtool.schema.upgrade.upgraded import Upgraded, Wishes, moved_path

FLOATS = ("float16", "bfloat16", "float32", "float64")


def upgrade(
    config: Any,
    training: Mapping[str, Any] | None,
    version: str | None,
    shapes: Mapping[str, Shape],
    wishes: Wishes,
    backend: str | None = None,
) -> Upgraded:
    """Returns the configuration of Keras 3 for a model of Keras 2, with every change and every refusal.

    A configuration of Keras 3 comes back as it is.

    Args:
        config: the model's entry, as `model_config` or `config.json` has it; parsed JSON.
        training: `training_config` of an `.h5`, or `compile_config` of an archive; None where the model has none.
        version: of the Keras that wrote the configuration; None where nobody knows.
        shapes: path of a variable -> its stored shape.
        wishes: what the user says where the configuration does not tell.
        backend: of the Keras that wrote the model, as an `.h5` tells.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    if is_keras3(config, version):
        return Upgraded(dict(config))
    context = Context(wishes, version, backend, shapes, floatx=floatx_of(whole(config)), masks=has_masks(config))
    entry = upgraded_entry(whole(config), Place("", class_of_model(config)), context)
    for name in sorted(set(wishes.replacements) - context.replaced):
        context.refuse(Place(name, ""), "unused wish", f"--replace names {name}, but no layer is called so")
    follow_masks(context, bool(training))
    moved = context.moves()
    if compiled := upgraded_training(training or {}, _outputs(whole(config)), moved, context):
        entry[COMPILED] = compiled
        note_embeddings(entry, compiled, context)
    for unused in wishes.unused_names(context.named):
        context.note(unused)
    if wishes.input_shape is not None and not context.shaped:
        context.note("--input-shape has no use: the model tells the shape of its input")
    return Upgraded(
        entry,
        moved,
        tuple(replace(change, path=moved_path(path, moved)) for path, change in context.arrays.items()),
        tuple(context.changes),
        tuple(context.refused),
        tuple(context.notes),
    )


def whole(config: Any) -> Mapping[str, Any]:
    """Returns a model's entry; the bare list of layers that old Kerases wrote becomes the entry of a Sequential.

    Raises:
        Refused: the configuration is neither.
    """
    if isinstance(config, list):
        return {"class_name": "Sequential", "config": {"name": "sequential", "layers": config}}
    if not isinstance(config, Mapping):
        raise Refused(f"the model's configuration is {config!r:.60}, not an object")
    return config


def _outputs(entry: Mapping[str, Any]) -> list[str] | None:
    """Returns what a model calls its outputs; None where only the author of its class knows."""
    settings = entry.get("config")
    told = settings.get("output_layers") if isinstance(settings, Mapping) else None
    if isinstance(told, Mapping):
        return list(told)
    if not isinstance(told, list) or not told:
        return None
    if isinstance(told[0], str):  # a single output, not in a list
        return told[:1]
    return [str(each[0]) if isinstance(each, list) and each else str(each) for each in told]


def class_of_model(config: Any) -> str:
    """Returns the class that a model's entry names, without its package."""
    return str(whole(config).get("class_name", "")).rpartition(">")[2]


def floatx_of(entry: Mapping[str, Any]) -> str:
    """Returns the dtype of a model's layers that name none: in old Kerases only the model's input had one.

    Args:
        entry: of the model.
    """
    for each in layers_within(entry):
        settings = layer_settings(each)
        if isinstance(settings.get("batch_input_shape"), list) and settings.get("dtype") in FLOATS:
            return str(settings["dtype"])
    return "float32"


def is_keras3(config: Any, version: str | None) -> bool:
    """Whether Keras 3 wrote a model's configuration, by its version or, where there is none, by its form."""
    if not isinstance(config, Mapping):
        return False
    if version is not None:
        return not is_keras2(version)
    settings = config.get("config")
    layers = settings.get("layers") if isinstance(settings, Mapping) else None
    entries = [entry for entry in layers if isinstance(entry, Mapping)] if isinstance(layers, list) else []
    return any(_tells_keras3(entry) for entry in entries)


def _tells_keras3(entry: Mapping[str, Any]) -> bool:
    """Whether the entry of a layer has something that Keras 3 alone writes."""
    settings, nodes = entry.get("config"), entry.get("inbound_nodes")
    if isinstance(nodes, list) and any(is_of_keras3(node) for node in nodes):
        return True
    return isinstance(settings, Mapping) and entry.get("class_name") == "InputLayer" and "batch_shape" in settings
