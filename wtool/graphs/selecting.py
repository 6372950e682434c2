"""Which layers of a model a swap is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TypeVar

from wtool.errors import Refused, Usage, a_few
from wtool.schema.graph import OPERATION, Layer, Model
from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import class_of, entry_of, holds_kernel
from wtool.schema.operations import ACTIVATIONS, TENSORFLOW, function_of
from wtool.suggestions import meant_paths

Chosen = TypeVar("Chosen")

LINKING = ("a linked activation", "Linked", "LK")
"""How the names of what activations become begin."""


def choose(
    model: Model, globs: Sequence[str], wanted: Callable[[Layer], Chosen | None], what: str, outputs_too: bool = False
) -> dict[str, tuple[Layer, Chosen]]:
    """Returns the layers that a swap changes: those that `wanted` chooses, as far as patterns allow.

    Args:
        model: the outermost model.
        globs: patterns for paths of layers; all hidden layers, if there are none. Output layers only where a pattern
            without wildcards names them.
        wanted: returns what becomes of a layer; None if the layer stays as it is.
        what: what the layers become, in messages.
        outputs_too: whether output layers are chosen without being named.

    Raises:
        Usage: a pattern matches no layer, or nothing is found.
    """
    layers = [layer for inner in model.walk() for layer in inner.layers]
    for glob in globs:
        if not any(fnmatchcase(layer.path, glob) for layer in layers):
            holder = next((each for each in layers if any(fnmatchcase(held.path, glob) for held in inside(each))), None)
            if holder is not None:
                raise Usage(f"{glob!r} is inside {holder.shown}, where swap changes nothing")
            told = meant_paths(glob, [layer.path for layer in layers], "wtool inspect")
            raise Usage(f"no layer has a path like {glob!r}{told}")
    outputs = set() if outputs_too else output_layers(model)
    found: dict[str, tuple[Layer, Chosen]] = {}
    for layer in layers:
        named = [glob for glob in globs if fnmatchcase(layer.path, glob)]
        literal = any(not re.search(r"[*?[]", glob) for glob in named)
        if (globs and not named) or (layer.path in outputs and not literal):
            continue
        decided = wanted(layer)
        if decided is not None:
            found[layer.path] = (layer, decided)
        elif literal:
            raise Usage(f"{layer.shown} has nothing that becomes {what}")
    if found:
        return found
    passed = "".join(f"; {note}" for note in passed_by(model, globs, wanted, what))
    if outputs_too:
        raise Usage(f"there is nothing that becomes plain: no Auto-Rotating and no linked layers{passed}")
    where = "no layer that --layers names has anything that" if globs else "no hidden layer has anything that"
    raise Usage(f"{where} becomes {what}; an output layer has to be named with --layers{passed}")


def passed_by(model: Model, globs: Sequence[str], wanted: Callable[[Layer], Chosen | None], what: str) -> list[str]:
    """Returns a note on what `choose` cannot reach: layers inside others, activations of loops, operations.

    Args:
        model, globs, wanted, what: as for `choose`.
    """
    layers = [layer for inner in model.walk() for layer in inner.layers]
    if globs:
        named = [layer for layer in layers if any(fnmatchcase(layer.path, glob) for glob in globs)]
    else:
        outputs = output_layers(model)
        named = [layer for layer in layers if layer.path not in outputs]
    found = []
    for layer in named:
        held = list(inside(layer)) if wanted(layer) is None else []
        found += [each for each in held if wanted(each) is not None]
        if what.startswith(LINKING):
            found += [each for each in (layer, *held) if _is_activation(each)]
    if not found:
        return []
    shown = a_few([each.shown for each in found])
    return [f"swap does not reach {shown}: inside another layer, a loop over time, or an operation of the graph"]


def inside(layer: Layer) -> Iterator[Layer]:
    """The layers in the settings of a wrapper and the like, at any depth; layers of a model inside are none of them."""
    waiting = [] if layer.model is not None else [layer]
    while waiting:
        holder = waiting.pop()
        config = holder.entry.get("config")
        for value in config.values() if isinstance(config, dict) else [config]:
            for entry in value if isinstance(value, list) else [value]:
                if isinstance(entry, dict) and isinstance(entry.get("config"), (dict, list)):
                    with suppress(Refused):
                        held = Layer(entry, "", class_of(entry))
                        held.path = f"{holder.path}/{held.name or entry['class_name']}"
                        waiting.append(held)
        if holder is not layer:
            yield holder


def _is_activation(layer: Layer) -> bool:
    """Whether a layer has an activation that no other layer can replace: in a loop over time, or as an operation."""
    entry = entry_of(layer.kind or "")
    if entry is not None and entry.channels in ("recurrent", "convolving recurrent"):
        return layer.config.get("activation") not in (None, "linear")
    if layer.kind in TENSORFLOW:
        return function_of(layer.config) in ACTIVATIONS
    name = str(layer.entry.get("class_name")).lower().replace("leakyrelu", "leaky_relu")
    return layer.kind == OPERATION and name in ACTIVATIONS


def output_layers(model: Model) -> set[str]:
    """Returns the paths of the output layers: from the outputs back to the last layers with a kernel."""
    makers = {call.key[:2]: call for call in model.calls}
    found: set[str] = set()
    waiting = [ref.key for ref in model.outputs]
    seen: set[Key] = set()
    while waiting:
        key = waiting.pop()
        call = makers.get(key[:2])
        if call is None or key in seen:
            continue
        seen.add(key)
        found.add(call.layer.path)
        if call.layer.model is not None:
            found |= output_layers(call.layer.model)
            if any(_has_kernel(layer) for layer in call.layer.model.layers):
                continue
        elif _has_kernel(call.layer):
            continue
        waiting += [ref.key for ref in call.inputs]
    return found


def _has_kernel(layer: Layer) -> bool:
    if layer.kind in (None, OPERATION):
        return layer.kind is None  # of its author's own: it may well have one
    if layer.model is not None:
        return any(_has_kernel(inner) for inner in layer.model.layers)
    return holds_kernel(layer.kind, layer.config)


def followers(model: Model, layer: Layer) -> Iterator[Layer]:
    """The layers that take a layer's outputs."""
    for call in model.calls_of(layer):
        taking = {id(ref) for ref in model.users(call.key)}
        for other in model.calls:
            if any(id(ref) in taking for ref in other.inputs):
                yield other.layer
