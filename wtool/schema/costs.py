"""What a model costs to run: multiply-adds and activations of each layer, for a batch of one, from the configuration.

`schema/layers/multiply_adds.py` has the rules of the classes, and says what counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from wtool.errors import Refused
from wtool.schema.config import inside
from wtool.schema.graph import CARRIERS, MODELS, Call, Layer, Model, read
from wtool.schema.inbound_nodes import layer_name, layer_settings
from wtool.schema.layer_costs import Untold, multiply_adds_of
from wtool.schema.layers import TABLE, PartialShape, class_of, output_shapes
from wtool.schema.layers.multiply_adds import product, total
from wtool.schema.operations import TENSORFLOW
from wtool.schema.shapes import Known, Shapes, outputs_of, shapes_of
from wtool.values import dataclass

Inputs = tuple["PartialShape | None", ...]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What a layer, or an operation of the graph, costs in one run of its model.

    Attributes:
        path: of the layer, `encoder/dense_1`.
        class_name: as the configuration has it.
        calls: how often the layer is called.
        output: shape of the first output of a call, with the batch; None where it is not known.
        multiply_adds: of all calls, for a batch of one; None where they are not known.
        activations: number of values in the outputs of all calls, for a batch of one; None where it is not known.
        unknown: why a number is not known; empty if both are.
    """

    path: str
    class_name: str
    calls: int
    output: PartialShape | None
    multiply_adds: int | None
    activations: int | None
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a model costs to run.

    Attributes:
        inputs: shape of each input of the model, with the batch; None where it is not known.
        layers: each layer and operation that is called, in the order of the configuration. Of a model inside, or a
            model that a wrapper calls, its layers are here, with the calls of all calls of that model.
    """

    inputs: Inputs
    layers: tuple[LayerCost, ...]

    @property
    def multiply_adds(self) -> int | None:
        """Of all layers; None where those of one are not known."""
        return total(*(layer.multiply_adds for layer in self.layers))

    @property
    def activations(self) -> int | None:
        """Of all layers; None where those of one are not known."""
        return total(*(layer.activations for layer in self.layers))


def costs_of(config: dict[str, Any], inputs: Sequence[PartialShape | None] = ()) -> Costs:
    """Returns what a model costs to run, for a batch of one.

    Every call of a layer counts, so that a shared layer counts several times. Nothing is read but the configuration.

    Args:
        config: the model's entry, as parsed JSON.
        inputs: shapes of the model's inputs, with the batch, for sizes that the configuration leaves open.

    Raises:
        Refused: the graph is in its author's code, or contradicts itself, or the shapes contradict the configuration.
    """
    model = read(config)
    walk = _Walk()
    declared = shapes_of(model, known=walk.known)
    _refuse_contradictions(model, [declared[key] for key in model.inputs], inputs)
    walk.all_of(model, tuple(inputs))
    shapes = shapes_of(model, inputs, walk.known)
    sums = (walk.sums[id(layer)] for layer in walk.layers_of(model))
    return Costs(tuple(shapes[key] for key in model.inputs), tuple(each.cost() for each in sums))


def _refuse_contradictions(model: Model, declared: Sequence[PartialShape | None], inputs: Sequence[Any]) -> None:
    if len(inputs) > len(declared):
        raise Refused(f"{len(inputs)} shapes of inputs were given, and the number of inputs is {len(declared)}")
    for key, told, given in zip(model.inputs, declared, inputs, strict=False):
        if told is None or given is None:
            continue
        pairs = list(zip(told[1:], given[1:], strict=False))
        if len(told) != len(given) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise Refused(f"the input {key[0] or 'of the model'} is {shown(told)}, and cannot be {shown(given)}")


def shown(shape: PartialShape) -> str:
    """Returns a shape without its batch in words: `224x224x3`, with ? for sizes that are not known."""
    return "x".join("?" if size is None else str(size) for size in shape[1:]) or "a single value"


@dataclass(slots=True)
class _Sum:
    """What the calls of a layer cost so far; see `LayerCost`."""

    layer: Layer
    output: PartialShape | None
    calls: int = 0
    multiply_adds: int | None = 0
    activations: int | None = 0
    unknown: str = ""

    def cost(self) -> LayerCost:
        class_name = str(self.layer.entry.get("class_name"))
        numbers = self.multiply_adds, self.activations
        return LayerCost(self.layer.path, class_name, self.calls, self.output, *numbers, self.unknown)


def _leading_to_outputs(model: Model) -> list[Call]:
    """The calls that Keras does when it runs a model; it leaves out what leads to no output."""
    calls = {call.key[:2]: call for call in model.calls}
    waiting = [ref.key[:2] for ref in model.outputs]
    met = set()
    while waiting:
        key = waiting.pop()
        if key in calls and key not in met:
            met.add(key)
            waiting += [ref.key[:2] for ref in calls[key].inputs]
    return [call for key, call in calls.items() if key in met]


Level = dict[int, tuple[Model, Counter[Inputs]]]
"""Models of the same depth, by identity: each with the shapes of its inputs -> how often it is called with them."""


@dataclass(slots=True)
class _Walk:
    """A walk through a model and the models inside it, which looks at each of them once for each shape of its inputs.

    Attributes:
        sums: what is known so far of each layer, by its identity.
        known: shapes of the outputs of models inside.
        wrapped: the models in wrappers such as TimeDistributed, by the identity of the wrapper.
    """

    sums: dict[int, _Sum] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    wrapped: dict[int, Model] = field(default_factory=dict)

    def all_of(self, model: Model, inputs: Inputs) -> None:
        """Add up all calls. A model inside is entered when all of its calls are known."""
        level: Level = {id(model): (model, Counter([inputs]))}
        looks = Known()
        while level:
            below: Level = {}
            for each, shapes in level.values():
                for given, times in shapes.items():
                    if not looks.may_look(each):
                        raise Refused("models inside the model are called with too many different shapes to follow")
                    for inner, taken, count in self.calls_in(each, given, times):
                        below.setdefault(id(inner), (inner, Counter()))[1][taken] += count
            level = below

    def calls_in(self, model: Model, given: Inputs, times: int) -> Iterator[tuple[Model, Inputs, int]]:
        """Add up the calls of a model's layers. Yields the calls of models inside: shapes of inputs, and how often."""
        shapes = shapes_of(model, given, self.known)
        for call in _leading_to_outputs(model):
            inputs = tuple(shapes.get(ref.key) for ref in call.inputs)
            output = shapes.get(call.key)
            if call.layer.model is not None:
                yield call.layer.model, inputs, times
            elif (repeated := self.repeated(call.layer, inputs)) is not None:
                yield (*repeated[:2], repeated[2] * times)
            else:
                self.add(call, inputs, (output, *self.further(call, inputs, shapes)), times)

    def repeated(self, layer: Layer, inputs: Inputs) -> tuple[Model, Inputs, int] | None:
        """Returns the model in a wrapper, the shapes of its inputs, and for how many steps the wrapper calls it.

        None for layers that are no wrapper of a model, and where the number of steps is not told.
        """
        entry, path, steps, shape = layer.entry, layer.path, 1, inputs[0]
        while (kind := class_of(entry)) in CARRIERS and isinstance(layer_settings(entry).get("layer"), dict):
            if TABLE[kind].wraps == "each step":
                if shape is None or len(shape) < 3 or shape[1] is None:
                    return None
                steps, shape = steps * shape[1], (shape[0], *shape[2:])
            entry = entry["config"]["layer"]
            path = inside(path, layer_name(entry))
        if kind not in MODELS:
            return None
        if id(layer) not in self.wrapped:
            self.wrapped[id(layer)] = read(entry, path)
        return self.wrapped[id(layer)], (shape,), steps

    def further(self, call: Call, inputs: Inputs, shapes: Shapes) -> list[PartialShape | None]:
        """Returns the shapes of the outputs of a call behind the first one."""
        if call.layer.kind in TENSORFLOW:
            count = len(outputs_of(call, inputs, self.known))
            return [shapes.get((call.layer.name, call.number, number)) for number in range(1, count)]
        return output_shapes(call.layer.kind, call.layer.config, inputs)[1:]

    def add(self, call: Call, inputs: Inputs, outputs: Inputs, times: int) -> None:
        """Add a call of a layer, which happens several times where the model around it is called several times."""
        known = self.sums.setdefault(id(call.layer), _Sum(call.layer, outputs[0]))
        known.calls += times
        try:
            each: int | None = multiply_adds_of(call, inputs, outputs[0])
        except Untold as untold:
            each, known.unknown = None, known.unknown or str(untold)
        known.multiply_adds = total(known.multiply_adds, product(each, times))
        values = total(*(None if shape is None else product(*shape[1:]) for shape in outputs))
        known.activations = total(known.activations, product(values, times))
        if values is None:
            known.unknown = known.unknown or "a size of its output is not told"

    def layers_of(self, model: Model) -> Iterator[Layer]:
        """Yields the layers that are called, each model inside where it stands."""
        for layer in model.layers:
            model_inside = layer.model or self.wrapped.get(id(layer))
            if model_inside is not None:
                yield from self.layers_of(model_inside)
            elif id(layer) in self.sums:
                yield layer
