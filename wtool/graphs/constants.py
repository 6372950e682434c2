"""Channels that always have the same value, whatever goes into the model: which they are, and the value.

A channel is constant where the weights that calculate it are zero. It stays constant, with another value, through
activations, normalisation with moving statistics, pooling and sums; the rules for changes say where it stands then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import partial

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array, is_floating
from wtool.graphs.behind import normalization_behind, users_of
from wtool.graphs.constant_values import alike, behind_layer, combined, pads_nothing
from wtool.graphs.kernel_outputs import adds_up, is_of_outputs, outputs_of
from wtool.graphs.kernel_sums import touched, weighted
from wtool.graphs.labelling import states_of
from wtool.graphs.labels import Carried
from wtool.graphs.layer_changes import INPUT, AxisEdit, Input, LayerChange, Stuck
from wtool.graphs.propagate import change_of
from wtool.graphs.reindex import Reindex
from wtool.graphs.units import GATES, Units, along_outputs, units_of
from wtool.graphs.values import is_meant, weights_by_layer
from wtool.schema.graph import Call, Layer, Model
from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import LayerClass, PartialShape, entry_of
from wtool.schema.layers.activations import activation_name
from wtool.schema.shapes import Shapes, shapes_of
from wtool.transforms.activations import activated
from wtool.values import dataclass


@dataclass(frozen=True, eq=False)
class Constants(Carried):
    """The values of the channels along one axis of a tensor; NaN where a channel is not constant."""

    def agrees(self, other: Reindex | None) -> bool:
        """Values need not agree with those of a tensor that is added."""
        return True

    def unmoved(self, size: int) -> Reindex:
        """Returns channels of which nothing is known."""
        return replace(self, source=np.full(size, np.nan), size=size)

    def through_linked(self) -> Reindex:
        """Returns the values behind a linked activation of wtool: all of its functions are zero at zero."""
        zeros = np.where(self.source == 0, 0.0, np.nan)
        return replace(self, source=np.concatenate([zeros, zeros]), size=2 * self.size)


State = Mapping[int, Constants]


@dataclass(eq=False)
class Found:
    """What is constant in a model.

    Attributes:
        reads: path of a weight and axis of its inputs -> the values that go into it, as far as they could be added to
            a bias instead; NaN for others. Shape (inputs,).
        calls: path of a layer -> how often the layer is called.
        behind: path of a layer -> that of the batch normalisation which alone takes its output.
    """

    reads: dict[tuple[str, int], Array] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)


def constants_of(base: Checkpoint, model: Model) -> Found:
    """Returns what is constant in a model.

    Args:
        base: has the weights.
        model: the graph of its configuration.
    """
    walk = _Walk(base)
    walk.model(model, [{} for _ in model.inputs], shapes_of(model))
    return walk.found


class _Walk:
    def __init__(self, base: Checkpoint) -> None:
        self.found = Found()
        self._base = base
        self._owned = weights_by_layer(base)

    def model(self, model: Model, given: Sequence[State], shapes: Shapes) -> list[State]:
        """Follow constants through a model. Returns those of its outputs."""
        at: dict[Key, State] = dict(zip(model.inputs, given, strict=False))
        users = users_of(model)
        for call in model.calls:
            states = [at.get(ref.key, {}) for ref in call.inputs]
            outside = [shapes.get(ref.key) for ref in call.inputs]
            path = call.layer.path
            self.found.calls[path] = self.found.calls.get(path, 0) + 1
            if call.layer.model is not None:
                outputs = self.model(call.layer.model, states, shapes_of(call.layer.model, outside))
            else:
                outputs = self._call(call, states, outside)
                behind = normalization_behind(call, users.get(call.key, ()), shapes.get(call.key), outside)
                if behind is not None:
                    self.found.behind[path] = behind
            for number, state in enumerate(outputs):
                at[(call.layer.name, call.number, number)] = state
        return [at.get(ref.key, {}) for ref in model.outputs]

    def _call(self, call: Call, states: Sequence[State], shapes: Sequence[PartialShape | None]) -> list[State]:
        outputs: dict[int, dict[int, Constants]] = {}
        reads: dict[str, tuple[int, Array]] = {}
        for axis in sorted({axis for state in states for axis in state}):
            change = self._followed(call, states, shapes, axis, reads)
            if change.output is not None:
                outputs.setdefault(0, {})[change.output.axis] = self._behind(call, states, shapes, axis, change)
        made = [(units, self._made(call, units, reads)) for units in units_of(call.layer, shapes, reorder=False)]
        for (number, axis), whole in along_outputs(made).items():
            outputs.setdefault(number, {})[axis] = Constants(axis, whole, len(whole))
        return [outputs.get(number, {}) for number in range(max(outputs, default=-1) + 1)]

    def _followed(
        self,
        call: Call,
        states: Sequence[State],
        shapes: Sequence[PartialShape | None],
        axis: int,
        reads: dict[str, tuple[int, Array]],
    ) -> LayerChange:
        """Where the constants along one axis of the inputs stand in the output; notes which ones weights read."""
        inputs = [
            Input(ref.word, state.get(axis), shape)
            for ref, state, shape in zip(call.inputs, states, shapes, strict=True)
        ]
        for number in states_of(call):
            inputs[number] = replace(inputs[number], reindex=None)
        if all(each.reindex is None for each in inputs):
            return LayerChange(None)
        try:
            change = change_of(call, inputs)
        except Stuck:
            return LayerChange(None)
        for edit in change.edits:
            for tensor in self._owned.get(call.layer.path, ()):
                if edit.fill == INPUT and is_meant(tensor, call.layer.path, edit):
                    reads[tensor.path] = edit.axis, self._read(call, edit, tensor)
        return change

    def _read(self, call: Call, edit: AxisEdit, tensor: Tensor) -> Array:
        """Note which constants a weight reads. Returns those that add the same everywhere."""
        acting = call.layer.acting
        entry = entry_of(acting.kind or "")
        channels = "" if entry is None else entry.channels
        values = self._separated(call, edit) if channels == "separable" else edit.source
        if (acting.kind or "").startswith("wtool>AutoRot"):  # the rotation depends on all weights
            values = np.full(values.shape, np.nan)
        elif not pads_nothing(channels, acting.config) or adds_up(acting):
            values = np.where(values == 0, values, np.nan)
        self._note(tensor, edit.axis, values)
        return values

    def _note(self, tensor: Tensor, axis: int, values: Array) -> None:
        """Note what goes into a weight; of several calls, what goes into the weight in all of them."""
        known = self.found.reads.setdefault((tensor.path, axis), values)
        self.found.reads[tensor.path, axis] = np.where(known == values, values, np.nan)

    def _separated(self, call: Call, edit: AxisEdit) -> Array:
        """The constants between the two kernels of a separable convolution."""
        kernel = self._weight(call.layer, "depthwise_kernel")
        if kernel is None:
            return np.full(edit.source.shape, np.nan)
        sums = kernel.sum(axis=tuple(range(kernel.ndim - 2))).reshape(-1)
        return np.asarray(edit.source * sums)

    def _behind(
        self,
        call: Call,
        states: Sequence[State],
        shapes: Sequence[PartialShape | None],
        axis: int,
        change: LayerChange,
    ) -> Constants:
        """The constants of the output of a layer that hands on the channels of its inputs."""
        output = change.output
        assert isinstance(output, Constants)
        acting = call.layer.acting
        entry = entry_of(acting.kind or "")
        if entry is None or change.mixes is not None:
            return replace(output, source=np.full(output.size, np.nan))
        if entry.channels == "merge":
            several = [state[axis].source if axis in state else np.array([np.nan]) for state in states]
            return replace(output, source=combined(entry.name, np.broadcast_arrays(*several)))
        if entry.channels == "concatenate":
            if int(acting.config.get("axis", -1)) % len(shapes[0] or ()) == axis:
                return output
            several = [state[axis].source if axis in state else np.full(output.size, np.nan) for state in states]
            return replace(output, source=alike(several))
        read = partial(self._weight, call.layer)
        if entry.channels in ("depthwise", "convolution"):  # a convolution hands on what it takes one by one
            return replace(output, source=self._depthwise(acting, output.source, read("bias"), call.layer))
        made = behind_layer(entry.name, entry.channels, acting.config, output.source, axis, read)
        return replace(output, source=made)

    def _depthwise(self, acting: Layer, values: Array, bias: Array | None, layer: Layer) -> Array:
        kernel = self._weight(layer, "kernel")
        kernel = self._weight(layer, "depthwise_kernel") if kernel is None else kernel
        if kernel is None or (acting.kind or "").startswith("wtool>"):
            return np.full(values.shape, np.nan)
        window = tuple(range(kernel.ndim - 2))
        known = values if pads_nothing("depthwise", acting.config) else np.where(values == 0, values, np.nan)
        known = np.where((kernel != 0).any(axis=window).reshape(-1), known, 0.0)
        made = known * kernel.sum(axis=window).reshape(-1) + (0 if bias is None else bias)
        return activated(activation_name(acting.config.get("activation")), np.asarray(made))

    def _weight(self, layer: Layer, role: str) -> Array | None:
        found = [tensor for tensor in self._owned.get(layer.path, ()) if tensor.role == role]
        return self._base.read(found[0]).astype(np.float64) if found else None

    def _made(self, call: Call, units: Units, reads: Mapping[str, tuple[int, Array]]) -> Array:
        """The constants among the channels that a layer makes; NaN for those that are none."""
        acting = call.layer.acting
        entry = entry_of(acting.kind or "")
        unknown = np.full(units.size, np.nan)
        own = (acting.kind or "").startswith("wtool>")
        if entry is None or own or units.outputs[0][0] != 0 or acting.config.get("lora_rank"):
            return unknown
        if entry.channels == "recurrent" and not states_of(call) and not acting.config.get("stateful"):
            resting = self._resting(call.layer, entry, units, reads)
            for tensor in self._owned.get(call.layer.path, ()):
                if tensor.role == "recurrent_kernel":
                    self._note(tensor, 0, resting)
            return resting
        if entry.name == "Embedding":
            table = self._weight(call.layer, "embeddings")
            same = None if table is None else (table == table[:1]).all(axis=0)
            return unknown if table is None or same is None else np.where(same, table[0], np.nan)
        if entry.channels not in ("dense", "convolution", "transposed convolution", "separable", "einsum", "attention"):
            return unknown
        made = self._calculated(call.layer, units, reads)
        return unknown if made is None else activated(activation_name(acting.config.get("activation")), made)

    def _calculated(self, layer: Layer, units: Units, reads: Mapping[str, tuple[int, Array]]) -> Array | None:
        """The constant sums of inputs times weights, with the bias; None where the weights are not as usual."""
        edit = units.makes[0]
        kernels = [each for each in self._owned.get(layer.path, ()) if is_meant(each, layer.path, edit)]
        if len(kernels) != 1 or not is_floating(kernels[0].dtype):
            return None
        (kernel,) = kernels
        own = edit.axis % len(kernel.shape)
        outs = outputs_of(layer, kernel)
        inputs = [axis for axis in range(len(kernel.shape)) if axis not in outs]
        if own not in outs or not inputs:
            return None
        axis, values = reads.get(kernel.path, (inputs[-1], np.full(kernel.shape[inputs[-1]], np.nan)))
        needed = np.isnan(values)
        sums = weighted(self._base, kernel, axis, outs, np.where(needed, 0.0, values))
        made = np.where(touched(self._base, kernel, axis, outs, needed), np.nan, sums)
        made = made.reshape([kernel.shape[out] for out in outs])
        bias = [each for each in self._owned[layer.path] if each.layer == kernel.layer and each.role == "bias"]
        if bias:
            if not is_of_outputs(layer, outs, len(bias[0].shape)):
                return None
            made = made + self._base.read(bias[0]).astype(np.float64)
        others = tuple(number for number, out in enumerate(outs) if out != own)
        low, high = made.min(axis=others), made.max(axis=others)
        return np.where(low == high, low, np.nan)

    def _resting(self, layer: Layer, entry: LayerClass, units: Units, reads: Mapping[str, tuple[int, Array]]) -> Array:
        """Zero for units of a recurrent layer that nothing moves: all weights of what they would become are zero."""
        name, config = entry.name, layer.acting.config
        at_zero = activated(activation_name(config.get("activation", "tanh")), np.zeros(1))
        if at_zero[0] != 0:
            return np.full(units.size, np.nan)
        moved = np.zeros(units.size, bool)
        for tensor in self._owned.get(layer.path, ()):
            if tensor.role not in ("kernel", "recurrent_kernel", "bias"):
                continue
            columns = tensor.shape[-1]
            axis, values = reads.get(tensor.path, (0, np.full(tensor.shape[0], np.nan)))
            if tensor.role == "bias":
                used = (self._base.read(tensor).reshape(-1, columns) != 0).any(axis=0)
            else:
                used = touched(self._base, tensor, axis, [1], values != 0)
            gates = used.reshape(GATES[name], units.size)
            moved |= gates[GATES[name] - 1 if name == "GRU" else GATES[name] // 2]
        return np.where(moved, np.nan, 0.0)
