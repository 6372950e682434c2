"""What a swap does to a model's graph and arrays."""

from __future__ import annotations

from dataclasses import field, replace
from functools import partial
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint
from wtool.dtypes import Array, dtype_of
from wtool.errors import a_few
from wtool.graphs.linking import Activation, Projected, activation_of, as_general, is_across, link
from wtool.graphs.plain import is_linked, own_entries, unlink, unrotate
from wtool.graphs.rotation import WRAPPERS, limits_of, plain_name, rho_of, rotatable, rotate
from wtool.graphs.selecting import choose, passed_by
from wtool.graphs.swap import Swap
from wtool.graphs.values import Added, Filling, Values, axis_edits, changed_values, new_shape, weights_by_layer
from wtool.schema.config import is_keras2, variable_dtype
from wtool.schema.graph import Layer, Model
from wtool.schema.operations import TENSORFLOW
from wtool.values import dataclass


@dataclass(eq=False)
class Changed:
    """What a swap means for a model.

    Attributes:
        values: its arrays.
        layers: path of each layer that became another, or is new -> what became of it.
        rho: path of each rotated layer -> smallest, median and largest factor of its outputs.
        same: whether the new model computes what the old one did.
        forced: whether weights were dropped that are not zero, which is done only by force.
        notes: worth knowing, one line each.
    """

    values: Values
    layers: dict[str, str]
    rho: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    same: bool = True
    forced: bool = False
    notes: tuple[str, ...] = ()


def change(swap: Swap, base: Checkpoint, model: Model, force: bool) -> Changed:
    """Do a swap to a model's graph, in place, and say what its arrays become.

    Raises:
        Refused: the model cannot be changed so.
        Usage: words that match nothing.
    """
    if swap.to == "plain":
        return _to_plain(swap, base, model, force)
    to_own = _to_rotating if swap.to.lower().startswith("autorot") else _to_linked
    changed = to_own(swap, base, model)
    return replace(changed, notes=(*changed.notes, *_opened_by(base, model)))


def _opened_by(base: Checkpoint, model: Model) -> list[str]:
    """What is worth knowing of a model of Keras 2 that has layers of wtool now, which only Keras 3 can have."""
    if not is_keras2(base.keras_version):
        return []
    operations = [layer.shown for inner in model.walk() for layer in inner.layers if layer.kind in TENSORFLOW]
    if operations:
        why = f"{a_few(operations)} {'is' if len(operations) == 1 else 'are'} of Keras 2, wtool's layers are of Keras 3"
        way_out = "`wtool convert` before the swap makes a model of Keras 3, and --to plain brings the old model back"
        return [f"no Keras opens the result: {why}; {way_out}"]
    return [
        f"saved by Keras {base.keras_version}: only Keras 3 has wtool's layers, and it does not open every model of "
        "Keras 2; --verify tries this one, and `wtool convert` before the swap makes a model that it opens"
    ]


def _to_rotating(swap: Swap, base: Checkpoint, model: Model) -> Changed:
    chosen = choose(model, swap.layers, partial(_rotatable, swap), "Auto-Rotating")
    limits = limits_of(model)
    owners = {layer.path: inner for inner in model.walk() for layer in inner.layers}
    owned = weights_by_layer(base)
    notes = passed_by(model, swap.layers, partial(_rotatable, swap), "Auto-Rotating")
    layers, rho = {}, {}
    for path, (layer, was) in chosen.items():
        given = (swap.xmin_lim, swap.xmax_lim)
        now = rotate(owners[path], layer, limits.get(path), given, swap.L, swap.auto_rot)
        low, high = (_rotated_config(layer)[name] for name in ("xmin_lim", "xmax_lim"))
        off = "" if swap.auto_rot else ", switched off"
        layers[path] = f"{was} becomes {now}, inputs from {low:g} to {high:g}{off}"
        factors = rho_of(base, layer, owned.get(path, ()))
        if factors is not None:
            rho[path] = factors
    for inner in model.walk():
        inner.settle()
    if not swap.auto_rot:
        notes.append("the rotation is switched off: the model computes what it did")
    return Changed(Values({}), layers, rho, same=not swap.auto_rot, notes=tuple(notes))


def _rotatable(swap: Swap, layer: Layer) -> str | None:
    names = [plain_name(entry) for entry in rotatable(layer)]
    if not names or (swap.to != "autorot" and swap.to != f"AutoRot{names[0]}"):
        return None
    return names[0]


def _rotated_config(layer: Layer) -> dict[str, Any]:
    config: dict[str, Any] = layer.config["layer"]["config"] if layer.kind in WRAPPERS else layer.config
    return config


def _to_plain(swap: Swap, base: Checkpoint, model: Model, force: bool) -> Changed:
    chosen = choose(model, swap.layers or ("*",), _own, "plain", outputs_too=True)
    before = {path: was for path, (_, was) in chosen.items()}
    passed = passed_by(model, swap.layers, _own, "plain")
    was_on = [path for path, (layer, _) in chosen.items() if not is_linked(layer) and unrotate(layer)]
    links = {path: layer for path, (layer, _) in chosen.items() if is_linked(layer)}
    values, dropped = unlink(base, model, links, force)
    layers = {path: f"{was} becomes plain" for path, was in before.items()}
    layers |= {path: "left out: it is the identity" for path in values.gone if path not in before}
    notes = [] if dropped is None else [f"{dropped}: the plain model computes something else"]
    if was_on:
        notes.append(f"{a_few(was_on)} rotated: without that the model computes something else")
    return Changed(values, layers, same=not notes, forced=dropped is not None, notes=(*notes, *passed))


def _own(layer: Layer) -> str | None:
    return next((str(entry["class_name"]).rpartition(">")[2] for entry in own_entries(layer)), None)


def _to_linked(swap: Swap, base: Checkpoint, model: Model) -> Changed:
    chosen = choose(model, swap.layers, partial(_linkable, swap), _what(swap))
    before = {path: _named(layer, activation) for path, (layer, activation) in chosen.items()}
    passed = passed_by(model, swap.layers, partial(_linkable, swap), _what(swap))
    slopes = [path for path, (_, activation) in chosen.items() if activation.variant == "LKPReLU"]
    found, projected = link(model, chosen)
    values = Values(axis_edits(base, found))
    for path in slopes:
        values.added[path] = {"linked_alpha": _linked_alpha(base, values, path)}
    layers = {path: f"{before[path]} becomes {chosen[path][1].variant}" for path in found.axes}
    for each in projected:
        values.added[each.layer.path] = {"kernel": _projection(each)}
        layers[each.layer.path] = f"new {each.layer.entry['class_name']}: {'; '.join(each.restoration.why)}"
    same = swap.fill == "zero"
    notes = [] if same else [f"--fill {swap.fill}: the model does not compute what it did"]
    if regular := [path for path, (layer, _) in chosen.items() if layer.config.get("activity_regularizer")]:
        notes.append(f"the activity regularizer of {a_few(regular)} is of what comes before the activation now")
    return Changed(values, layers, same=same, notes=(*notes, *passed))


def _what(swap: Swap) -> str:
    return "a linked activation" if swap.to == "linked" else swap.to


def _linkable(swap: Swap, layer: Layer) -> Activation | None:
    found = activation_of(layer)
    if found is None or (is_across(found) and layer.path not in swap.layers):
        return None
    if swap.to == "Linked":
        return as_general(found, layer) if found.variant != "LKPReLU" or layer.path in swap.layers else None
    return found if swap.to in ("linked", found.variant) else None


def _named(layer: Layer, activation: Activation) -> str:
    """What the activation is now, for the report."""
    acting = layer.acting
    if acting.kind == "Activation" or activation.fused:
        function = acting.config.get("activation")
        return str(function.get("config") if isinstance(function, dict) else function)
    return str(acting.entry.get("class_name"))


def _linked_alpha(base: Checkpoint, values: Values, path: str) -> Added:
    """The slopes of the other half start where those of the first are."""
    alpha = next(tensor for tensor in base.weights if tensor.path == f"{path}/alpha")
    edits = values.edits.get(alpha.path, [])
    return Added(
        new_shape(alpha, edits),
        alpha.dtype,
        partial(changed_values, base, alpha, edits, Filling("zero")),
        trainable=alpha.trainable is not False,
        alike=alpha.path,
    )


def _projection(each: Projected) -> Added:
    """The identity on what was there, zero on what is new."""
    source, size = each.restoration.reindex.source, each.restoration.reindex.size
    config = each.layer.config
    shape = (*([1] * len(config.get("kernel_size", ()))), len(source), size)
    dtype = variable_dtype(config.get("dtype")) or "float32"
    return Added(shape, dtype, partial(_identity, source, shape, dtype), trainable=config["trainable"])


def _identity(source: Array, shape: tuple[int, ...], dtype: str) -> Array:
    values = np.zeros(shape[-2:], dtype_of(dtype))
    values[np.flatnonzero(source >= 0), source[source >= 0]] = 1
    return values.reshape(shape)
