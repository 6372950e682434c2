"""`--to linked`: activations become linked ones, everything behind them is widened, and the model computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.errors import Refused
from wtool.graphs.new_layers import beside, keras_class, own_class, without_sharing
from wtool.graphs.propagate import Propagation, Restoration, propagate
from wtool.graphs.reindex import linked
from wtool.graphs.settling import forget_builds_inside, tell_build, tell_input, tell_shape
from wtool.schema.graph import Entry, Layer, Model
from wtool.schema.layers import entry_of
from wtool.schema.layers.activations import ACROSS, LEVELS, activation_name
from wtool.values import dataclass

VARIANTS = {"relu": "LKReLU", "selu": "LKSELU", "swish": "LKSwish", "silu": "LKSwish"}
"""Activation -> linked layer of its own; others become `Linked(activation)`."""

LARGEST = 1 << 27
"""Weights of a projection that are still worth it."""


@dataclass(frozen=True, eq=False)
class Activation:
    """What a layer's activation becomes.

    Attributes:
        variant: class of the linked layer.
        settings: of that layer.
        fused: it is a setting of a layer that does more.
    """

    variant: str
    settings: Mapping[str, Any]
    fused: bool


@dataclass(eq=False)
class Projected:
    """A projection that was put in: its layer, and which position of its input each of its outputs is."""

    layer: Layer
    restoration: Restoration
    beside: Layer | None


def activation_of(layer: Layer) -> Activation | None:
    """What a layer's activation would become; None where it has none, or one that cannot be linked."""
    acting = layer.acting
    kind, config = (acting.kind or "").removeprefix("wtool>"), acting.config
    if kind == "PReLU" and acting is layer:
        names = ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes")
        return Activation("LKPReLU", {name: config.get(name) for name in names if name in config}, fused=False)
    if kind in ("ReLU", "LeakyReLU", "ELU"):
        return _of_layer(kind, acting)
    if kind == "Activation":
        return _of_function(config.get("activation"), fused=False)
    entry = entry_of(acting.kind or "")
    ends_in_it = entry is not None and entry.ends_in_activation
    return _of_function(config.get("activation"), fused=True) if ends_in_it else None


def _of_layer(kind: str, layer: Layer) -> Activation:
    config = layer.config
    if kind == "ReLU":
        slope = config.get("negative_slope") or 0
        if not slope and not config.get("threshold") and config.get("max_value") in (None, 6):
            name = "relu" if config.get("max_value") is None else "relu6"
            return Activation(VARIANTS.get(name, "Linked"), {} if name == "relu" else {"activation": name}, False)
    if kind == "ELU" and config.get("alpha", 1.0) == 1.0:
        return Activation("Linked", {"activation": "elu"}, fused=False)
    inner: Entry = {"class_name": kind, "config": without_sharing({**config, "name": f"{layer.name}_activation"})}
    keras_class(inner, kind)
    return Activation("Linked", {"activation": {"module": "keras.layers", "registered_name": None, **inner}}, False)


def _of_function(function: Any, fused: bool) -> Activation | None:
    name = function.get("config") if isinstance(function, dict) else function
    if function is None or name == "linear":
        return None
    if isinstance(name, str) and name in VARIANTS:
        return Activation(VARIANTS[name], {}, fused)
    return Activation("Linked", {"activation": without_sharing(function)}, fused)


def is_across(activation: Activation) -> bool:
    """Whether the activation is not of each value alone, but of all channels."""
    function = activation.settings.get("activation")
    name = function.get("config") if isinstance(function, dict) else function
    return isinstance(name, str) and name in ACROSS


def as_general(activation: Activation, layer: Layer) -> Activation:
    """The same by the class for any activation.

    Raises:
        Refused: it has slopes of its own, which that class does not.
    """
    if activation.variant == "Linked":
        return activation
    if activation.variant == "LKPReLU":
        raise Refused(f"{layer.shown} has slopes that are trained; Linked has none: take --to LKPReLU")
    name = next(name for name, variant in VARIANTS.items() if variant == activation.variant)
    return Activation("Linked", {"activation": name}, activation.fused)


def link(model: Model, chosen: Mapping[str, tuple[Layer, Activation]]) -> tuple[Propagation, list[Projected]]:
    """Link the activations of some layers, in place.

    Raises:
        Refused: something behind them cannot go on as before.
    """
    found = propagate(model, dict.fromkeys(chosen, linked), can_restore=True)
    settle(found)
    for inner in model.walk():
        for layer in list(inner.layers):
            if layer.path in chosen and layer.path in found.axes:
                _put_link(inner, layer, chosen[layer.path][1], found)
    projected = [_project(each) for each in found.restored.values()]
    for inner in model.walk():
        inner.settle()
    return found, projected


def settle(found: Propagation) -> None:
    """Write new shapes and settings into the configuration."""
    brought = {id(ref) for each in found.restored.values() for ref in each.refs}
    for ref, reindex, shape in found.changed:
        if id(ref) not in brought:
            tell_shape(ref, reindex.shape(shape))
    for inner, key, reindex in found.entered:
        tell_input(inner, key, reindex.axis, len(reindex.source))
    for path, layer in found.layers.items():
        change = found.changes.get(path)
        if change is not None:
            layer.config.update(change.settings)
        if change is None or change.output or change.edits:
            tell_build(layer, found.inputs[path])
        if change is not None and change.edits:
            forget_builds_inside(layer)


def _put_link(model: Model, layer: Layer, activation: Activation, found: Propagation) -> None:
    settings = {**activation.settings, "axis": found.axes[layer.path]}
    if not activation.fused:
        config = {name: layer.config[name] for name in ("name", "trainable", "dtype") if name in layer.config}
        layer.entry["config"] = {**config, **settings}
        layer.entry.pop("build_config", None)
        own_class(layer.entry, activation.variant)
        layer.kind = f"wtool>{activation.variant}"
        return
    _set_linear(layer)
    entry = beside(layer, model.free_name(f"{layer.name}_linked"), settings)
    own_class(entry, activation.variant)
    calls = model.calls_of(layer)
    made = model.insert(entry, [call.key for call in calls], [model.users(call.key) for call in calls])
    for call in model.calls_of(made):
        if call.inputs[0].told is not None:
            call.inputs[0].told["shape"] = list(found.before[layer.path])


def _set_linear(layer: Layer) -> None:
    config = layer.acting.config
    if config.get("L") == "auto":  # of an Auto-Rotating layer: the one of its activation
        config["L"] = LEVELS.get(activation_name(config["activation"]), "auto")
    config["activation"] = "linear"


def _project(restoration: Restoration) -> Projected:
    """Put in a layer that brings the old form back: the identity on what was, zero on what is new."""
    model, reindex, shape = restoration.model, restoration.reindex, restoration.shape
    key = restoration.refs[0].key
    source = next((layer for layer in model.layers if layer.name == key[0]), None)
    near = source or model.layers[0]
    rank, wide = len(shape), len(reindex.source)
    settings: dict[str, Any]
    if rank in (4, 5) and reindex.axis in (1, rank - 1):
        kind = f"Conv{rank - 2}D"
        order = "channels_first" if reindex.axis == 1 else "channels_last"
        settings = {"filters": reindex.size, "kernel_size": [1] * (rank - 2), "data_format": order}
    elif reindex.axis == rank - 1:
        kind, settings = "Dense", {"units": reindex.size}
    else:
        kind = "EinsumDense"
        letters = "abcdefgh"[:rank]
        made = letters.replace(letters[reindex.axis], "z")
        sizes = [reindex.size if axis == reindex.axis else size for axis, size in enumerate(shape)]
        settings = {"equation": f"{letters},{letters[reindex.axis]}z->{made}", "output_shape": sizes[1:]}
    if wide * reindex.size > LARGEST:
        raise Refused(f"{restoration.why[0]}; a projection back would take {wide * reindex.size:,} weights")
    name = model.free_name(f"{(source.name if source else '') or 'input'}_project")
    bias = {"bias_axes": None} if kind == "EinsumDense" else {"use_bias": False}
    entry = beside(near, name, {**settings, "activation": "linear", **bias})
    keras_class(entry, kind)
    layer = model.insert(entry, [key], [restoration.refs])
    ref = model.calls_of(layer)[0].inputs[0]
    if ref.told is not None:
        ref.told["shape"] = list(reindex.shape(shape))
    return Projected(layer, restoration, source)
