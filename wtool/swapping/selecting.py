"""Which layers of a model a swap is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from wtool.errors import Usage
from wtool.files.variables import variants
from wtool.swapping.graph import OPERATION, Key, Layer, Model

Chosen = TypeVar("Chosen")

_HOLDERS = ("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM", "Bidirectional", "TimeDistributed", "MultiHead", "GroupQ")


def choose(
    model: Model, globs: Sequence[str], wanted: Callable[[Layer], Chosen | None], what: str, outputs_too: bool = False
) -> dict[str, tuple[Layer, Chosen]]:
    """The layers that `wanted` says something of, as far as patterns allow.

    Args:
        model: the outermost one.
        globs: patterns for paths of layers; all hidden layers, if there are none. Output layers only where a pattern
            without wildcards names them.
        wanted: what to do with a layer; None for nothing.
        what: what they become, in messages.
        outputs_too: output layers need no naming.

    Raises:
        Usage: a pattern matches no layer, or nothing is found.
    """
    layers = [layer for inner in model.walk() for layer in inner.layers]
    for glob in globs:
        if not any(fnmatchcase(layer.path, glob) for layer in layers):
            raise Usage(f"no layer has a path like {glob!r}; see `wtool inspect`")
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
    if not found and outputs_too:
        raise Usage("there is nothing that becomes plain: no Auto-Rotating and no linked layers")
    if not found:
        where = "no layer that --layers names has anything that" if globs else "no hidden layer has anything that"
        raise Usage(f"{where} becomes {what}; an output layer has to be named with --layers")
    return found


def output_layers(model: Model) -> set[str]:
    """Paths of the layers that a model's outputs come from: back to the last ones with a kernel."""
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
    return layer.kind.removeprefix("wtool>AutoRot").startswith(_HOLDERS) or any(
        variable.name.endswith(("kernel", "embeddings"))
        for choice in variants(layer.kind, layer.config) or ()
        for variable in choice.saved
    )


def followers(model: Model, layer: Layer) -> Iterator[Layer]:
    """The layers that take a layer's outputs."""
    for call in model.calls_of(layer):
        taking = {id(ref) for ref in model.users(call.key)}
        for other in model.calls:
            if any(id(ref) in taking for ref in other.inputs):
                yield other.layer
