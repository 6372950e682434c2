"""`--to plain`: Auto-Rotating layers become their parents again, linked activations plain ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import WtoolError
from wtool.graphs.layer_changes import INPUT
from wtool.graphs.linking import VARIANTS, settle
from wtool.graphs.new_layers import keras_class, without_sharing
from wtool.graphs.propagate import propagate
from wtool.graphs.reindex import Reindex, at_new_positions
from wtool.graphs.rotation import OWN, WRAPPERS
from wtool.graphs.selecting import followers
from wtool.graphs.values import Values, axis_edits
from wtool.schema.graph import Entry, Layer, Model
from wtool.schema.layers import LINKED, class_of, entry_of

PLAIN = {variant: name for name, variant in reversed(VARIANTS.items()) if name != "swish"}
PROJECTION = re.compile(r"_project(_\d+)?$")


def own_entries(layer: Layer) -> list[Entry]:
    """The entries of a layer, or of those inside a wrapper, that are of wtool's classes."""
    entries = [layer.entry]
    if layer.kind in WRAPPERS:
        entries += [layer.config.get("layer"), layer.config.get("backward_layer")]  # type: ignore[list-item]
    return [entry for entry in entries if isinstance(entry, dict) and is_own(entry)]


def is_own(entry: Entry) -> bool:
    """Whether an entry is one of wtool's layers, or of the original ones that they stand in for."""
    return (class_of(entry) or "").startswith("wtool>")


def is_linked(layer: Layer) -> bool:
    """Whether a layer is a linked activation."""
    return (layer.kind or "").removeprefix("wtool>") in LINKED


def unrotate(layer: Layer) -> bool:
    """Make an Auto-Rotating layer, or what is inside a wrapper, its parent; says whether it was switched on."""
    was_on = False
    for entry in own_entries(layer):
        keras_class(entry, str(entry["class_name"]).rpartition(">")[2].removeprefix("AutoRot"))
        was_on |= entry["config"].get("AutoRot", True) is not False
        for name in OWN:
            entry["config"].pop(name, None)
    layer.kind = (layer.kind or "").removeprefix("wtool>AutoRot")
    return was_on


def unlink(base: Checkpoint, model: Model, layers: Mapping[str, Layer], force: bool) -> tuple[Values, str | None]:
    """Make linked activations plain ones, in place; gives the arrays, and a note if what was dropped was not zero.

    Raises:
        WtoolError: weights that would be dropped are not zero, and nobody forces it.
        Refused: something behind cannot go on with half of its inputs.
    """
    found = propagate(model, dict.fromkeys(layers, _first_half), can_restore=False)
    values = Values(axis_edits(base, found))
    note = _dropped(base, values)
    if note is not None and not force:
        raise WtoolError(f"{note}; the plain model would compute something else (--force drops them)")
    settle(found)
    for inner in model.walk():
        for layer in list(inner.layers):
            if layer.path in layers:
                _put_plain(base, inner, layer, values)
            elif layer.path in found.changes:
                _drop_projection(base, inner, layer, values)
        inner.settle()
    return values, note


def _first_half(before: Reindex) -> Reindex:
    """What stays of a linked layer's output."""
    return Reindex(before.axis, before.source[: len(before.source) // 2], before.size)


def _dropped(base: Checkpoint, values: Values) -> str | None:
    """What is said of dropped weights that are not zero; None if all are."""
    named = {tensor.path: tensor for tensor in base.weights}
    worst: tuple[float, float, str] = (0.0, 0.0, "")
    count = total = 0
    for path, edits in values.edits.items():
        for edit in edits:
            if edit.fill != INPUT:
                continue
            kernel = np.abs(base.read(named[path]).astype(np.float64))
            gone = np.delete(kernel, edit.source, axis=edit.axis)
            total += gone.size
            count += int(np.count_nonzero(gone))
            largest = float(gone.max(initial=0.0))
            if largest > worst[0]:
                worst = (largest, float(at_new_positions(kernel, edit.axis, edit.source).max(initial=0.0)), path)
    if not count:
        return None
    largest, kept, path = worst
    return (
        f"{count:,} of {total:,} weights of linked halves are not zero, up to {largest:.3g} in {path}, "
        f"whose others are up to {kept:.3g}"
    )


def _put_plain(base: Checkpoint, model: Model, layer: Layer, values: Values) -> None:
    kind, config = (layer.kind or "").removeprefix("wtool>"), layer.config
    if kind == "LKPReLU" and not any(tensor.path == f"{layer.path}/alpha" for tensor in base.weights):
        kind = "LKReLU"  # slopes that linked_neurons did not save stayed at zero
    kept = {name: config[name] for name in ("name", "trainable", "dtype") if name in config}
    layer.entry.pop("build_config", None)
    if kind == "LKPReLU":
        layer.entry["config"] = {name: value for name, value in config.items() if name != "axis"}
        keras_class(layer.entry, "PReLU")
        values.gone_variables.add(f"{layer.path}/linked_alpha")
        values.edits.pop(f"{layer.path}/linked_alpha", None)
        return
    function: Any = PLAIN[kind] if kind in PLAIN else config.get("activation")
    if _fuse(model, layer, function):
        values.gone.add(layer.path)
        return
    if isinstance(function, dict) and isinstance(function.get("config"), dict):
        layer.entry["config"] = {**without_sharing(function["config"]), **kept}
        keras_class(layer.entry, str(function.get("class_name")))
    else:
        layer.entry["config"] = {**kept, "activation": function}
        keras_class(layer.entry, "Activation")


def _fuse(model: Model, layer: Layer, function: Any) -> bool:
    """Give an activation back to the layer that it was taken out of, if it was, and say so."""
    if not re.search(r"_linked(_\d+)?$", layer.name):
        return False
    name = re.sub(r"_linked(_\d+)?$", "", layer.name)
    producer = next((each for each in model.layers if each.name == name), None)
    if producer is None or {id(each) for each in followers(model, producer)} != {id(layer)}:
        return False
    if any(call.inputs[0].key[0] != name for call in model.calls_of(layer)):
        return False
    acting = producer.acting
    config, entry = acting.config, entry_of(acting.kind or "")
    if entry is None or not entry.ends_in_activation or config.get("activation") != "linear":
        return False
    config["activation"] = function
    model.remove(layer)
    return True


def _drop_projection(base: Checkpoint, model: Model, layer: Layer, values: Values) -> None:
    """Take out a projection that is the identity now."""
    path = f"{layer.path}/kernel"
    tensor = next((each for each in base.weights if each.path == path), None)
    edits = values.edits.get(path, [])
    if tensor is None or len(edits) != 1 or not PROJECTION.search(layer.name) or not _is_projection(layer):
        return
    kernel = at_new_positions(base.read(tensor), edits[0].axis, edits[0].source)
    if _is_identity(tensor, kernel):
        model.remove(layer)
        values.gone.add(layer.path)
        del values.edits[path]


def _is_projection(layer: Layer) -> bool:
    """Whether a layer is of the kind that `--to linked` puts in, and does nothing but multiply."""
    config = layer.config
    bias = config.get("use_bias") or config.get("bias_axes")
    strides = config.get("strides") or [1]
    known = layer.kind in ("Dense", "Conv2D", "Conv3D", "EinsumDense")
    return known and config.get("activation") == "linear" and not bias and all(each == 1 for each in strides)


def _is_identity(tensor: Tensor, kernel: Array) -> bool:
    flat = kernel.reshape(kernel.shape[-2:]) if kernel.size == kernel.shape[-2] * kernel.shape[-1] else kernel
    return flat.ndim == 2 and flat.shape[0] == flat.shape[1] and np.array_equal(flat, np.eye(len(flat)))
