"""Sequential models: an InputLayer stands first, and no other layer says what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.errors import Refused
from wtool.schema.config import inside
from wtool.schema.inbound_nodes import START, layer_name, layer_settings
from wtool.schema.layers import Shape, class_and_settings, class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.mask_flow import Flow
from wtool.schema.upgrade.mask_rules import Masked
from wtool.schema.upgrade.mask_steps import Step
from wtool.schema.upgrade.mask_terms import Terms
from wtool.schema.upgrade.names import refuse_equal_paths, renamed
from wtool.schema.upgrade.operation_call import Cannot
from wtool.schema.upgrade.specs import Spec, spec_of_input, specs_behind

Entry = dict[str, Any]
Upgrade = Callable[[Any, Place, Context], Entry]


def sequential_config(settings: Mapping[str, Any], place: Place, context: Context, upgraded_entry: Upgrade) -> Entry:
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
    owner = place.path or "the model"
    if not isinstance(entries, list):
        raise Refused(f"the configuration of {owner} has layers that are no list: {entries!r:.60}")
    layers = []
    for number, entry in enumerate(entries):
        class_name, _ = class_and_settings(entry, f"layer {number} of {owner}")
        inner = place.inner(layer_name(entry), class_of(entry) or class_name.rpartition(">")[2])
        layers.append(upgraded_entry(entry, inner, context))
    refuse_equal_paths({layer_name(entry): entry for entry in entries}, place, context)
    names = renamed([layer_name(entry) for entry in entries], place, context)
    for old, new in zip(entries, layers, strict=True):
        if "/" in layer_name(old):
            new["config"]["name"] = names[layer_name(old)]
    if layers and layers[0]["class_name"] != "InputLayer":
        layers[:0] = _input_layer(entries[0], settings, place, context)
    if context.masks:
        context.flows[place.path] = _flow(entries, layers, place, context)
    return {
        "name": settings.get("name") or "sequential",
        "trainable": settings.get("trainable", True),
        "layers": layers,
    }


def _flow(entries: Sequence[Entry], layers: Sequence[Entry], place: Place, context: Context) -> Flow:
    """Returns how masks go through a Sequential model, whose calls take no argument that could say a mask.

    Args:
        entries: of its layers in the old model.
        layers: of its layers in the new model.
        place: of the model.
        context: of the upgrade.
    """
    steps: list[Step] = []
    taken = START
    specs = [spec_of_input(layers[0])] if layers and layers[0]["class_name"] == "InputLayer" else [Spec()]
    behind = layers[len(layers) - len(entries) :]
    for number, (old, new) in enumerate(zip(entries, behind, strict=True)):
        if class_of(old) == "InputLayer":
            continue
        name = layer_name(old)
        inner = place.inner(name, class_of(old) or str(old.get("class_name")))
        shape = specs[0].shape if specs else None
        rank = len(shape) if shape is not None else None
        steps.append(Step((name, number), inner, old, ((0, taken),), {}, rank))
        taken = (name, number, 0)
        specs = specs_behind(new, inner.path, specs, {}, context.models)
    return Flow(place.path, steps, [START], [taken], _cannot_write, context)


def _cannot_write(step: Step, masks: Sequence[Masked], terms: Terms) -> None:
    """Raises Cannot: in a Sequential model, each layer is given the output of the one before, and nothing else."""
    raise Cannot("is in a Sequential model, whose layers take no argument")


def _input_layer(first: Mapping[str, Any], settings: Mapping[str, Any], place: Place, context: Context) -> list[Entry]:
    """Returns the InputLayer of a model whose first layer is none; nothing where a model around it gives the shape."""
    shape, dtype = declared_input(first)
    name = layer_name(first).replace("/", "_")
    if shape is None and isinstance(settings.get("build_input_shape"), list):
        shape = settings["build_input_shape"]
    if shape is None and place.depth:
        return []  # the model is called by the model around it
    if shape is None and context.wishes.input_shape is not None:
        shape = [None, *context.wishes.input_shape]
        context.shaped = True
        context.change(place, "input shape", f"its input has the shape {shape}, as --input-shape says")
    elif shape is None:
        shape = _taken(first, place, context)
        if shape is None:
            context.refuse(place, "no input shape", "it never stored the shape of its input; say it by --input-shape")
            return []
        told = f"its input has the shape {shape}, by the kernel of {name}; --input-shape can say another"
        context.change(place, "inferred input shape", told)
        context.note(f"the model never stored its input shape: {told}")
    config = {"batch_shape": shape, "dtype": dtype or context.floatx, "sparse": False, "name": f"{name}_input"}
    return [{"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}]


def declared_input(entry: Mapping[str, Any]) -> tuple[list[Any] | None, str | None]:
    """Returns the shape and the dtype of the input that a layer declares; a model, by its first layer."""
    while True:
        settings = layer_settings(entry)
        layers = entry["config"] if isinstance(entry.get("config"), list) else settings.get("layers")
        shape = settings.get("batch_input_shape", settings.get("batch_shape"))
        if isinstance(shape, list):
            dtype = settings.get("dtype")
            return shape, _input_dtype(class_of(entry), dtype)
        if not isinstance(layers, list) or not layers or not isinstance(layers[0], Mapping):
            return None, None
        entry = layers[0]


def _input_dtype(kind: str | None, dtype: Any) -> str | None:
    """Returns the dtype of a layer's input: that of the layer, but for mixed policies."""
    if isinstance(dtype, Mapping):
        config = dtype.get("config")
        dtype = config.get("name") if isinstance(config, Mapping) else None
    if not isinstance(dtype, str) or dtype.startswith(("mixed_", "infer", "_infer")):
        return None
    return dtype


def _taken(first: Mapping[str, Any], place: Place, context: Context) -> list[Any] | None:
    """Returns the shape that a layer takes by its kernel; None where the kernel does not tell."""
    kind, path = class_of(first), inside(place.path, layer_name(first))

    def kernel(name: str) -> Shape:
        return context.shapes.get(f"{path}/{name}", ())

    if kind == "Dense" and len(kernel("kernel")) == 2:
        return [None, kernel("kernel")[0]]
    if kind == "Embedding":
        return [None, None]
    if kind in ("SimpleRNN", "LSTM", "GRU"):
        shape = kernel(f"{kind.lower() if kind != 'SimpleRNN' else 'simple_rnn'}_cell/kernel")
        return [None, None, shape[0]] if shape else None
    rank = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3}.get(str(kind))
    shape = kernel("kernel")
    if rank is None or len(shape) != rank + 2:
        return None
    groups = layer_settings(first).get("groups", 1)
    channels = shape[-2] * (groups if type(groups) is int else 1)
    space = [None] * rank
    return (
        [None, channels, *space]
        if layer_settings(first).get("data_format") == "channels_first"
        else [None, *space, channels]
    )
