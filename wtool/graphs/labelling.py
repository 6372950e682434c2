"""Which channel stands where in a graph: labelled where a layer makes it, followed to whoever reads it.

The walk goes by the rules for changes (`layer_rules`): a rule that says which positions of a weight follow a change of
the input says as well which positions belong to which channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, is_floating
from wtool.errors import Refused, in_short
from wtool.graphs.groups import Side
from wtool.graphs.labels import Book, Labels
from wtool.graphs.layer_changes import INPUT, MOST_CALLS, AxisEdit, Input, LayerChange, Stuck
from wtool.graphs.propagate import change_of
from wtool.graphs.units import Units, along_outputs, units_of
from wtool.graphs.values import is_meant, weights_by_layer
from wtool.schema.graph import Call, Layer, Model
from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import PartialShape, entry_of
from wtool.schema.shapes import Shapes, shapes_of
from wtool.values import dataclass

State = Mapping[int, Labels]
"""The labels of a tensor: axis -> labels along it, for the axes on which channels are known."""


@dataclass(frozen=True, eq=False)
class Made:
    """Channels that a layer makes, with their labels.

    Attributes:
        name: of the group that they would be by themselves.
        path: of the layer.
        labels: of the channels, shape (number of channels,).
        units: where the channels stand in the outputs and the weights of the layer.
    """

    name: str
    path: str
    labels: Array
    units: Units


@dataclass(frozen=True, eq=False)
class Place:
    """An axis of a weight with the labels of its positions."""

    tensor: Tensor
    axis: int
    labels: Array
    side: Side


@dataclass(frozen=True, eq=False)
class Seen:
    """A call as the walk came by.

    Attributes:
        call: of a layer.
        inputs: the labels of the tensors that it takes.
        shapes: of these tensors.
    """

    call: Call
    inputs: tuple[State, ...]
    shapes: tuple[PartialShape | None, ...]


@dataclass(eq=False)
class Labelled:
    """A graph with labelled channels.

    Attributes:
        book: all labels.
        made: in the order in which layers make channels.
        places: path of a weight and axis -> the place.
        seen: every call, in order.
        entered: a model inside the model, one of its inputs, the labels and the shape of what goes in.
    """

    book: Book = field(default_factory=Book)
    made: list[Made] = field(default_factory=list)
    places: dict[tuple[str, int], Place] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    entered: list[tuple[Model, Key, State]] = field(default_factory=list)


def label(base: Checkpoint, model: Model, reorder: bool) -> Labelled:
    """Label the channels of a model.

    Args:
        base: has the weights.
        model: the graph of its configuration.
        reorder: whether channels are only put in another order, and not taken out.

    Raises:
        Refused: the graph contradicts itself, or the weights do not fit it.
    """
    walk = _Walk(weights_by_layer(base), reorder)
    for state in walk.model(model, [{} for _ in model.inputs], shapes_of(model)):
        for labels in state.values():
            walk.found.book.bind(labels.source, "the model's output has them")
    walk.repeated()
    return walk.found


class _Walk:
    def __init__(self, owned: Mapping[str, Sequence[Tensor]], reorder: bool) -> None:
        self.found = Labelled()
        self._owned = owned
        self._reorder = reorder
        self._units: dict[str, list[tuple[Units, Array]]] = {}
        self._noted: dict[str, list[dict[object, Array]]] = {}

    def model(self, model: Model, given: Sequence[State], shapes: Shapes) -> list[State]:
        """Follow labels through a model. Returns those of its outputs."""
        at: dict[Key, State] = dict(zip(model.inputs, given, strict=False))
        for call in model.calls:
            if len(self.found.seen) == MOST_CALLS:
                raise Refused(f"models in its models are called more than {MOST_CALLS:,} times in all")
            states = tuple(at.get(ref.key, {}) for ref in call.inputs)
            seen = Seen(call, states, tuple(shapes.get(ref.key) for ref in call.inputs))
            self.found.seen.append(seen)
            self._noted.setdefault(call.layer.path, []).append({})
            try:
                outputs = self._inside(seen) if call.layer.model is not None else self._call(seen)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                why = f"the configuration of {call.layer.shown} makes no sense ({in_short(error):.100})"
                raise Refused(why) from error
            for number, state in enumerate(outputs):
                at[(call.layer.name, call.number, number)] = state
        return [at.get(ref.key, {}) for ref in model.outputs]

    def repeated(self) -> None:
        """Note that layers which are called several times take the same channels in every call."""
        for path, calls in self._noted.items():
            for key in dict.fromkeys(key for noted in calls for key in noted):
                labels = [noted[key] for noted in calls if key in noted]
                for other in labels[1:]:
                    self.found.book.unite(labels[0], other)
                if len(labels) < len(calls):
                    self.found.book.bind(labels[0], f"{path}: it is called with other channels, too")

    def _note(self, key: object, labels: Array, layer: Layer) -> None:
        """Note that a call of a layer takes channels so that all calls must have the same ones there."""
        self._noted[layer.path][-1][key] = labels

    def _inside(self, seen: Seen) -> list[State]:
        inner = seen.call.layer.model
        assert inner is not None
        for number, state in enumerate(seen.inputs):
            for axis, labels in state.items():
                self._note((number, axis), labels.source, seen.call.layer)
        self.found.entered += zip([inner] * len(inner.inputs), inner.inputs, seen.inputs, strict=False)
        return self.model(inner, seen.inputs, shapes_of(inner, seen.shapes))

    def _call(self, seen: Seen) -> list[State]:
        layer = seen.call.layer
        outputs: dict[int, dict[int, Labels]] = {}
        self._states(seen)
        for axis in sorted({axis for state in seen.inputs for axis in state}):
            change = self._followed(seen, axis)
            if change.output is not None:
                assert isinstance(change.output, Labels)
                self._put(layer, outputs.setdefault(0, {}), change.output)
        for (number, axis), whole in along_outputs(self._made(seen)).items():
            own = Labels(axis, whole, len(whole), self.found.book)
            self._put(layer, outputs.setdefault(number, {}), own)
        return [outputs.get(number, {}) for number in range(max(outputs, default=-1) + 1)]

    def _followed(self, seen: Seen, axis: int) -> LayerChange:
        """Where the labels along one axis of the inputs stand in the weights and the output of a layer."""
        layer, book = seen.call.layer, self.found.book
        known = [state.get(axis) for state in seen.inputs]
        for number in states_of(seen.call):
            known[number] = None
        labelled = [labels for labels in known if labels is not None]
        inputs = [
            Input(ref.word, labels, shape)
            for ref, labels, shape in zip(seen.call.inputs, known, seen.shapes, strict=False)
        ]
        try:
            change = change_of(seen.call, inputs) if labelled else LayerChange(None)
        except Stuck as stuck:
            for labels in labelled:
                book.bind(labels.source, f"{layer.shown}: {stuck}")
            return LayerChange(None)
        for labels in labelled if change.mixes is not None else ():
            book.mix(labels.source, f"{layer.shown}: {change.mixes}")
        for edit in change.edits:
            for tensor in self._record(layer.path, edit, "takes" if edit.fill == INPUT else "follows"):
                self._note((tensor.path, edit.axis), edit.source, layer)
        if change.settings and change.output is not None:
            self._note(axis, change.output.source, layer)
        return change

    def _states(self, seen: Seen) -> None:
        """Note that the initial states of a recurrent layer have the channels that the layer makes."""
        layer, book = seen.call.layer, self.found.book
        made = [labels for _, labels in self._made(seen)]
        for number in states_of(seen.call):
            state = seen.inputs[number]
            labels = state.get(1)
            if len(made) == 1 and labels is not None and len(labels.source) == len(made[0]):
                book.unite(made[0], labels.source)
                continue
            for each in (*made, *(labels.source for labels in state.values())):
                book.bind(each, f"{layer.shown}: its initial states have other channels")

    def _made(self, seen: Seen) -> list[tuple[Units, Array]]:
        """The channels that a layer makes, with their labels; those of a layer that is called again are the same."""
        layer = seen.call.layer
        found = units_of(layer, seen.shapes, self._reorder)
        if layer.path not in self._units:
            self._units[layer.path] = [self._new(layer, units) for units in found]
        known = self._units[layer.path]
        if len(known) != len(found):  # the shape of what a call takes is not known
            for _, labels in known:
                self.found.book.bind(labels, f"{layer.shown}: it is called with others, too")
            return []
        return [(units, labels) for units, (_, labels) in zip(found, known, strict=True)]

    def _new(self, layer: Layer, units: Units) -> tuple[Units, Array]:
        book = self.found.book
        labels = book.fresh(units.size)
        name = f"{layer.path} ({units.what})" if units.what else layer.path
        self.found.made.append(Made(name, layer.path, labels, units))
        if units.bound is not None:
            book.bind(labels, f"{layer.shown}: {units.bound}")
        if units.mixes is not None:
            book.mix(labels, f"{layer.shown}: {units.mixes}")
        for edits, side in ((units.makes, "makes"), (units.takes, "takes")):
            for edit in edits:
                self._record(layer.path, replace(edit, source=labels[edit.source]), side)  # type: ignore[arg-type]
        return units, labels

    def _record(self, path: str, edit: AxisEdit, side: Side) -> list[Tensor]:
        """Note the labels along an axis of the weights that an edit is of. Returns these weights.

        Raises:
            Refused: a weight has another shape than its layer's.
        """
        meant = [tensor for tensor in self._owned.get(path, ()) if is_meant(tensor, path, edit)]
        for tensor in meant:
            axis = edit.axis % max(1, len(tensor.shape))
            if axis >= len(tensor.shape) or tensor.shape[axis] != len(edit.source):
                if not is_floating(tensor.dtype):
                    continue  # codes of four bits, two in a position: the channels of a quantised layer stay
                raise Refused(f"{tensor.path} is {tensor.shape}, which does not fit the model's graph")
            known = self.found.places.setdefault((tensor.path, axis), Place(tensor, axis, edit.source, side))
            self.found.book.unite(known.labels, edit.source)
        return meant

    def _put(self, layer: Layer, state: dict[int, Labels], labels: Labels) -> None:
        """Note the labels of an output along one axis; where two sets of channels are flattened into it, both stay."""
        if labels.axis in state:
            for each in (state.pop(labels.axis), labels):
                self.found.book.bind(each.source, f"{layer.shown}: it makes one axis of two that have channels")
            return
        state[labels.axis] = labels


def states_of(call: Call) -> list[int]:
    """Returns which inputs of a call are the states in which a recurrent layer begins; Keras 2 lists them as inputs."""
    entry = entry_of(call.layer.kind or "")
    if entry is None or entry.channels not in ("recurrent", "convolving recurrent", "both ways", "own cell"):
        return []
    words = [ref.word for ref in call.inputs]
    return [number for number, word in enumerate(words) if word in (1, "initial_state") or (word == 0 and number > 0)]
