"""From the layers that change to all that follow: how every tensor of a graph changes, and what that means for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from wtool.errors import Refused, in_short
from wtool.graphs.layer_changes import Input, Stuck, Taken
from wtool.graphs.layer_rules import take
from wtool.graphs.propagate_operations import take_operation
from wtool.graphs.reindex import Reindex, unchanged
from wtool.schema.graph import Call, Layer, Model
from wtool.schema.inbound_nodes import Key, Ref
from wtool.schema.layers import PartialShape, entry_of
from wtool.schema.operations import TENSORFLOW
from wtool.schema.shapes import Shapes, shapes_of

Behind = Callable[[Reindex], Reindex]
"""What a layer that changes makes of its output's positions."""


@dataclass(eq=False)
class Bring:
    """Where a tensor's old form has to be brought back.

    Attributes:
        model: whose tensor it is.
        refs: who takes it.
        reindex: how it has changed.
        shape: as it was.
        why: by which layer, and the reason.
    """

    model: Model
    refs: list[Ref]
    reindex: Reindex
    shape: PartialShape
    why: list[str]


@dataclass(eq=False)
class Spread:
    """What changes in a graph.

    Attributes:
        taken: layer path -> what its inputs and it mean for it.
        layers: layer path -> layer, for all in `taken`.
        changed: each place where a changed tensor is taken as it is, with its old shape.
        brought: where the old form is brought back.
        axes: path of each layer that changes -> the axis of its channels; -1 where that is the last.
        before: path of each layer that changes -> the shape that its output would have without its own change.
        entered: model inside the model, one of its inputs, and how that has changed.
        inputs: layer path -> new shapes of its inputs, for layers in `taken` whose shapes are known.
    """

    taken: dict[str, Taken] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    changed: list[tuple[Ref, Reindex, PartialShape]] = field(default_factory=list)
    brought: dict[tuple[str, Key], Bring] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    before: dict[str, PartialShape] = field(default_factory=dict)
    entered: list[tuple[Model, Key, Reindex]] = field(default_factory=list)
    inputs: dict[str, list[PartialShape | None]] = field(default_factory=dict)


class _Differs(Exception):
    """A layer is called with inputs that have changed in different ways."""


def spread(model: Model, behind: Mapping[str, Behind], can_bring: bool) -> Spread:
    """Follow the changes of some layers through a graph.

    Args:
        model: the outermost one.
        behind: path of each layer that changes -> what it does to its output.
        can_bring: whether a projection may bring old forms back; otherwise whoever needs one is refused.

    Raises:
        Refused: a shape is not known, or a layer cannot go on.
    """
    alone: set[str] = set()
    while True:
        walk = _Walk(behind, can_bring, frozenset(alone))
        try:
            outputs = walk.model(model, [None] * len(model.inputs), None, shapes_of(model))
        except _Differs as error:
            if str(error) in alone:
                raise Refused(f"layer {error} is called with inputs that contradict each other") from None
            alone.add(str(error))
            continue
        for ref, (reindex, shape) in zip(model.outputs, outputs, strict=True):
            if reindex is not None:
                walk.bring(model, ref, reindex, shape, "the model", "it is its output")
        return walk.found


State = tuple["Reindex | None", "PartialShape | None"]


class _Walk:
    def __init__(self, behind: Mapping[str, Behind], can_bring: bool, alone: frozenset[str]) -> None:
        self.behind = behind
        self.can_bring = can_bring
        self.alone = alone
        self.found = Spread()
        self._given: dict[str, list[Reindex | None]] = {}

    def model(
        self, model: Model, given: Sequence[Reindex | None], axes: Sequence[int | None] | None, shapes: Shapes
    ) -> list[State]:
        """Follow changes through a model; gives those of its outputs."""
        at: dict[Key, Reindex | None] = dict(zip(model.inputs, given, strict=False))
        channels: dict[Key, int] = {}
        for key, axis in zip(model.inputs, axes or (), strict=False):
            if axis is not None:
                channels[key] = axis
        for call in model.calls:
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
            self._bring_all(model, call, inputs, "it is called with others, too")
            inputs, changed = [Input(each.word, None, each.shape) for each in inputs], False
        if call.layer.model is not None:
            return self._inside(call, inputs, axis)
        taken = Taken(None)
        if changed:
            try:
                taken = _taken(call, inputs)
                if path in self.behind and taken.output is not None and taken.output.axis != axis:
                    raise Stuck("it is linked along another axis")
            except Stuck as stuck:
                self._bring_all(model, call, inputs, str(stuck))
                inputs = [Input(each.word, None, each.shape) for each in inputs]
        self._note(call, inputs, taken)
        if path not in self.behind:
            return [taken.output]
        shape = shapes.get(call.key)
        if shape is None or axis is None or shape[axis] is None:
            raise Refused(f"the shape of the output of {call.layer.shown} is not known; leave it out with --layers")
        before = taken.output or unchanged(axis, int(shape[axis] or 0))
        self.found.axes[path] = -1 if axis == len(shape) - 1 else axis
        self.found.before[path] = before.shape(shape)
        return [self.behind[path](before)]

    def _note(self, call: Call, inputs: list[Input], taken: Taken) -> None:
        """Keep what a layer's inputs mean for it; for a layer that is called again it must be the same."""
        path = call.layer.path
        known = self.found.taken.get(path)
        if known is not None and not _alike(known, taken):
            raise _Differs(path)
        if known is None:
            self.found.taken[path] = taken
            self._keep(call, inputs)
        self._mark(call, inputs)

    def _keep(self, call: Call, inputs: list[Input]) -> None:
        """A layer, and the new shapes of what it takes."""
        self.found.layers[call.layer.path] = call.layer
        self.found.inputs[call.layer.path] = [
            each.shape if each.reindex is None or each.shape is None else each.reindex.shape(each.shape)
            for each in inputs
        ]

    def _mark(self, call: Call, inputs: list[Input]) -> None:
        """The places where a call takes changed tensors as they are."""
        for ref, each in zip(call.inputs, inputs, strict=True):
            if each.reindex is not None and each.shape is not None:
                self.found.changed.append((ref, each.reindex, each.shape))

    def _inside(self, call: Call, inputs: list[Input], axis: int | None) -> list[Reindex | None]:
        """A model inside the model."""
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

    def _bring_all(self, model: Model, call: Call, inputs: list[Input], why: str) -> None:
        for ref, each in zip(call.inputs, inputs, strict=True):
            if each.reindex is not None:
                self.bring(model, ref, each.reindex, each.shape, call.layer.shown, why)

    def bring(self, model: Model, ref: Ref, reindex: Reindex, shape: PartialShape | None, who: str, why: str) -> None:
        """Have the old form of a tensor brought back for one who takes it."""
        if not self.can_bring or shape is None:
            raise Refused(f"{who} cannot take its input without the linked half: {why}")
        key = (model.path, ref.key)
        found = self.found.brought.setdefault(key, Bring(model, [], reindex, shape, []))
        if ref not in found.refs:
            found.refs.append(ref)
            found.why.append(f"{who}: {why}")


def _taken(call: Call, inputs: list[Input]) -> Taken:
    if call.layer.kind in TENSORFLOW:
        return take_operation(call.layer.config, call.arguments, inputs)
    return take(call.layer.kind, call.layer.config, inputs)


def _alike(one: Taken, other: Taken) -> bool:
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
    """The axis of the channels in what a layer gives."""
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
