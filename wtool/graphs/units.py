"""Which layers make channels: how many, where the channels stand in the outputs, and along which axes of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.graphs.equations import equation_of
from wtool.graphs.layer_changes import (
    COPY,
    AxisEdit,
    Case,
    Stuck,
    has_a_group_for_each_channel,
    mixing,
    refuse_own_numbers,
    refuse_quantised,
)
from wtool.graphs.reindex import unchanged
from wtool.schema.graph import Layer
from wtool.schema.layers import PartialShape, channel_axis, class_of, entry_of
from wtool.values import dataclass

Rule = Callable[[str, dict[str, Any], PartialShape], "list[Units]"]
"""From the class, the settings and the shape of the first input of a layer to the channels that the layer makes."""

GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
"""Recurrent layer -> how many columns of its kernels each unit has: one in each gate's block."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A setting that says how many channels there are.

    Attributes:
        config: the settings of the layer, or of the layer inside.
        name: of the setting.
        index: of the number in a list; None where the setting is the number.
    """

    config: dict[str, Any]
    name: str
    index: int | None = None

    def put(self, count: int) -> None:
        """Write another number into the configuration."""
        told = self.config.get(self.name)
        if self.index is None:
            self.config[self.name] = count
        elif isinstance(told, list):
            told[self.index] = count
        else:
            self.config[self.name] = [count]


@dataclass(frozen=True, eq=False)
class Units:
    """Channels that a layer makes.

    Attributes:
        size: how many.
        outputs: where they stand: number of the output of the layer's call, and axis with the batch.
        makes: axes of weights whose positions calculate them; `source` has the channel of each position. Axes may be
            counted from the end.
        takes: axes of the layer's own weights whose positions multiply them.
        settings: that say how many there are.
        what: which channels, where the layer makes several kinds; empty for its outputs.
        bound: why they must stay; None if they need not.
        mixes: how the layer works on them together; None where it does not.
    """

    size: int
    outputs: tuple[tuple[int, int], ...]
    makes: tuple[AxisEdit, ...]
    takes: tuple[AxisEdit, ...] = ()
    settings: tuple[Setting, ...] = ()
    what: str = ""
    bound: str | None = None
    mixes: str | None = None


def along_outputs(made: Iterable[tuple[Units, Array]]) -> dict[tuple[int, int], Array]:
    """Returns what stands along the axes of a call's outputs: number of the output and axis -> one entry a position.

    Args:
        made: channels that the layer makes, and something of each of them, shape (channels,). Those that stand at one
            place follow each other, as both directions of a Bidirectional do.
    """
    parts: dict[tuple[int, int], list[Array]] = {}
    for units, own in made:
        for place in units.outputs:
            parts.setdefault(place, []).append(own)
    return {place: np.concatenate(several) for place, several in parts.items()}


def units_of(layer: Layer, inputs: Sequence[PartialShape | None], reorder: bool) -> list[Units]:
    """Returns the channels that a layer makes; none for layers that hand on those of their inputs, or are not known.

    A single channel is none: it can neither go nor change its place.

    Args:
        layer: of a graph.
        inputs: the shapes of what a call of it takes, with the batch.
        reorder: whether channels are only put in another order, and not taken out.
    """
    shape = inputs[0] if inputs else None
    entry = entry_of(layer.kind) if layer.kind is not None else None
    if entry is None or shape is None:
        return []
    if entry.channels == "each step":
        return _at_each_step(layer, shape, reorder)
    if entry.channels == "both ways":
        return _both_ways(layer, len(shape), reorder)
    name = entry.name.removeprefix("wtool>AutoRot")
    config = layer.config
    rule = _RULES.get("embedding" if name == "Embedding" else entry.channels)
    if rule is None or (entry.channels == "convolution" and has_a_group_for_each_channel(config, shape)):
        return []
    try:
        found = rule(name, config, shape)
        if entry.ends_in_activation or entry.channels.endswith("recurrent"):
            mixes = _mixing(config)
            found = [replace(each, mixes=mixes) if each.outputs[0][0] == 0 else each for each in found]
        refuse_own_numbers(config)
        if config.get("groups", 1) != 1:
            raise Stuck("its channels are in groups")
        refuse_quantised(Case(entry.channels, config, (), unchanged(0, 1), shape))
    except Stuck as stuck:
        found = [replace(each, bound=str(stuck)) for each in rule(name, config, shape)]
    return [each for each in found if each.size > 1]


def _mixing(config: Mapping[str, Any]) -> str | None:
    """How the functions of a layer work on its channels together."""
    gates = {"activation": config.get("recurrent_activation")}
    return mixing(config) or mixing(gates)


def _size(config: Mapping[str, Any], name: str) -> int:
    size = config.get(name)
    return size if type(size) is int and size > 0 else 0


def _kernel(setting: str, kernel: str, at: int, channel: Callable[[Mapping[str, Any], int], int]) -> Rule:
    """A rule for layers with one kernel: its axis of outputs, and the axis of the output's channels."""

    def rule(_: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
        size = _size(config, setting)
        positions = unchanged(0, size).source
        makes = [AxisEdit(kernel, at, positions, COPY), AxisEdit("bias", 0, positions, COPY)]
        if config.get("lora_rank"):
            makes.append(AxisEdit("lora_kernel_b", -1, positions, COPY))
        axis = channel(config, len(shape))
        return [Units(size, ((0, axis),), tuple(makes), settings=(Setting(config, setting),))]

    return rule


def _last(_: Mapping[str, Any], rank: int) -> int:
    return rank - 1


def _embedding(_: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
    size = _size(config, "output_dim")
    positions = unchanged(0, size).source
    names = ("embeddings", "lora_embeddings_b") if config.get("lora_rank") else ("embeddings",)
    makes = tuple(AxisEdit(name, 1, positions, COPY) for name in names)
    return [Units(size, ((0, len(shape)),), makes, settings=(Setting(config, "output_dim"),))]


def _einsum(_: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
    equation, told = equation_of(config), config.get("output_shape")
    sizes = told if isinstance(told, list) else [told]
    if equation is None or len(equation.made) != len(sizes) + 1 or config.get("lora_rank"):
        return []
    taken, kernel, made = equation.taken, equation.kernel, equation.made
    if "." in taken + kernel + made:
        return []
    biased = [letter for letter in made if letter in str(config.get("bias_axes") or "")]
    found = []
    for axis, letter in enumerate(made):
        size = sizes[axis - 1]
        if letter in taken or letter not in kernel or type(size) is not int:
            continue
        positions = unchanged(0, size).source
        makes = [AxisEdit("kernel", kernel.index(letter), positions, COPY)]
        if letter in biased:  # axes of length 1 stand for the letters behind the first one that have no bias
            makes.append(AxisEdit("bias", axis - made.index(biased[0]), positions, COPY))
        setting = Setting(config, "output_shape", axis - 1 if isinstance(told, list) else None)
        found.append(Units(size, ((0, axis),), tuple(makes), settings=(setting,), what=letter))
    return [replace(each, what="") for each in found] if len(found) == 1 else found


def _recurrent(name: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
    """A recurrent layer: a unit has a column in each gate's block, and a row of the recurrent kernel."""
    size = _size(config, "units")
    if name not in GATES or "inner_activation" in config or "consume_less" in config or len(shape) != 3:
        return []
    columns = np.tile(unchanged(0, size).source, GATES[name])
    makes = tuple(AxisEdit(each, -1, columns, COPY) for each in ("kernel", "recurrent_kernel", "bias"))
    takes = (AxisEdit("recurrent_kernel", 0, columns[:size], COPY),)
    sequences = bool(config.get("return_sequences"))
    states = ((1, 1), (2, 1)) if name == "LSTM" else ((1, 1),)
    outputs = ((0, 2 if sequences else 1), *(states if config.get("return_state") else ()))
    return [Units(size, outputs, makes, takes, (Setting(config, "units"),))]


def _convolving(_: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
    size = _size(config, "filters")
    columns = np.tile(unchanged(0, size).source, 4)
    makes = tuple(AxisEdit(each, -1, columns, COPY) for each in ("kernel", "recurrent_kernel", "bias"))
    takes = (AxisEdit("recurrent_kernel", -2, columns[:size], COPY),)
    rank = len(shape) - (0 if config.get("return_sequences") else 1)
    first = 2 if config.get("return_sequences") else 1
    axis = first if config.get("data_format") == "channels_first" else rank - 1
    inner = 1 if config.get("data_format") == "channels_first" else len(shape) - 2
    states = ((1, inner), (2, inner)) if config.get("return_state") else ()
    return [Units(size, ((0, axis), *states), makes, takes, (Setting(config, "filters"),))]


def _attention(name: str, config: dict[str, Any], shape: PartialShape) -> list[Units]:
    """Attention: its outputs, and the heads, which stand in no output but that of the scores."""
    told, rank = config.get("output_shape"), len(shape)
    if isinstance(told, list):
        told = told[0] if len(told) == 1 else 0
    size = told if type(told) is int else shape[-1] if told is None else 0
    if name != "MultiHeadAttention":
        return []
    positions, heads = unchanged(0, size or 0).source, unchanged(0, _size(config, "num_heads")).source
    out = tuple(AxisEdit(each, -1, positions, COPY, "attention_output") for each in ("kernel", "bias"))
    setting = Setting(config, "output_shape", 0)
    projections = [part for part in ("query", "key", "value", "gate") if part != "gate" or config.get("use_gate")]
    makes = tuple(
        AxisEdit(role, axis, heads, COPY, part) for part in projections for role, axis in (("kernel", -2), ("bias", 0))
    )
    takes = (AxisEdit("kernel", 0, heads, COPY, "attention_output"),)
    return [
        Units(len(positions), ((0, rank - 1),), out, settings=(setting,)),
        Units(len(heads), ((1, 1),), makes, takes, (Setting(config, "num_heads"),), "heads"),
    ]


def _at_each_step(layer: Layer, shape: PartialShape, reorder: bool) -> list[Units]:
    """TimeDistributed: the channels of the layer inside, one axis further behind."""
    inside = layer.config.get("layer")
    if not isinstance(inside, dict) or not isinstance(inside.get("config"), dict) or len(shape) < 2:
        return []
    inner = Layer(inside, layer.path, class_of(inside))
    found = units_of(inner, [(shape[0], *shape[2:])], reorder)
    return [replace(each, outputs=tuple((n, axis + 1) for n, axis in each.outputs)) for each in found]


def _both_ways(layer: Layer, rank: int, reorder: bool) -> list[Units]:
    """Bidirectional: the units of both directions, which Keras makes as many of.

    Taken out of one direction, a unit is taken out of the other; only to be put in another order, each has its own.
    """
    entries = [layer.config.get(name) for name in ("layer", "backward_layer")]
    forward = entries[0]
    if not isinstance(forward, dict) or not isinstance(forward.get("config"), dict):
        return []
    kind = class_of(forward)
    entry = entry_of(kind) if kind is not None else None
    if entry is None or entry.channels != "recurrent" or not entry.parts:
        return []
    name = entry.name.removeprefix("wtool>AutoRot")
    (both,) = _recurrent(name, forward["config"], (None,) * rank) or (None,)
    if both is None or both.size < 1 or _unlike(forward, entries[1]):
        return []
    try:
        mixes, bound = _mixing(forward["config"]), None
    except Stuck as stuck:
        mixes, bound = None, str(stuck)
    settings = tuple(Setting(each["config"], "units") for each in entries if isinstance(each, dict))
    joint = replace(both, settings=settings, mixes=mixes, bound=bound)
    return _directions(layer.config, joint, forward["config"], reorder)


def _unlike(forward: Mapping[str, Any], backward: Any) -> bool:
    """Whether the backward layer is of another class, or has another number of units."""
    if not isinstance(backward, Mapping) or not isinstance(backward.get("config"), Mapping):
        return backward is not None
    return class_of(forward) != class_of(backward) or forward["config"]["units"] != backward["config"].get("units")


def _directions(config: Mapping[str, Any], joint: Units, inner: Mapping[str, Any], reorder: bool) -> list[Units]:
    (_, axis), *states = joint.outputs
    mode, count = config.get("merge_mode", "concat"), len(states)
    first = 2 if mode is None else 1  # the first output that is a state
    all_states = tuple((first + number, 1) for number in range(2 * count))
    if mode not in ("concat", None):  # the directions are added up, unit by unit
        return [replace(joint, outputs=((0, axis), *all_states))]
    places = ((0, axis), (0, axis)) if mode == "concat" else ((0, axis), (1, axis))
    if not reorder:
        return [replace(joint, outputs=(*places, *all_states))]
    name = str(inner.get("name", "")).removeprefix("forward_")
    found = []
    for number, direction in enumerate(("forward", "backward")):
        makes, takes = (
            tuple(replace(each, part=f"{direction}_{name}") for each in edits) for edits in (joint.makes, joint.takes)
        )
        at = (places[number], *all_states[number * count : (number + 1) * count])
        found.append(replace(joint, outputs=at, makes=makes, takes=takes, what=direction))
    return found


_RULES: dict[str, Rule] = {
    "dense": _kernel("units", "kernel", -1, _last),
    "convolution": _kernel("filters", "kernel", -1, channel_axis),
    "transposed convolution": _kernel("filters", "kernel", -2, channel_axis),
    "separable": _kernel("filters", "pointwise_kernel", -1, channel_axis),
    "embedding": _embedding,
    "einsum": _einsum,
    "recurrent": _recurrent,
    "convolving recurrent": _convolving,
    "attention": _attention,
}
"""How a layer treats channels, as the table of layers names it -> the channels that it makes."""
