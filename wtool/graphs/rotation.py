"""`--to autorot`: layers become Auto-Rotating layers, which know the limits of their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import Refused, Usage
from wtool.graphs.new_layers import own_class
from wtool.graphs.selecting import followers
from wtool.schema.graph import CARRIERS, Entry, Layer, Model
from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import TABLE, Range, class_of, entry_of, output_range, quantisation
from wtool.schema.layers.activations import LEVELS, RANGES, activation_name, beyond
from wtool.schema.layers.output_ranges import hull

OWN = ("xmin_lim", "xmax_lim", "L", "xQ_scalar", "eps", "AutoRot", "hQ_scalar")
"""Settings that Auto-Rotating layers have and their parents do not."""

EPS = 1e-5
WRAPPERS = tuple(name for name, entry in TABLE.items() if entry.wraps == "both ways" or name in CARRIERS)


def rotatable(layer: Layer) -> list[Entry]:
    """The entries of a layer, or of those inside a wrapper, that have an Auto-Rotating variant."""
    entries = [layer.entry]
    if layer.kind in WRAPPERS:
        entries = [layer.config.get("layer"), layer.config.get("backward_layer")]  # type: ignore[list-item]
    elif layer.kind is None:
        return []
    found = [entry for entry in entries if isinstance(entry, dict) and _rotates(entry)]
    for entry in found:
        if quantisation(entry.get("config") or {}) != (None,):
            raise Refused(f"{layer.shown} is quantised; leave it out with --layers")
    return found


def _rotates(entry: Entry) -> bool:
    known = entry_of(class_of(entry) or "")
    return known is not None and known.rotates


def plain_name(entry: Entry) -> str:
    """Returns the usual name of the class of a configuration's entry, without its package."""
    return (class_of(entry) or str(entry.get("class_name"))).rpartition(">")[2]


def _channels(entry: Entry) -> str:
    """How a layer treats channels, as the table of layers names it."""
    known = entry_of(class_of(entry) or "")
    return known.channels if known is not None else ""


def rotate(
    model: Model, layer: Layer, limits: Range | None, given: tuple[float | None, float | None], level: float | None,
    auto_rot: bool,
) -> str:  # fmt: skip
    """Make a layer's entries Auto-Rotating, in place. Returns the name of their class.

    Args:
        model: the model that the layer is in.
        layer: the layer.
        limits: limits of its inputs by the layers before it; None where they are not known.
        given: limits that the user gives for inputs without known limits.
        level: L; None takes L from the activation.
        auto_rot: False switches the rotation off.

    Raises:
        Usage: limits or L are not known.
    """
    low, high = limits if limits is not None else given
    if low is None or high is None:
        raise Usage(f"the limits of the inputs of {layer.shown} are not known: give --xmin-lim and --xmax-lim")
    entries = rotatable(layer)
    for entry in entries:
        name = f"AutoRot{plain_name(entry)}"
        _check_states(layer, entry)
        entry["config"] = {
            **entry["config"],
            "xmin_lim": low,
            "xmax_lim": high,
            "L": level if level is not None else _level(model, layer, entry),
            "xQ_scalar": "auto",
            "eps": EPS,
            "AutoRot": auto_rot,
        }
        own_class(entry, name)
        if "module" in entry and _channels(entry) == "recurrent":
            entry["module"] = "wtool.layers.recurrent"
    return f"AutoRot{plain_name(entries[0]).removeprefix('AutoRot')}"


def _check_states(layer: Layer, entry: Entry) -> None:
    """Refuse recurrent layers whose states have no known range."""
    if _channels(entry) != "recurrent":
        return
    config = entry["config"]
    state = activation_name(config.get("activation", "tanh"))
    if output_range(class_of(entry), config, [None]) is None:
        raise Usage(f"no range is known for the states of {layer.shown} ({state}); leave it out with --layers")


def _level(model: Model, layer: Layer, entry: Entry) -> str | float:
    """L by the activation: the layer's own, or the layer behind a linear one."""
    config, recurrent = entry["config"], _channels(entry) == "recurrent"
    names = [activation_name(config.get("activation", "tanh" if recurrent else None))]
    if recurrent and plain_name(entry) != "SimpleRNN":
        names.append(activation_name(config.get("recurrent_activation", "sigmoid")))
    if all(name in LEVELS for name in names):
        return "auto"
    functions = (each.config.get("activation") for each in followers(model, layer) if each.kind == "Activation")
    behind = {activation_name(function) for function in functions}
    if names == ["linear"] and len(behind) == 1 and (name := next(iter(behind))) in LEVELS:
        return LEVELS[name]
    odd = next(name for name in names if name not in LEVELS)
    raise Usage(f"no L is known for {odd}, the activation of {layer.shown}: give --L, or leave it out with --layers")


def limits_of(model: Model, given: Sequence[Range | None] = ()) -> dict[str, Range | None]:
    """Returns the limits of the first input of each layer, by path; None where they are not known.

    Args:
        model: the model; the layers of models inside it are there, too.
        given: limits of the model's inputs.
    """
    found: dict[str, Range | None] = {}
    _follow(model, given, found)
    return found


def _follow(model: Model, given: Sequence[Range | None], found: dict[str, Range | None]) -> list[Range | None]:
    at: dict[Key, Range | None] = dict(zip(model.inputs, given, strict=False))
    for call in model.calls:
        inputs = [at.get(ref.key) for ref in call.inputs]
        whole = hull(inputs[:1])
        path = call.layer.path
        found[path] = whole if path not in found else hull([found[path], whole])
        if call.layer.model is not None:
            for number, limits in enumerate(_follow(call.layer.model, inputs, found)):
                at[call.layer.name, call.number, number] = limits
        else:
            at[call.key] = output_range(call.layer.kind, call.layer.config, inputs)
    return [at.get(ref.key) for ref in model.outputs]


# --- what rotation does to a layer ---


def rho_of(base: Checkpoint, layer: Layer, owned: Sequence[Tensor]) -> tuple[float, float, float] | None:
    """Smallest, median and largest factor by which a rotated layer multiplies its outputs, with all of its kernel."""
    factors = []
    for entry in _rotated(layer):
        config = entry["config"]
        limit = beyond(config["xmin_lim"], config["xmax_lim"])
        for group in _by_layer(owned):
            at_limit = _at_limit(base, _channels(entry), config, group, limit)
            factors.append(_levels(config, len(at_limit)) / (np.abs(at_limit) + config["eps"]))
    if not factors:
        return None
    rho = np.concatenate(factors)
    return float(rho.min()), float(np.median(rho)), float(rho.max())


def _rotated(layer: Layer) -> list[Entry]:
    entries = [layer.config.get("layer")] if layer.kind in WRAPPERS else [layer.entry]
    return [entry for entry in entries if isinstance(entry, dict) and plain_name(entry).startswith("AutoRot")]


def _by_layer(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    groups: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.copy_of is not None:
            continue
        groups.setdefault(tensor.layer, []).append(tensor)
    return [group for group in groups.values() if any(tensor.role.endswith("kernel") for tensor in group)]


def _at_limit(
    base: Checkpoint, channels: str, config: Mapping[str, Any], tensors: Sequence[Tensor], limit: float
) -> Array:
    """f(xQ) of every output, where the whole kernel lies on the input.

    Args:
        base: the checkpoint.
        channels: how the layer treats channels, as the table of layers names it.
        config: its settings.
        tensors: its weights.
        limit: every entry of xQ.
    """
    weights = {tensor.role: base.read(tensor).astype(np.float64) for tensor in tensors}
    if channels == "recurrent":
        sums = limit * weights["kernel"].sum(axis=0)
        state = RANGES.get(activation_name(config.get("activation", "tanh")), (-1.0, 1.0))
        sums = sums + beyond(*state) * weights["recurrent_kernel"].sum(axis=0)
        bias = weights.get("bias")
        return np.asarray(sums if bias is None else sums + bias.reshape(-1, len(sums)).sum(axis=0))
    if channels == "separable":
        depthwise = weights["depthwise_kernel"]
        each = depthwise.sum(axis=tuple(range(depthwise.ndim - 2))).reshape(-1)
        sums = each @ weights["pointwise_kernel"].reshape(len(each), -1)
    else:
        kernel = weights.get("kernel", weights.get("depthwise_kernel"))
        assert kernel is not None
        window = tuple(range(kernel.ndim - 2))
        if channels == "depthwise":
            sums = kernel.sum(axis=window).reshape(-1)
        else:
            inputs = kernel.ndim - (1 if channels == "transposed convolution" else 2)
            sums = kernel.sum(axis=(*window, inputs))
    return np.asarray(limit * sums + weights.get("bias", 0.0))


def _levels(config: Mapping[str, Any], size: int) -> Array:
    """L of every output; a recurrent layer has some for each gate."""
    if config["L"] != "auto":
        return np.full(size, float(config["L"]))
    own = LEVELS[activation_name(config.get("activation", "tanh"))]
    units = config.get("units")
    if "recurrent_activation" not in config or not units:
        return np.full(size, own)
    gate = LEVELS[activation_name(config["recurrent_activation"])]
    gates = [gate, gate, own, gate] if size == 4 * units else [gate, gate, own]
    return np.repeat(gates, units)
