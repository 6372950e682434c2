"""The layers that make masks, and what Keras 3 makes of masks as it loads a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wtool.errors import Refused
from wtool.schema.inbound_nodes import layer_settings, refs_of_node
from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context

_JOINED = re.compile(r"concatenate(_\d+)?")


def makes_masks(entry: Mapping[str, Any]) -> bool:
    """Whether a layer is one that makes masks.

    Raises:
        Refused: this is no layer's entry.
    """
    settings = layer_settings(entry)
    kind = class_of(entry) if settings and isinstance(entry.get("class_name"), str) else None
    return kind == "Masking" or (kind == "Embedding" and bool(settings.get("mask_zero")))


def names_of_masks(entries: Mapping[str, Mapping[str, Any]], context: Context) -> frozenset[str]:
    """Returns the names of layers that Keras 3 could give to what it computes masks with.

    Where masks go through a Concatenate, Keras 3 joins them by operations of the graph, and calls these `concatenate`,
    `concatenate_1`, ... as the model is loaded. Two names that are equal are refused.

    Args:
        entries: name of each layer of a functional model -> its entry in the old model.
        context: knows whether anything in the model makes masks.
    """
    return frozenset(name for name in entries if context.masks and _JOINED.fullmatch(name))


def note_order(entries: Mapping[str, Mapping[str, Any]], context: Context) -> None:
    """Note the masks that are computed from what a layer makes, and not from an input of the model.

    Keras 3 puts operations that compute masks into the graph as the model is loaded, and lists layers by their depth
    in the graph: that of a layer before a mask may grow. Files name layers by that order.

    Args:
        entries: name of each layer of a functional model -> its entry in the old model.
        context: gets the notes.
    """
    for name, entry in entries.items() if context.masks else ():
        for before in _makers(entry) if makes_masks(entry) else ():
            if class_of(entries.get(before, {"class_name": "?", "config": {}})) != "InputLayer":
                context.note(
                    f"{name} makes a mask of what {before} gives; --verify shows whether Keras 3 sees the same"
                )


def _makers(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yields the names of the layers whose outputs a layer takes."""
    nodes = entry.get("inbound_nodes")
    for node in nodes if isinstance(nodes, list) else ():
        yield from (ref.key[0] for ref in refs_of_node(node))


def layers_within(entry: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the entry of a model and those of all layers in it, models and wrappers included, outermost first."""
    waiting = [entry]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, Mapping):
            continue
        yield each
        config = each.get("config")
        settings = config if isinstance(config, Mapping) else {"layers": config}
        layers = settings.get("layers")
        waiting += layers[::-1] if isinstance(layers, list) else []
        waiting.append(settings.get("layer"))


def has_masks(entry: Any) -> bool:
    """Whether any layer in a model makes masks; an entry that is none makes none, and is refused elsewhere."""
    for each in layers_within(entry):
        try:
            if makes_masks(each):
                return True
        except Refused:
            continue
    return False
