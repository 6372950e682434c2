"""Masks: what Keras 3 does with them otherwise than Keras 2, although no setting tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wtool.errors import Refused
from wtool.schema.inbound_nodes import CallKey, Ref, layer_settings, refs_of_node
from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.rules import RECURRENT

PASSING = ("Identity", "Normalization", "Rescaling")
"""Layers behind which there is no mask in Keras 2, and the mask of the input in Keras 3."""

MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
"""Layers that make one mask of those of their inputs."""

STOPPING = (
    "Flatten", "Reshape", "Permute", "RepeatVector", "Dot", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Conv1D",
    "MaxPooling1D", "AveragePooling1D",
)  # fmt: skip
"""Layers behind which there is no mask, in either Keras. Recurrent layers are, too, unless they return sequences."""

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


def note_passed_mask(kind: str, place: Place, context: Context) -> None:
    """Note that a layer passes masks on that it dropped, where the model has any."""
    if context.masks and kind in PASSING:
        context.note(
            f"if a mask reaches layer {place.path}, {kind} of Keras 3 passes the mask on, which that of Keras 2 did not"
        )


def note_merged(
    order: Sequence[CallKey],
    calls: Mapping[CallKey, tuple[Any, Sequence[Ref]]],
    entries: Mapping[str, Mapping[str, Any]],
    places: Mapping[str, Place],
    context: Context,
) -> None:
    """Note the layers that make another mask of several masks than they did, where the model has any.

    Keras 2 joined masks by `and`, and left inputs without a mask aside; Keras 3 joins them by `or`, and makes none
    where an input has none. Source: `compute_mask` of base_merge.py and concatenate.py in both. Each call is looked at
    once: what is known of a mask is the layer that made it.

    Args:
        order: every call of a functional model, each after those that it depends on.
        calls: call -> its node, and the tensors that it takes.
        entries: name of each layer -> its entry in the old model.
        places: name of each layer -> where it is.
        context: gets the notes.
    """
    if not context.masks:
        return
    makers = {name for name, entry in entries.items() if has_masks(entry)}
    made: dict[CallKey, str | None] = {}
    for call in order:
        name, kind = call[0], places[call[0]].class_name
        taken = [made.get(ref.key[:2], _of_input(ref.key[0], places)) for ref in calls[call][1]]
        different = kind in MERGING and len(set(taken)) > 1
        if different and not _along_time(kind, entries[name]):
            context.note(
                f"masks of several inputs meet in layer {places[name].path}: {kind} of Keras 2 lets a step pass that "
                "every mask lets pass, that of Keras 3 one that any does, and none is masked where an input has no "
                "mask; --verify does not try masks"
            )
        if different or name in makers:
            made[call] = name
        else:
            made[call] = None if not taken or _stops(kind, entries[name]) else taken[0]


def _of_input(name: str, places: Mapping[str, Place]) -> str | None:
    """Returns what may mask an input: in a model inside another, what the outer model masks."""
    inner = name in places and places[name].class_name == "InputLayer" and places[name].depth > 1
    return name if inner else None


def _along_time(kind: str, entry: Mapping[str, Any]) -> bool:
    """Whether a layer puts steps behind steps: masks are put behind each other then, in both Kerases."""
    return kind == "Concatenate" and layer_settings(entry).get("axis") in (1, -2)


def _stops(kind: str, entry: Mapping[str, Any]) -> bool:
    return kind in STOPPING or (kind in RECURRENT and not layer_settings(entry).get("return_sequences"))


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
