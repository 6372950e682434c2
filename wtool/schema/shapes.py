"""The shapes of a graph's tensors, worked out from configurations alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from wtool.schema.graph import OPERATION, Call, Layer, Model
from wtool.schema.inbound_nodes import Key, Ref
from wtool.schema.keras3_operations import shape_behind
from wtool.schema.layers import PartialShape, as_shape, output_shape
from wtool.schema.operations import TENSORFLOW, shapes_behind
from wtool.values import dataclass

Shapes = dict[Key, "PartialShape | None"]

MAX_AGAIN = 100_000
"""The most calls of layers that are looked at again in models inside: a file from a stranger may call a model of many
layers with many shapes."""


@dataclass(slots=True)
class Known:
    """What is known of models inside others, which may be called many times.

    Attributes:
        outputs: a model, by its identity, and the shapes of its inputs -> those of its outputs.
        seen: identities of the models.
        again: number of calls that were looked at in models that had been seen with other shapes before.
    """

    outputs: dict[tuple[int, tuple[PartialShape | None, ...]], list[PartialShape | None]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    again: int = 0

    def may_look(self, model: Model) -> bool:
        """Returns whether a model may be looked at with one more shape, and counts the look."""
        self.again += len(model.calls) if id(model) in self.seen else 0
        self.seen.add(id(model))
        return self.again <= MAX_AGAIN


def shapes_of(model: Model, given: Sequence[PartialShape | None] | None = None, known: Known | None = None) -> Shapes:
    """Returns the shape of every tensor of a model; None where the shape cannot be known.

    Args:
        model: its graph.
        given: the shapes of its inputs, where it is inside another.
        known: what is known of the models inside, which may be called many times; more is put there.
    """
    known = known or Known()
    told = _told_shapes(model)
    named = {layer.name: layer for layer in model.layers}
    found: Shapes = {}
    for number, key in enumerate(model.inputs):
        outside = given[number] if given is not None and number < len(given) else None
        found[key] = _filled(_declared(model, named.get(key[0])), outside)
    for call in model.calls:
        for ref in call.inputs:
            if found.get(ref.key) is None:
                found[ref.key] = told_shape(ref) or _built(call)
        inputs = [found.get(ref.key) for ref in call.inputs]
        for number, shape in enumerate(outputs_of(call, inputs, known)):
            key = (call.layer.name, call.number, number)
            found[key] = _filled(told.get(key), shape)
    return found


def _told_shapes(model: Model) -> dict[Key, PartialShape]:
    """The shapes that Keras 3 notes where calls take tensors."""
    found: dict[Key, PartialShape] = {}
    for ref in (ref for call in model.calls for ref in call.inputs):
        if ref.key not in found and (shape := told_shape(ref)) is not None:
            found[ref.key] = shape
    return found


def _filled(told: PartialShape | None, other: PartialShape | None) -> PartialShape | None:
    """A shape that is told, with sizes that it leaves open from another one."""
    if told is None or other is None or len(told) != len(other):
        return other if told is None else told
    return tuple(second if first is None else first for first, second in zip(told, other, strict=True))


def told_shape(ref: Ref) -> PartialShape | None:
    """Returns the shape that Keras 3 notes of a tensor where a call takes the tensor; None where it notes none."""
    return as_shape(ref.told.get("shape")) if ref.told is not None else None


def _built(call: Call) -> PartialShape | None:
    """The shape that the only input had when the layer was built, as Keras 3 notes it."""
    build = call.layer.entry.get("build_config")
    if not isinstance(build, dict) or len(call.inputs) != 1:
        return None
    told = build.get("shapes_dict")
    named = list(told.values()) if isinstance(told, dict) else []
    return as_shape(build.get("input_shape", named[0] if len(named) == 1 else None))


def _declared(model: Model, layer: Layer | None) -> PartialShape | None:
    """What an InputLayer, the first layer of a Sequential model, or the model itself says of an input.

    Args:
        model: whose input it is.
        layer: the InputLayer; None in Sequential models.
    """
    layer = layer or next(iter(model.layers), None)
    if layer is not None:
        for name in ("batch_shape", "batch_input_shape"):
            if (shape := as_shape(layer.config.get(name))) is not None:
                return shape
        if layer.model is not None and layer.model.inputs and not model.functional:
            return _declared(layer.model, _input_layer(layer.model))
    return as_shape(model.config.get("build_input_shape"))


def _input_layer(model: Model) -> Layer | None:
    return next((layer for layer in model.layers if layer.name == model.inputs[0][0]), None)


def outputs_of(call: Call, inputs: Sequence[PartialShape | None], known: Known) -> list[PartialShape | None]:
    """Returns the shapes of a call's outputs; a single None for layers that nobody knows.

    Args:
        call: of a layer.
        inputs: the shapes of what the call takes.
        known: of models inside others, as in `shapes_of`.
    """
    layer = call.layer
    if layer.kind == OPERATION:
        return [shape_behind(layer.entry, inputs)]
    if layer.kind in TENSORFLOW:
        return shapes_behind(layer.config, call.arguments, inputs)
    if layer.model is not None:
        key = id(layer.model), tuple(inputs)
        if key not in known.outputs:
            if not known.may_look(layer.model):
                return [None] * len(layer.model.outputs)
            inner = shapes_of(layer.model, inputs, known)
            known.outputs[key] = [inner.get(ref.key) for ref in layer.model.outputs]
        return known.outputs[key]
    return [output_shape(layer.kind, layer.config, inputs)]
