"""The layers of a model as its configuration tells them. The configuration is data: nothing is imported or called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from wtool.errors import Differs, Note, Refused
from wtool.schema.calls import layer_order
from wtool.schema.inbound_nodes import layer_name
from wtool.schema.layers import (
    LayerClass,
    PartialShape,
    Variables,
    class_and_settings,
    class_of,
    entry_of,
    is_of_keras1,
    original_of,
    quantisation,
    snake_case,
    variants,
)
from wtool.values import dataclass

COMPILED = "compile_config"
"""Key of a model's entry that tells how the model was compiled."""

MAX_NESTED_MODELS = 40
"""Layers inside layers. Real models nest three or four deep."""


@dataclass(frozen=True, slots=True)
class Node:
    """A layer of the architecture.

    Attributes:
        name: what its author called it.
        class_name: without its package; the built-in class's usual name where it is one.
        kind: the name of the class in the table of layers; None where only its author knows it.
        attribute: of the layer above, that holds it: `layers`, `forward_layer`, `cell`.
        listed: it is in a list, where files number the classes instead of naming attributes.
        group: what files call its class: `conv2d`.
        config: its settings.
        trainable: neither it nor a layer above it is frozen.
        variants: the variables that it may have; None where only its author knows.
        input_shape: as recorded when it was built; None where the configuration does not tell.
        input_shapes: the shapes of several inputs, by the names that the layer builds from: `query_shape`.
        children: in the order of creation.
        moved: Keras lists it at another place among the layers of its class than the configuration does.
        unsure: its settings do not tell how it is quantised, since a layer above decides.
        shared: holds what entries have in common which Keras makes one layer of, a number mostly; else empty.
    """

    name: str
    class_name: str
    kind: str | None
    attribute: str
    listed: bool
    group: str
    config: Mapping[str, Any]
    trainable: bool
    variants: tuple[Variables, ...] | None
    input_shape: PartialShape | None = None
    children: tuple[Node, ...] = ()
    moved: bool = False
    unsure: bool = False
    shared: tuple[str | float | None, ...] = ()
    input_shapes: Mapping[str, PartialShape] = field(default_factory=dict)

    @property
    def is_model(self) -> bool:
        """Whether it is made of a list of layers, whose order is the order of creation."""
        return any(child.attribute == "layers" for child in self.children)

    @property
    def policy(self) -> str | None:
        """The name of the dtype that its variables have; None where the configuration does not tell."""
        return variable_dtype(self.config.get("dtype"))

    @property
    def quantised(self) -> bool:
        """Whether its variables may be integer codes."""
        return self.unsure or quantisation(self.config) != (None,)

    def walk(self) -> Iterator[Node]:
        """It and everything inside it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def paths(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Path and node of it and of everything inside it, outermost first; `path` is its own."""
        yield path, self
        for child in self.children:
            yield from child.paths(inside(path, child.name))


def inside(path: str, name: str) -> str:
    """The path of a layer or variable inside the layer at a path; of one of the outermost model (`""`), its name."""
    return f"{path}/{name}" if path else name


def variable_dtype(policy: Any) -> str | None:
    """The dtype of variables under a dtype policy: `float32` under `mixed_float16`."""
    if isinstance(policy, Mapping):
        config = policy.get("config")
        config = config if isinstance(config, Mapping) else {}
        policy = config.get("source_name") or config.get("name")
    if not isinstance(policy, str):
        return None
    policy = policy.rpartition("from_")[2]
    return "float32" if policy.startswith("mixed_") else policy


def read_architecture(config: Mapping[str, Any], version: str | None = None) -> tuple[Node, tuple[str, ...]]:
    """The tree of layers in a model's configuration (`config.json`, or `model_config` of older files), and notes.

    Args:
        config: parsed JSON.
        version: of the Keras that wrote it; a few names differ in Keras 2.

    Raises:
        Refused: the configuration is not one that Keras writes.
    """
    notes: list[str] = []
    root = _node(config, _Place("the model", "", False, True, 0, is_keras2(version)), notes)
    return root, tuple(dict.fromkeys(notes))


def is_keras2(version: str | None) -> bool:
    """Whether Keras 2 or an older one wrote it."""
    return version is not None and version.split(".")[0] in ("1", "2")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry of the configuration is."""

    what: str
    attribute: str
    listed: bool
    trainable: bool
    depth: int
    keras2: bool
    name: str | None = None


def _node(entry: Any, place: _Place, notes: list[str]) -> Node:
    if place.depth > MAX_NESTED_MODELS:
        raise Refused(f"the model's configuration nests more than {MAX_NESTED_MODELS} layers inside each other")
    class_name, settings = class_and_settings(entry, place.what)
    plain = class_name.rpartition(">")[2]
    known = class_of(entry)
    if known and entry.get("registered_name") not in (None, class_name, plain, f"keras>{plain}", known):
        notes.append(f"{place.what} is Keras's {plain}, but registered as {entry['registered_name']}")
    if (package := original_of(entry)) is not None:
        notes.append(Note(f"{plain} is of the package {package}; wtool's layer of this name takes its place", "note"))
    name = place.name or settings.get("name") or entry.get("name") or ""
    if not isinstance(name, str):
        raise Refused(f"the configuration of {place.what} has a name that is no text: {name!r:.60}")
    trainable = place.trainable and settings.get("trainable", True) is not False
    below = _Place("", "", False, trainable, place.depth + 1, place.keras2)
    return Node(
        name=name,
        class_name=(known or plain).rpartition(">")[2],
        kind=known,
        attribute=place.attribute,
        listed=place.listed,
        group=snake_case(plain),
        config=settings,
        trainable=trainable,
        variants=variants(known, settings, place.keras2) if known else None,
        input_shape=_input_shape(entry),
        children=_children(known, settings, name or plain, below, notes),
        shared=_shared(entry),
        input_shapes=_input_shapes(entry),
    )


def _shared(entry: Mapping[str, Any]) -> tuple[str | float | None, ...]:
    """What Keras looks an entry up by: anything that can be the key of a dictionary, null as well."""
    if isinstance(entry.get("shared_object_id"), (list, Mapping)):
        return ()
    return (entry["shared_object_id"],) if "shared_object_id" in entry else ()


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a functional model is an operation (`x + y`), which files do not count as a layer."""
    return str(entry.get("module", "")).startswith(("keras.src.ops", "keras.ops"))


def _input_shape(entry: Mapping[str, Any]) -> PartialShape | None:
    build = entry.get("build_config")
    return _recorded(build.get("input_shape")) if isinstance(build, Mapping) else None


def _input_shapes(entry: Mapping[str, Any]) -> dict[str, PartialShape]:
    build = entry.get("build_config")
    shapes = build.get("shapes_dict") if isinstance(build, Mapping) else None
    named = shapes.items() if isinstance(shapes, Mapping) else ()
    return {name: shape for name, value in named if (shape := _recorded(value)) is not None}


def _recorded(shape: Any) -> PartialShape | None:
    if not isinstance(shape, list) or not all(n is None or type(n) is int for n in shape):
        return None
    return tuple(shape)


def _children(
    class_name: str | None, config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]
) -> tuple[Node, ...]:
    entry = entry_of(class_name) if class_name is not None else None
    if "layers" in config and class_name != "RandAugment":  # whose layers are no list
        if class_name == "Sequential" and "input_layers" in config:
            raise Differs(
                f"the configuration of {owner} is a sequence of layers and a graph; Keras follows the sequence"
            )
        return _layers(config, owner, below, notes)
    match entry.wraps if entry is not None else "":
        case "both ways":
            return _both_directions(config, owner, below, notes)
        case "cell":
            return (_cell_of_rnn(config, owner, below, notes),)
        case "cells":
            return _listed(config.get("cells"), "cells", owner, below, notes)
    if entry is not None and entry.parts and not ("keras1" in entry.flags and is_of_keras1(config)):
        return _parts(entry, config, below)
    if isinstance(config.get("layer"), Mapping):
        return (_node(config["layer"], _at(below, f"the layer inside {owner}", "layer"), notes),)
    return ()


def _at(below: _Place, what: str, attribute: str, listed: bool = False, name: str | None = None) -> _Place:
    return _Place(what, attribute, listed, below.trainable, below.depth, below.keras2, name)


def _layers(config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]) -> tuple[Node, ...]:
    """The layers of a model in the order in which Keras lists them."""
    listed = list(_named(config["layers"], "layers", owner, below, notes))
    _refuse_namesakes([node.name for _, node in listed], owner)
    _refuse_namesakes([name for name, _ in listed], owner)
    if "input_layers" not in config:
        return tuple(node for _, node in listed if node.class_name != "InputLayer")  # a Sequential model lists none
    order = layer_order(config)
    if order is None:
        notes.append(f"the graph of {owner} cannot be followed; its layers are taken in the order of the configuration")
        return tuple(node for _, node in listed)
    place = {name: number for number, name in enumerate(order)}
    for name, _ in listed:
        if name not in place:
            notes.append(f"layer {name} of {owner} leads to no output, so Keras leaves it out")
    kept = [(place[name], node) for name, node in listed if name in place]
    ordered = sorted(kept, key=lambda each: each[0])
    before, after = _ranks(kept), _ranks(ordered)
    return tuple(replace(node, moved=before[number] != after[number]) for number, node in ordered)


def _ranks(nodes: Sequence[tuple[int, Node]]) -> dict[int, int]:
    """Index of each layer among the layers of its class."""
    counts: Counter[str] = Counter()
    ranks = {}
    for number, node in nodes:
        ranks[number] = counts[node.group]
        counts[node.group] += 1
    return ranks


def _listed(entries: Any, attribute: str, owner: str, below: _Place, notes: list[str]) -> tuple[Node, ...]:
    return tuple(node for _, node in _named(entries, attribute, owner, below, notes))


def _named(entries: Any, attribute: str, owner: str, below: _Place, notes: list[str]) -> Iterator[tuple[str, Node]]:
    """The layers of a list, with their names in the graph; operations are none."""
    if not isinstance(entries, list):
        raise Refused(f"the configuration of {owner} has {attribute} that are no list: {entries!r:.60}")
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping) and is_operation(entry):
            continue
        node = _node(entry, _at(below, f"layer {number} of {owner}", attribute, listed=True), notes)
        yield layer_name(entry), node


def _refuse_namesakes(names: Sequence[str], owner: str) -> None:
    """Refuse a model with two layers of one name: Keras 3 builds none, and Keras 2 makes one layer of the two."""
    for name, count in Counter(filter(None, names)).most_common(1):
        if count > 1:
            raise Differs(f"the configuration of {owner} has {count} layers called {name!r:.80}; Keras allows one")


def _implied(class_name: str, attribute: str, name: str, config: Mapping[str, Any], below: _Place) -> Node:
    """A layer that its owner makes without saying so in the configuration."""
    return Node(
        name=name or snake_case(class_name),
        class_name=class_name,
        kind=class_name,
        attribute=attribute,
        listed=False,
        group=snake_case(class_name),
        config=config,
        trainable=below.trainable,
        variants=variants(class_name, config, below.keras2),
    )


def _both_directions(config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]) -> tuple[Node, ...]:
    entry = config.get("layer")
    plain = _name_of(entry, owner).removeprefix("forward_")
    forward = _node(entry, _at(below, f"the layer inside {owner}", "forward_layer", name=f"forward_{plain}"), notes)
    other = config.get("backward_layer")
    name = f"backward_{plain}" if other is None else None
    place = _at(below, f"the backward layer inside {owner}", "backward_layer", name=name)
    return forward, _node(entry if other is None else other, place, notes)


def _name_of(entry: Any, owner: str) -> str:
    name = class_and_settings(entry, f"the layer inside {owner}")[1].get("name", "")
    if not isinstance(name, str):
        raise Refused(f"the layer inside {owner} has a name that is no text: {name!r:.60}")
    return name


def _cell_of_rnn(config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]) -> Node:
    cell = config.get("cell")
    if isinstance(cell, list):
        cell = {"class_name": "StackedRNNCells", "config": {"name": "stacked_rnn_cells", "cells": cell}}
    return _node(cell, _at(below, f"the cell of {owner}", "cell"), notes)


def _parts(entry: LayerClass, config: Mapping[str, Any], below: _Place) -> tuple[Node, ...]:
    """The layers that a layer makes by itself: cells and lookups with its own settings, projections of attention."""
    if entry.channels != "attention":
        return tuple(_implied(part.class_name, part.attribute, part.name, config, below) for part in entry.parts)
    bias = config.get("use_bias", True)
    unsure = isinstance(config.get("dtype"), Mapping) and config["dtype"].get("class_name") == "DTypePolicyMap"
    settings = {"bias_axes": "d" if bias else None, "dtype": config.get("dtype")}
    settings |= {key: value for key, value in config.items() if key.endswith("_initializer")}
    parts = (part for part in entry.parts if part.name != "gate" or config.get("use_gate"))
    made = (_implied(part.class_name, part.attribute, part.name, settings, below) for part in parts)
    return tuple(replace(node, unsure=unsure) for node in made)
