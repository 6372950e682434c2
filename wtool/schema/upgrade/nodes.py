"""Functional models: the calls of the layers, the inputs and the outputs, noted as Keras 3 does.

Keras 2 notes a call's first argument, a list of `[layer, call, output, {other arguments}]`; Keras 3 notes
`{"args": [...], "kwargs": {...}}` with shape and dtype beside each tensor. Source: `deserialize_node` and
`functional_from_config` of keras/src/models/functional.py, `process_node` of tf_keras/src/engine/functional.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from wtool.errors import Refused
from wtool.schema.calls import walk_back
from wtool.schema.inbound_nodes import (
    CallKey,
    Key,
    arguments_of,
    calls_of,
    filled,
    is_of_keras3,
    layer_name,
    layer_settings,
    refs_of,
)
from wtool.schema.layers import class_and_settings, class_of, compute_dtype
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.fitting_calls import refuse_late_scores, refuse_unfit
from wtool.schema.upgrade.mask_flow import Flow
from wtool.schema.upgrade.mask_rules import Masked
from wtool.schema.upgrade.mask_steps import Step
from wtool.schema.upgrade.mask_terms import Terms
from wtool.schema.upgrade.mask_writing import WrittenMasks
from wtool.schema.upgrade.masks import names_of_masks, note_order
from wtool.schema.upgrade.names import Names, refuse_equal_paths, renamed
from wtool.schema.upgrade.operation_call import Cannot, Constant, noted
from wtool.schema.upgrade.operations import OPERATIONS, leave_names_out, operation
from wtool.schema.upgrade.recurrent_calls import takes_states, with_states
from wtool.schema.upgrade.replacements import replacement_of
from wtool.schema.upgrade.specs import Spec, Tensor, spec_of_input, specs_behind
from wtool.schema.upgrade.training_calls import kept_training

Entry = dict[str, Any]
Arguments = tuple[list[Any], dict[str, Any]]
Upgrade = Callable[[Any, Place, Context], Entry]
_ENDS = ("input_layers", "output_layers")
MAX_DIFFERENT_INPUTS = 8
"""For how many different inputs the outputs of one model inside others are worked out."""


def functional_config(settings: Mapping[str, Any], place: Place, context: Context, upgraded_entry: Upgrade) -> Entry:
    """Returns the settings of a functional model for Keras 3: its layers with their calls, its inputs and outputs.

    Names with a slash are changed, and noted in `context.moved`.

    Args:
        settings: of the old model.
        place: of the model.
        context: notes what is done.
        upgraded_entry: upgrades the entry of a layer inside.

    Raises:
        Refused: the graph contradicts itself.
    """
    graph = _Graph(settings, place, context, upgraded_entry)
    graph.call_all()
    context.models[place.path] = graph.specs_of_outputs
    outputs = graph.ends(settings.get("output_layers"))
    layers = [entry for chain in graph.new.values() for entry in chain]
    taken: set[str] = set()
    leave_names_out(layers, {ref.key[0] for ref in refs_of(outputs)} if not place.path else (), taken)
    if context.masks:
        context.flows[place.path] = graph.flow(layers, taken)
    return {
        "name": settings.get("name"),
        "trainable": settings.get("trainable", True),
        "layers": layers,
        "input_layers": graph.ends(settings.get("input_layers")),
        "output_layers": outputs,
    }


class _Graph:
    """A functional model on the way: the old calls, and the new tensors that are known so far."""

    def __init__(self, settings: Mapping[str, Any], place: Place, context: Context, upgraded_entry: Upgrade) -> None:
        self.place, self.context = place, context
        self.what = place.path or "the model"
        layers = settings.get("layers")
        if not isinstance(layers, list) or not all(isinstance(entry, dict) for entry in layers):
            raise Refused(f"the configuration of {self.what} has layers that are no list of entries")
        self.old: dict[str, Entry] = {layer_name(entry): entry for entry in layers}
        if len(self.old) != len(layers):
            raise Refused(f"two layers of {self.what} have the same name")
        self.places = {name: self._inner(name, entry) for name, entry in self.old.items()}
        self.inputs, self.outputs = ([ref.key for ref in refs_of(settings.get(ends))] for ends in _ENDS)
        self.calls = calls_of(self.old, [ref for ends in _ENDS for ref in refs_of(settings.get(ends))])
        self.order = self._order()
        self.first: dict[str, int] = {}
        for name, number in self.calls:
            self.first[name] = min(number, self.first.get(name, number))
        note_order(self.old, context)
        refuse_late_scores(self.calls, self.first, self.outputs, self.places, context)
        refuse_equal_paths(self.old, place, context)
        names = renamed(self.old, place, context, names_of_masks(self.old, context))
        self.free = Names(names.values())
        self.names = names
        self.new: dict[str, list[Entry]] = {
            name: [] if entry is None else [_named(entry, names[name])]
            for name, entry in ((name, self._upgraded(name, upgraded_entry)) for name in self.old)
        }
        refuse_unfit(self.new, self.calls, self.outputs, self.places, context)
        self.counted = {
            chain[-1]["name"]
            for name, chain in self.new.items()
            if chain and ("input_layers" in chain[-1]["config"] or self._is_own_model(name))
        }
        self.tensors: dict[Key, Tensor] = {}
        self.operations = {name for name, chain in self.new.items() if not chain}
        self.known: dict[tuple[Spec, ...], list[Spec]] = {}

    def _order(self) -> list[CallKey]:
        """Returns every call, each after those that it depends on."""
        taken = {call: [ref.key[:2] for ref in refs] for call, (_, refs) in self.calls.items()}
        walked = walk_back(taken, list(taken))
        if walked is None:
            raise Refused(f"a layer of {self.what} depends on itself")
        return [call for call in walked[0] if call in self.calls]

    def _inner(self, name: str, entry: Entry) -> Place:
        class_name, _ = class_and_settings(entry, f"layer {name} of {self.what}")
        return self.place.inner(name, class_of(entry) or class_name.rpartition(">")[2])

    def _upgraded(self, name: str, upgraded_entry: Upgrade) -> Entry | None:
        """Returns the new entry of a layer; None for an operation, each of whose calls becomes operations."""
        place = self.places[name]
        if place.class_name not in OPERATIONS:
            return upgraded_entry(self.old[name], place, self.context)
        return replacement_of(layer_settings(self.old[name]), place, self.context)

    def _is_own_model(self, name: str) -> bool:
        """Whether a layer of an author's class, which does not tell its graph, was counted as functional models are."""
        return class_of(self.old[name]) is None and self.first.get(name) == 1

    def call_all(self) -> None:
        """Notes every call in the new entries, and what comes out of each."""
        for name, count in Counter(name for name, _ in self.calls).items():
            for entry in self.new[name]:
                entry["inbound_nodes"] = [None] * count
        for key, spec in self._specs_of_inputs().items():
            self.tensors[key] = Tensor((self.new[key[0]][-1]["name"], *key[1:]), spec)
        for call in self.order:
            self._call(call)

    def _specs_of_inputs(self) -> dict[Key, Spec]:
        """Returns what the InputLayers say of their tensors."""
        return {
            (name, 0, 0): spec_of_input(self.new[name][-1])
            for name, place in self.places.items()
            if place.class_name == "InputLayer" and (name, 0) not in self.calls
        }

    def _call(self, call: CallKey) -> None:
        """Notes one call of a layer in the new entries, and what comes out of the call."""
        node, refs = self.calls[call]
        name, number = call[0], call[1] - self.first[call[0]]
        if is_of_keras3(node) or (not refs and name not in self.operations):
            raise Refused(f"layer {self.places[name].path} is called without a tensor")
        if name in self.operations:
            self._operate(call)
            return
        entry = self.new[name][0]
        args, kwargs = self._arguments(call)
        entry["inbound_nodes"][number] = {"args": args, "kwargs": kwargs}
        specs = self._specs(call, [self.tensor(ref.key).spec for ref in refs])
        self._put(call, [Tensor((entry["name"], number, at), spec) for at, spec in enumerate(specs)])

    def _put(self, call: CallKey, made: Sequence[Tensor]) -> None:
        self.tensors |= {(*call, at): tensor for at, tensor in enumerate(made)}

    def _operate(self, call: CallKey) -> None:
        """Puts operations of Keras 3 in the place of one call of an operation of TensorFlow."""
        name = self.names[call[0]] if not self.new[call[0]] else self.free.free(self.names[call[0]])
        try:
            entries, outputs = self._operation(call, self.tensor, name, self.free)
        except Cannot as reason:
            self.context.refuse(self.places[call[0]], "unknown operation", f"it {reason}")
            entries, outputs = [], [Tensor((name, 0, 0))]
        else:
            self.context.change(self.places[call[0]], "operation", _told(entries))
        self.new[call[0]] += entries
        self._put(call, outputs)

    def _operation(
        self, call: CallKey, tensor: Callable[[Key], Tensor], name: str, free: Names
    ) -> tuple[list[Entry], list[Tensor]]:
        node, place = self.calls[call][0], self.places[call[0]]
        first = filled(node, tensor, lambda value: value)
        others = {str(word): filled(value, tensor) for word, value in _others(node).items()}
        return operation(place.class_name, layer_settings(self.old[call[0]]), first, others, name, free)

    def _specs(self, call: CallKey, inputs: Sequence[Spec]) -> list[Spec]:
        """Returns what is known of the outputs of one call of a layer."""
        others = _others(self.calls[call][0])
        return specs_behind(self.new[call[0]][0], self.places[call[0]].path, inputs, others, self.context.models)

    def specs_of_outputs(self, given: Sequence[Spec]) -> list[Spec]:
        """Returns what is known of the model's outputs where its inputs are given, as in a call inside another model.

        What is found is kept, and so many different inputs are looked at: models in models, each called several times,
        would take for ever.
        """
        if tuple(given) not in self.known and len(self.known) < MAX_DIFFERENT_INPUTS:
            specs = self._specs_of_inputs()
            for key, outside in zip(self.inputs, given, strict=False):
                specs[key] = specs.get(key, Spec()).refined(outside)
            for call in self.order:
                specs |= {(*call, at): spec for at, spec in enumerate(self._specs_again(call, specs))}
            self.known[tuple(given)] = [_known(specs, key) for key in self.outputs]
        return self.known.get(tuple(given), [self.tensor(key).spec for key in self.outputs])

    def _specs_again(self, call: CallKey, specs: Mapping[Key, Spec]) -> list[Spec]:
        """Returns what is known of the outputs of one call, where other inputs are given."""
        if call[0] not in self.operations:
            return self._specs(call, [_known(specs, ref.key) for ref in self.calls[call][1]])
        try:
            _, outputs = self._operation(
                call, lambda key: Tensor(self.tensor(key).key, _known(specs, key)), "", Names()
            )
        except Cannot:
            return [Spec()]
        return [tensor.spec for tensor in outputs]

    def _arguments(self, call: CallKey) -> Arguments:
        """Returns the arguments of a layer's call for Keras 3."""
        node, place, entry = self.calls[call][0], self.places[call[0]], self.new[call[0]][0]
        tensor = partial(self._noted, place)
        first = filled(node, tensor, partial(_constant, entry))
        first = first[0] if isinstance(first, list) and len(first) == 1 else first
        kwargs = {
            str(word): filled(value, tensor)
            for word, value in _others(node).items()
            if value is not None or word not in ("training", "mask")
        } | self.context.calls.get(place.path, {})
        if place.class_name in OPERATIONS:
            return [first], {}  # what the user puts in the place of an operation has settings instead
        kwargs = kept_training(kwargs, entry, place, self.context)
        return with_states(first, kwargs, place, self.context) if takes_states(class_of(entry)) else ([first], kwargs)

    def flow(self, layers: list[Entry], taken: set[str]) -> Flow:
        """Returns how masks go through the model.

        Args:
            layers: the new entries, to which those of masks are added that are written out.
            taken: their names without numbers, to which those of the added entries are added.
        """
        written = WrittenMasks(self.place.path, self.tensor, self.free)

        def write(step: Step, masks: Sequence[Masked], terms: Terms) -> None:
            entry = self.new[step.key[0]][0]
            arguments, operations = written.arguments(step, entry["name"], masks, terms)
            entry["inbound_nodes"][step.key[1] - self.first[step.key[0]]]["kwargs"] |= arguments
            leave_names_out(operations, (), taken)
            layers.extend(operations)

        steps = [self._step(call) for call in self.order]
        return Flow(self.place.path, steps, self.inputs, self.outputs, write, self.context)

    def _step(self, call: CallKey) -> Step:
        node, refs = self.calls[call]
        shape = self.tensor(refs[0].key).spec.shape if refs else None
        rank = len(shape) if shape is not None else None
        inputs = tuple((ref.word, ref.key) for ref in refs)
        return Step(call, self.places[call[0]], self.old[call[0]], inputs, _others(node), rank)

    def tensor(self, key: Key) -> Tensor:
        """Returns the new tensor in the place of an old one."""
        found = self.tensors.get(key)
        if found is not None:
            return found
        made = self.tensors.get((key[0], key[1], 0))
        if made is None or made.key is None or key[2] < 0:
            raise Refused(f"a layer of {self.what} takes the tensor {list(key)}, which no layer makes")
        return Tensor((*made.key[:2], key[2]), Spec(None, made.spec.dtype))

    def ends(self, value: Any) -> Any:
        """Returns the model's inputs or outputs as Keras 3 notes them: a single one stands in no list."""
        ends = filled(value, self._end)
        alone = isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list)
        return ends[0] if alone else ends

    def _end(self, key: Key) -> list[Any]:
        """Returns a tensor among the outputs: Keras 3 counts the making of a functional model as its first call."""
        new = self._existing(key, self.place)
        return [new[0], new[1] + (new[0] in self.counted), new[2]]

    def _existing(self, key: Key, place: Place) -> Key:
        """Returns where a tensor comes from in the new graph. A size comes from nowhere, and is refused."""
        new = self.tensor(key).key
        if new is None:
            self.context.refuse(place, "unknown operation", f"it takes the size that {key[0]} gives as a tensor")
        return new or ("", 0, 0)

    def _noted(self, place: Place, key: Key) -> Entry:
        """Returns a tensor as Keras 3 notes it among the arguments of a layer."""
        return Tensor(self._existing(key, place), self.tensor(key).spec).entry


def _named(entry: Entry, name: str) -> Entry:
    """Returns the entry of a layer in a functional model, without calls."""
    return {**entry, "name": name, "config": {**entry["config"], "name": name}, "inbound_nodes": []}


def _told(entries: Sequence[Entry]) -> str:
    """Returns what takes the place of an operation, in words."""
    if not entries:
        return "It is worked out from the shapes of tensors."
    return f"It becomes {', '.join(str(entry['class_name']) for entry in entries)}."


def _constant(entry: Entry, value: Any) -> Any:
    """Returns a constant among what a layer takes, as Keras 3 notes it: lists are arrays of the layer's dtype."""
    dtype = compute_dtype(layer_settings(entry).get("dtype")) or "float32"
    return noted(Constant(value, dtype)) if isinstance(value, list) else value


def _others(node: Any) -> dict[Any, Any]:
    """Returns the arguments of a call behind the first one."""
    return {word: value for word, value in arguments_of(node).items() if word != 0}


def _known(specs: Mapping[Key, Spec], key: Key) -> Spec:
    """Returns what is known of a tensor; the outputs of one call have one dtype, and several shapes."""
    return specs.get(key) or Spec(None, specs.get((*key[:2], 0), Spec()).dtype)
