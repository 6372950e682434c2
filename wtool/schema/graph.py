"""The graph in a model's configuration: which layer takes which tensor. Edits change the configuration in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from wtool.errors import Refused
from wtool.schema.calls import by_depth
from wtool.schema.config import inside, is_operation
from wtool.schema.inbound_nodes import START, Key, Ref, arguments_of, calls_of, refs_of
from wtool.schema.layers import TABLE, class_of
from wtool.values import dataclass

Entry = dict[str, Any]
OPERATION = "operation"
"""The kind of operations like `x + y` that stand between the layers of a graph."""

MODELS = ("Functional", "Sequential", "Model")
"""The classes of models."""

CARRIERS = tuple(name for name, entry in TABLE.items() if entry.wraps in ("layer", "each step"))
"""Wrappers whose output is that of the layer inside, of each step or with a kernel of norm 1."""


@dataclass(eq=False)
class Layer:
    """A layer, or an operation of the graph.

    Attributes:
        entry: what the configuration says of it.
        path: names from the outermost model's layer to it.
        kind: usual name of a built-in class, `wtool>LKReLU` for wtool's own; `OPERATION`; None for others.
        model: what is inside, where it is a model itself.
    """

    entry: Entry
    path: str
    kind: str | None
    model: Model | None = None

    @property
    def name(self) -> str:
        """The name that its author gave the layer."""
        return str(self.entry.get("name") or self.config.get("name") or "")

    @property
    def config(self) -> Entry:
        """The settings of the layer."""
        config = self.entry.get("config")
        return config if isinstance(config, dict) else {}

    @property
    def acting(self) -> Layer:
        """The layer that computes the output: the layer itself, or the one inside wrappers like TimeDistributed."""
        layer = self
        while layer.kind in CARRIERS and isinstance(layer.config.get("layer"), dict):
            entry = layer.config["layer"]
            layer = Layer(entry, self.path, class_of(entry))
        return layer

    @property
    def shown(self) -> str:
        """The path and class of the layer, for messages."""
        return f"{self.path} ({self.entry.get('class_name')})"


@dataclass(eq=False)
class Call:
    """One call of a layer.

    Attributes:
        layer: what is called.
        number: index of the call.
        inputs: the tensors that it takes.
        arguments: what Keras 2 notes of the call besides its first argument, by name; a constant first argument as 0.
    """

    layer: Layer
    number: int
    inputs: list[Ref]
    arguments: Mapping[int | str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """The first output of the call."""
        return (self.layer.name, self.number, 0)


@dataclass(eq=False)
class Model:
    """A Sequential or Functional model.

    Attributes:
        path: "" for the outermost.
        config: its settings.
        layers: in the order of the configuration.
        calls: every one of a layer, each after those that it depends on.
        inputs: the tensors that go into it.
        outputs: where its outputs are named.
    """

    path: str
    config: Entry
    entries: list[Entry]
    functional: bool
    layers: list[Layer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    inputs: list[Key] = field(default_factory=list)
    outputs: list[Ref] = field(default_factory=list)

    def walk(self) -> Iterator[Model]:
        """The model and the models inside it, outermost first."""
        yield self
        for layer in self.layers:
            if layer.model is not None:
                yield from layer.model.walk()

    def calls_of(self, layer: Layer) -> list[Call]:
        """Returns every call of a layer."""
        return [call for call in self.calls if call.layer is layer]

    def users(self, key: Key) -> list[Ref]:
        """Returns the places that take a tensor."""
        refs = [ref for call in self.calls for ref in call.inputs] + self.outputs
        return [ref for ref in refs if ref.key == key]

    def inside(self, name: str) -> str:
        """Returns the path of a layer of this model."""
        return inside(self.path, name)

    def free_name(self, wanted: str) -> str:
        """Returns a name that no layer of the model has yet: the wanted one, or that with a number."""
        taken = {layer.name for layer in self.layers}
        number = 1
        name = wanted
        while name in taken:
            name = f"{wanted}_{number}"
            number += 1
        return name

    def insert(self, entry: Entry, takes: list[Key], hands: list[list[Ref]]) -> Layer:
        """Put a layer between tensors and the places that take them. Returns the layer.

        Args:
            entry: the configuration's entry for the layer, without nodes.
            takes: the tensors that the layer takes, one for each call.
            hands: for each call the places that take its output from now on.
        """
        layer = Layer(entry, self.inside(str(entry["config"]["name"])), class_of(entry))
        nodes, calls = [], []
        for number, (key, refs) in enumerate(zip(takes, hands, strict=True)):
            call = Call(layer, number, [self._ref_like(refs, key)])
            nodes.append(self._node(call.inputs[0]))
            calls.append(call)
            for ref in refs:
                ref.point(call.key)
        if self.functional:
            entry["name"] = entry["config"]["name"]
            entry["inbound_nodes"] = nodes
        at = self._position(calls, takes)
        self.calls[at:at] = calls
        self.layers.append(layer)
        return layer

    def _position(self, calls: list[Call], takes: list[Key]) -> int:
        made = [number for number, call in enumerate(self.calls) if call.key[:2] in {key[:2] for key in takes}]
        return max(made, default=-1) + 1

    def _ref_like(self, refs: list[Ref], key: Key) -> Ref:
        if not self.functional:
            return Ref(None, 0, None, key)
        told = next((ref.told for ref in refs if ref.told is not None), None)
        return Ref(list(key), 0, None if told is None else dict(told))

    def _node(self, ref: Ref) -> Any:
        if ref.told is None:
            ref.place = [*ref.key, {}]
            return [ref.place]
        ref.told["keras_history"] = ref.place
        return {"args": [{"class_name": "__keras_tensor__", "config": ref.told}], "kwargs": {}}

    def remove(self, layer: Layer) -> None:
        """Take a layer of one input out: the places that took its outputs take its inputs."""
        for call in self.calls_of(layer):
            for ref in self.users(call.key):
                ref.point(call.inputs[0].key)
            self.calls.remove(call)
        self.layers.remove(layer)

    def settle(self) -> None:
        """Write the layers back into the configuration, in the order in which Keras will list them."""
        ordered = _keras_order(self) if self.functional else _chain(self)
        self.layers[:] = ordered
        self.entries[:] = [layer.entry for layer in ordered]


def read(entry: Entry, path: str = "") -> Model:
    """The graph of a model's configuration.

    Raises:
        Refused: the model's graph is in code (a subclassed model), or contradicts itself.
    """
    config = entry.get("config")
    if isinstance(config, list):
        entries, settings = config, {}
    elif isinstance(config, dict) and isinstance(config.get("layers"), list):
        entries, settings = config["layers"], config
    else:
        what = f"{path} ({entry.get('class_name')})" if path else f"the model ({entry.get('class_name')})"
        raise Refused(f"{what} is no Sequential or Functional model: its graph is in its author's code")
    model = Model(path, settings, entries, "input_layers" in settings)
    for each in entries:
        model.layers.append(_layer(each, model))
    if len({layer.name for layer in model.layers}) != len(model.layers):
        raise Refused(f"two layers of {model.path or 'the model'} have the same name")
    if model.functional:
        _read_functional(model)
    else:
        _read_sequential(model)
    return model


def _layer(entry: Any, model: Model) -> Layer:
    if not isinstance(entry, dict):
        raise Refused(f"the configuration of {model.path or 'the model'} has a layer that is {entry!r:.60}")
    layer = Layer(entry, "", OPERATION if is_operation(entry) else class_of(entry))
    if not layer.name:
        raise Refused(f"the configuration of {model.path or 'the model'} has a layer without a name")
    layer.path = model.inside(layer.name)
    if layer.kind in MODELS:
        layer.model = read(entry, layer.path)
    return layer


def _read_sequential(model: Model) -> None:
    key = START
    model.inputs = [START]
    for layer in model.layers:
        if layer.kind == "InputLayer":
            continue
        call = Call(layer, 0, [Ref(None, 0, None, key)])
        model.calls.append(call)
        key = call.key
    model.outputs = [Ref(None, 0, None, key)]


def _read_functional(model: Model) -> None:
    named = {layer.name: layer for layer in model.layers}
    model.inputs = [ref.key for ref in refs_of(model.config.get("input_layers"))]
    model.outputs = list(refs_of(model.config.get("output_layers")))
    noted = calls_of({layer.name: layer.entry for layer in model.layers}, model.outputs)
    calls = {key: Call(named[key[0]], key[1], refs, arguments_of(node)) for key, (node, refs) in noted.items()}
    for call in calls.values():
        if not call.inputs:
            raise Refused(f"layer {call.layer.path} is called without a tensor")
        for ref in call.inputs:
            if ref.key[0] not in named:
                raise Refused(f"layer {call.layer.path} takes a tensor of {ref.key[0]}, which is no layer of its model")
    model.calls = _sorted(calls)


def _sorted(calls: Mapping[tuple[str, int], Call]) -> list[Call]:
    """Each call after those that it depends on."""
    done: dict[tuple[str, int], Call] = {}
    for first in calls:
        waiting = [first]
        seen: set[tuple[str, int]] = set()
        while waiting:
            at = waiting[-1]
            needed = [ref.key[:2] for ref in calls[at].inputs]
            missing = [key for key in needed if key in calls and key not in done]
            if at in done or not missing:
                done.setdefault(at, calls[at])
                waiting.pop()
            elif at in seen:
                raise Refused(f"layer {calls[at].layer.path} depends on itself")
            else:
                seen.add(at)
                waiting += reversed(missing)
    return list(done.values())


def _chain(model: Model) -> list[Layer]:
    """The layers of a Sequential model, from the first to the last."""
    taking = {call.inputs[0].key: call for call in model.calls}
    chain = [layer for layer in model.layers if layer.kind == "InputLayer"]
    key = START
    while key in taking:
        chain.append(taking[key].layer)
        key = taking[key].key
    return chain


def _keras_order(model: Model) -> list[Layer]:
    """Keras's order, which decides what layers are called in files; what leads to no output comes last."""
    calls = {call.key[:2]: [ref.key[:2] for ref in call.inputs] for call in model.calls}
    order = by_depth(calls, [output.key[:2] for output in model.outputs]) or []
    place = {name: number for number, name in enumerate(order)}
    return sorted(model.layers, key=lambda layer: place.get(layer.name, len(order)))
