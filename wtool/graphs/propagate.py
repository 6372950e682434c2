"""Propagation of changes: from the layers that change, through the graph, to all tensors and layers that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from wtool.errors import Refused, in_short
from wtool.graphs.layer_changes import MOST_CALLS, Input, LayerChange, Stuck
from wtool.graphs.layer_rules import layer_change
from wtool.graphs.propagate_operations import keras_operation_change, operation_change
from wtool.graphs.reindex import Reindex, unchanged
from wtool.schema.graph import OPERATION, Call, Layer, Model
from wtool.schema.inbound_nodes import Key, Ref
from wtool.schema.layers import PartialShape, entry_of
from wtool.schema.operations import TENSORFLOW
from wtool.schema.shapes import Shapes, shapes_of
from wtool.values import dataclass

OwnChange = Callable[[Reindex], Reindex]
"""From the change of a layer's output by its inputs to that with the layer's own change, as linking doubles it."""


@dataclass(eq=False)
class Restoration:
    """A changed tensor whose old form some layers need; a projection brings that form back.

    Attributes:
        model: the model that the tensor is in.
        refs: the places that take the old form.
        reindex: how the tensor has changed.
        shape: the shape of the tensor before the change.
        why: for each layer that needs the old form its path and the reason.
    """

    model: Model
    refs: list[Ref]
    reindex: Reindex
    shape: PartialShape
    why: list[str]


@dataclass(eq=False)
class Propagation:
    """Everything that changes in a graph.

    Attributes:
        changes: path of a layer -> the edits of its weights and the change of its output.
        layers: path of a layer -> the layer, for all paths in `changes`.
        changed: each place that takes a changed tensor in its new form, with the change and the old shape.
        restored: path of a model and tensor -> the restoration of the tensor's old form.
        axes: path of a layer with a change of its own -> the axis of its channels; -1 where that is the last axis.
        before: path of a layer with a change of its own -> the shape that its output would have without this change.
        entered: a model inside the model, one of its inputs, and how this input has changed.
        inputs: path of a layer -> the new shapes of its inputs, for paths in `changes`; None for unknown shapes.
    """

    changes: dict[str, LayerChange] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    changed: list[tuple[Ref, Reindex, PartialShape]] = field(default_factory=list)
    restored: dict[tuple[str, Key], Restoration] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    before: dict[str, PartialShape] = field(default_factory=dict)
    entered: list[tuple[Model, Key, Reindex]] = field(default_factory=list)
    inputs: dict[str, list[PartialShape | None]] = field(default_factory=dict)


class _Differs(Exception):
    """A layer is called with inputs that have changed in different ways."""


def propagate(model: Model, own_changes: Mapping[str, OwnChange], can_restore: bool) -> Propagation:
    """Returns everything that follows from changes of some layers.

    A layer that is called several times must change alike in every call. Where the calls differ, the layer keeps its
    old form and gets restored inputs, and the walk through the graph begins again.

    Args:
        model: the outermost model.
        own_changes: path of each layer that changes -> the change of its output.
        can_restore: whether a projection may bring old forms back.

    Raises:
        Refused: the shape of a changed output is not known, or a layer needs an old form and `can_restore` is False.
    """
    alone: set[str] = set()
    while True:
        walk = _Walk(own_changes, can_restore, frozenset(alone))
        try:
            outputs = walk.model(model, [None] * len(model.inputs), None, shapes_of(model))
        except _Differs as error:
            if str(error) in alone:
                raise Refused(f"layer {error} is called with inputs that contradict each other") from None
            alone.add(str(error))
            continue
        for ref, (reindex, shape) in zip(model.outputs, outputs, strict=True):
            if reindex is not None:
                walk.restore(model, ref, reindex, shape, "the model", "it is its output")
        return walk.found


State = tuple["Reindex | None", "PartialShape | None"]


class _Walk:
    def __init__(self, own_changes: Mapping[str, OwnChange], can_restore: bool, alone: frozenset[str]) -> None:
        self.own_changes = own_changes
        self.can_restore = can_restore
        self.alone = alone
        self.found = Propagation()
        self._given: dict[str, list[Reindex | None]] = {}
        self._calls = 0

    def model(
        self, model: Model, given: Sequence[Reindex | None], axes: Sequence[int | None] | None, shapes: Shapes
    ) -> list[State]:
        """Follow changes through a model. Returns the changes and old shapes of its outputs."""
        at: dict[Key, Reindex | None] = dict(zip(model.inputs, given, strict=False))
        channels: dict[Key, int] = {}
        for key, axis in zip(model.inputs, axes or (), strict=False):
            if axis is not None:
                channels[key] = axis
        for call in model.calls:
            self._calls += 1
            if self._calls > MOST_CALLS:
                raise Refused(f"models in its models are called more than {MOST_CALLS:,} times in all")
            inputs = [Input(ref.word, at.get(ref.key), shapes.get(ref.key)) for ref in call.inputs]
            axis = _channels(call, [channels.get(ref.key) for ref in call.inputs], shapes.get(call.key))
            try:
                outputs = self._call(model, call, inputs, axis, shapes)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise Refused(
                    f"the configuration of {call.layer.shown} makes no sense ({in_short(error):.100})"
                ) from error
            for number, output in enumerate(outputs):
                key = (call.layer.name, call.number, number)
                at[key] = output
                if axis is not None:
                    channels[key] = axis
        return [(at.get(ref.key), shapes.get(ref.key)) for ref in model.outputs]

    def _call(
        self, model: Model, call: Call, inputs: list[Input], axis: int | None, shapes: Shapes
    ) -> list[Reindex | None]:
        path = call.layer.path
        changed = any(each.reindex is not None for each in inputs)
        if changed and path in self.alone:
            self._restore_all(model, call, inputs, "it is called with others, too")
            inputs, changed = [Input(each.word, None, each.shape) for each in inputs], False
        if call.layer.model is not None:
            return self._inside(call, inputs, axis)
        change = LayerChange(None)
        if changed:
            try:
                change = change_of(call, inputs)
                if change.mixes is not None:
                    raise Stuck(change.mixes)
                if path in self.own_changes and change.output is not None and change.output.axis != axis:
                    raise Stuck("it is linked along another axis")
            except Stuck as stuck:
                self._restore_all(model, call, inputs, str(stuck))
                inputs = [Input(each.word, None, each.shape) for each in inputs]
                change = LayerChange(None)
        self._note(call, inputs, change)
        if path not in self.own_changes:
            return [change.output]
        shape = shapes.get(call.key)
        if shape is None or axis is None or shape[axis] is None:
            raise Refused(f"the shape of the output of {call.layer.shown} is not known; leave it out with --layers")
        before = change.output or unchanged(axis, int(shape[axis] or 0))
        self.found.axes[path] = -1 if axis == len(shape) - 1 else axis
        self.found.before[path] = before.shape(shape)
        return [self.own_changes[path](before)]

    def _note(self, call: Call, inputs: list[Input], change: LayerChange) -> None:
        """Record the change of a layer; for a layer that is called again it must be the same change."""
        path = call.layer.path
        known = self.found.changes.get(path)
        if known is not None and not _alike(known, change):
            raise _Differs(path)
        if known is None:
            self.found.changes[path] = change
            self._keep(call, inputs)
        self._mark(call, inputs)

    def _keep(self, call: Call, inputs: list[Input]) -> None:
        """Record a layer and the new shapes of its inputs."""
        self.found.layers[call.layer.path] = call.layer
        self.found.inputs[call.layer.path] = [
            each.shape if each.reindex is None or each.shape is None else each.reindex.shape(each.shape)
            for each in inputs
        ]

    def _mark(self, call: Call, inputs: list[Input]) -> None:
        """Record the places where a call takes changed tensors in their new form."""
        for ref, each in zip(call.inputs, inputs, strict=True):
            if each.reindex is not None and each.shape is not None:
                self.found.changed.append((ref, each.reindex, each.shape))

    def _inside(self, call: Call, inputs: list[Input], axis: int | None) -> list[Reindex | None]:
        """Follow changes through a model inside the model. Returns the changes of its outputs."""
        inner, path = call.layer.model, call.layer.path
        assert inner is not None
        given = [each.reindex for each in inputs]
        if path in self._given and self._given[path] != given:
            raise _Differs(path)
        if path not in self._given:
            changed = [(inner, key, at) for key, at in zip(inner.inputs, given, strict=False) if at is not None]
            self.found.entered += changed
        self._given[path] = given
        self._mark(call, inputs)
        outside = [each.shape for each in inputs]
        states = self.model(inner, given, [axis] * len(given) if axis == 1 else None, shapes_of(inner, outside))
        self._keep(call, inputs)
        return [reindex for reindex, _ in states]

    def _restore_all(self, model: Model, call: Call, inputs: list[Input], why: str) -> None:
        for ref, each in zip(call.inputs, inputs, strict=True):
            if each.reindex is not None:
                self.restore(model, ref, each.reindex, each.shape, call.layer.shown, why)

    def restore(self, model: Model, ref: Ref, reindex: Reindex, shape: PartialShape | None, who: str, why: str) -> None:
        """Ask for the old form of a tensor at one place that takes it.

        Raises:
            Refused: old forms cannot be brought back here.
        """
        if not self.can_restore or shape is None:
            raise Refused(f"{who} cannot take its input without the linked half: {why}")
        key = (model.path, ref.key)
        found = self.found.restored.setdefault(key, Restoration(model, [], reindex, shape, []))
        if ref not in found.refs:
            found.refs.append(ref)
            found.why.append(f"{who}: {why}")


def change_of(call: Call, inputs: Sequence[Input]) -> LayerChange:
    """Returns what a change of its inputs means for a call.

    Raises:
        Stuck: the call needs the old form of its inputs.
    """
    if call.layer.kind in TENSORFLOW:
        return operation_change(call.layer.config, call.arguments, inputs)
    if call.layer.kind == OPERATION:
        return keras_operation_change(call.layer.entry, inputs)
    return layer_change(call.layer.kind, call.layer.config, inputs)


def _alike(one: LayerChange, other: LayerChange) -> bool:
    return (
        one.output == other.output
        and one.settings == other.settings
        and len(one.edits) == len(other.edits)
        and all(
            (a.name, a.axis, a.fill, a.part) == (b.name, b.axis, b.fill, b.part)
            and len(a.source) == len(b.source)
            and bool((a.source == b.source).all())
            for a, b in zip(one.edits, other.edits, strict=True)
        )
    )


def _channels(call: Call, before: Sequence[int | None], shape: PartialShape | None) -> int | None:
    """Returns the axis of the channels in a layer's output; None where the shape of the output is not known."""
    if shape is None:
        return None
    config = call.layer.acting.config
    entry = entry_of(call.layer.acting.kind or "")
    if call.layer.kind == "TimeDistributed":
        return 2 if config.get("data_format") == "channels_first" and len(shape) > 3 else len(shape) - 1
    treatment = entry.channels if entry is not None else ""
    if treatment == "batch normalization":
        axis = config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and axis else axis
        return axis % len(shape) if type(axis) is int else None
    if treatment in ("linked", "linked slopes"):
        return int(config.get("axis", -1)) % len(shape)
    if "data_format" in config and treatment != "flatten":
        return 1 if config["data_format"] == "channels_first" else len(shape) - 1
    known = next((axis for axis in before if axis is not None), None)
    dims = config.get("dims")
    if treatment == "permute" and known and isinstance(dims, list) and known in dims:
        return dims.index(known) + 1
    passes_on = call.layer.model is not None or (entry is not None and entry.keeps_axes)
    return known if passes_on and known is not None and known < len(shape) else len(shape) - 1
