"""The layers of a model as its configuration tells them. The configuration is data: nothing is imported or called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wtool.errors import Differs, Note, Refused
from wtool.schema.calls import layer_order, name_of
from wtool.schema.layers import Variables, built_in, original, quantisation, snake_case, variants

MAX_NESTED_MODELS = 40
"""Layers inside layers. Real models nest three or four deep."""


@dataclass(frozen=True, slots=True)
class Node:
    """A layer of the architecture.

    Attributes:
        name: what its author called it.
        class_name: without its package; the built-in class's usual name where it is one.
        attribute: of the layer above, that holds it: `layers`, `forward_layer`, `cell`.
        listed: it is in a list, where files number the classes instead of naming attributes.
        group: what files call its class: `conv2d`.
        config: its settings.
        trainable: neither it nor a layer above it is frozen.
        variants: the variables that it may have; None where only its author knows.
        input_shape: as recorded when it was built; None where the configuration does not tell.
        children: in the order of creation.
        moved: Keras lists it at another place among the layers of its class than the configuration does.
        unsure: its settings do not tell how it is quantised, since a layer above decides.
        shared: holds what entries have in common which Keras makes one layer of, a number mostly; else empty.
    """

    name: str
    class_name: str
    attribute: str
    listed: bool
    group: str
    config: Mapping[str, Any]
    trainable: bool
    variants: tuple[Variables, ...] | None
    input_shape: tuple[int | None, ...] | None = None
    children: tuple[Node, ...] = ()
    moved: bool = False
    unsure: bool = False
    shared: tuple[str | float | None, ...] = ()

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


def read(config: Mapping[str, Any], version: str | None = None) -> tuple[Node, tuple[str, ...]]:
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
    class_name, settings = _entry(entry, place.what)
    plain = class_name.rpartition(">")[2]
    known = _known(entry, class_name, plain)
    if known and entry.get("registered_name") not in (None, class_name, plain, f"keras>{plain}", known):
        notes.append(f"{place.what} is Keras's {plain}, but registered as {entry['registered_name']}")
    if (package := _original(entry)) is not None:
        notes.append(Note(f"{plain} is of the package {package}; wtool's layer of this name takes its place", "note"))
    name = place.name or settings.get("name") or entry.get("name") or ""
    if not isinstance(name, str):
        raise Refused(f"the configuration of {place.what} has a name that is no text: {name!r:.60}")
    trainable = place.trainable and settings.get("trainable", True) is not False
    below = _Place("", "", False, trainable, place.depth + 1, place.keras2)
    return Node(
        name=name,
        class_name=(known or plain).rpartition(">")[2],
        attribute=place.attribute,
        listed=place.listed,
        group=snake_case(plain),
        config=settings,
        trainable=trainable,
        variants=variants(known, settings, place.keras2) if known else None,
        input_shape=_input_shape(entry),
        children=_children(known, settings, name or plain, below, notes),
        shared=_shared(entry),
    )


def _shared(entry: Mapping[str, Any]) -> tuple[str | float | None, ...]:
    """What Keras looks an entry up by: anything that can be the key of a dictionary, null as well."""
    if isinstance(entry.get("shared_object_id"), (list, Mapping)):
        return ()
    return (entry["shared_object_id"],) if "shared_object_id" in entry else ()


def _entry(entry: Any, what: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(entry, Mapping):
        raise Refused(f"the configuration of {what} is {entry!r:.60}, not an object")
    class_name, settings = entry.get("class_name"), entry.get("config")
    if not isinstance(class_name, str) or not class_name:
        raise Refused(f"the configuration of {what} does not say its class")
    if class_name in ("CompositeTensor", "TypeSpec"):
        raise Refused(f"the configuration of {what} is a {class_name}, not a layer")
    if isinstance(settings, list):
        return class_name, {"layers": settings}
    if isinstance(settings, str):
        return class_name, {}  # functions: {"class_name": "function", "config": "name"}
    if not isinstance(settings, Mapping):
        raise Refused(f"the configuration of {what} ({class_name}) has no settings")
    return class_name, settings


def class_of(entry: Mapping[str, Any]) -> tuple[str | None, str]:
    """The class of a layer, as `built_in` calls it (None if it is nobody's that is known), and as its author does.

    Raises:
        Refused: the entry is no layer's.
    """
    class_name, _ = _entry(entry, "a layer")
    plain = class_name.rpartition(">")[2]
    return _known(entry, class_name, plain), plain


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a functional model is an operation (`x + y`), which files do not count as a layer."""
    return str(entry.get("module", "")).startswith(("keras.src.ops", "keras.ops"))


def _known(entry: Mapping[str, Any], class_name: str, plain: str) -> str | None:
    """The class, if its variables are known: one of Keras's, of `wtool.layers`, or tfmot's wrapper."""
    if plain == "PruneLowMagnitude" and "pruning_schedule" in _entry(entry, plain)[1]:
        return "tfmot>PruneLowMagnitude"
    own = f"wtool>{plain}"
    if own in (class_name, entry.get("registered_name")) and built_in(own) is not None:
        return own
    if _original(entry) is not None:
        return own
    return built_in(plain) if _by_keras(entry, class_name) else None


def _original(entry: Mapping[str, Any]) -> str | None:
    """The package of one of the original Auto-Rotating and linked layers, for which wtool's own stand in."""
    return original(entry.get("class_name"), entry.get("module"), entry.get("registered_name"))


def _by_keras(entry: Mapping[str, Any], class_name: str) -> bool:
    """Whether the class is Keras's own and not one that an author registered under the same name."""
    module = entry.get("module", "keras")
    package = class_name.rpartition(">")[0]
    return package in ("", "keras") and isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras")


def _input_shape(entry: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    build = entry.get("build_config")
    shape = build.get("input_shape") if isinstance(build, Mapping) else None
    if not isinstance(shape, list) or not all(n is None or type(n) is int for n in shape):
        return None
    return tuple(shape)


def _children(
    class_name: str | None, config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]
) -> tuple[Node, ...]:
    plain = (class_name or "").removeprefix("wtool>AutoRot")  # these are made of what their parents are made of
    if "layers" in config and plain not in ("RandAugment",):
        if plain == "Sequential" and "input_layers" in config:
            raise Differs(
                f"the configuration of {owner} is a sequence of layers and a graph; Keras follows the sequence"
            )
        return _layers(config, owner, below, notes)
    match plain:
        case "Bidirectional":
            return _both_directions(config, owner, below, notes)
        case "RNN":
            return (_cell_of_rnn(config, owner, below, notes),)
        case "StackedRNNCells":
            return _listed(config.get("cells"), "cells", owner, below, notes)
        case "SimpleRNN" | "LSTM" | "GRU" | "ConvLSTM1D" | "ConvLSTM2D" | "ConvLSTM3D":
            kind = "ConvLSTM" if plain.startswith("Conv") else plain
            return (_implied(f"{kind}Cell", "cell", "", config, below),)
        case "MultiHeadAttention" | "GroupQueryAttention":
            return _projections(plain, config, below)
        case "TextVectorization":
            return (_implied("StringLookup", "_lookup_layer", "", config, below),)
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
        yield name_of(entry), node


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
    name = _entry(entry, f"the layer inside {owner}")[1].get("name", "")
    if not isinstance(name, str):
        raise Refused(f"the layer inside {owner} has a name that is no text: {name!r:.60}")
    return name


def _cell_of_rnn(config: Mapping[str, Any], owner: str, below: _Place, notes: list[str]) -> Node:
    cell = config.get("cell")
    if isinstance(cell, list):
        cell = {"class_name": "StackedRNNCells", "config": {"name": "stacked_rnn_cells", "cells": cell}}
    return _node(cell, _at(below, f"the cell of {owner}", "cell"), notes)


_PROJECTIONS = {"query_dense": "query", "key_dense": "key", "gate_dense": "gate", "value_dense": "value"}


def _projections(class_name: str, config: Mapping[str, Any], below: _Place) -> tuple[Node, ...]:
    names = {**_PROJECTIONS, "output_dense": "attention_output"}
    if not config.get("use_gate"):
        del names["gate_dense"]
    bias = config.get("use_bias", True)
    unsure = isinstance(config.get("dtype"), Mapping) and config["dtype"].get("class_name") == "DTypePolicyMap"
    settings = {"bias_axes": "d" if bias else None, "dtype": config.get("dtype")}
    settings |= {key: value for key, value in config.items() if key.endswith("_initializer")}
    nodes = []
    for attribute, name in names.items():
        node = _implied("EinsumDense", attribute, name, settings, below)
        nodes.append(replace(node, unsure=unsure))
    return tuple(nodes)
