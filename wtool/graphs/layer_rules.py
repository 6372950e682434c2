"""How layers take inputs whose channels stand elsewhere: what becomes of their weights, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wtool.dtypes import Array
from wtool.graphs.reindex import Reindex, joined, reshaped, through_linked, unchanged
from wtool.schema.graph import OPERATION, Shape
from wtool.schema.keras_names import FUNCTIONS
from wtool.schema.layers import quantisation
from wtool.schema.shapes import ELEMENTWISE, MERGES, channel_axis
from wtool.schema.shapes import reshaped as reshaped_shape

ACROSS = frozenset(("softmax", "log_softmax", "sparsemax", "glu"))
"""Activations that are not of each value alone."""

INPUT, COPY, ZERO, ONE = "input", "copy", "zero", "one"
"""What new positions of a weight get: what the user chose for inputs; their counterpart's value; a number."""


class Stuck(Exception):
    """A layer cannot take its inputs in this form; the text says why."""


@dataclass(frozen=True, eq=False)
class AxisEdit:
    """New positions along an axis of a weight.

    Attributes:
        name: of the variable, which is also its role.
        axis: of the weight.
        source: as in `Reindex`.
        fill: what new positions get.
        part: name of the layer inside that holds it; None for the layer itself and everything inside it.
    """

    name: str
    axis: int
    source: Array
    fill: str
    part: str | None = None


@dataclass(frozen=True, eq=False)
class Input:
    """One of the tensors that a layer takes.

    Attributes:
        word: position or name of the argument.
        reindex: how its positions have changed; None if they have not.
        shape: as it was.
    """

    word: int | str
    reindex: Reindex | None
    shape: Shape | None


@dataclass(frozen=True, eq=False)
class Taken:
    """What it means for a layer.

    Attributes:
        output: how its output's positions have changed.
        edits: of its weights.
        settings: that change in its configuration.
    """

    output: Reindex | None
    edits: tuple[AxisEdit, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Case:
    """A layer, as a rule sees it: `at` is how the one input that matters has changed."""

    kind: str
    config: Mapping[str, Any]
    inputs: Sequence[Input]
    at: Reindex
    shape: Shape

    @property
    def rank(self) -> int:
        """Dimensions of the input, with the batch."""
        return len(self.shape)

    @property
    def channel(self) -> int:
        """The axis of the input's channels."""
        return channel_axis(self.config, self.rank)

    def need_channels(self) -> None:
        """Refuse changes along other axes than the channels."""
        if self.at.axis != self.channel:
            raise Stuck("it works along the axis that was doubled")


def take(kind: str | None, config: Mapping[str, Any], inputs: Sequence[Input]) -> Taken:
    """How a layer takes its inputs, of which some have changed.

    Raises:
        Stuck: it cannot; the old form has to be brought back before it.
    """
    changed = [each for each in inputs if each.reindex is not None]
    if kind is None or kind == "Lambda":
        raise Stuck("what it does is in its author's code")
    if kind == OPERATION:
        raise Stuck("it is an operation, which may work on all channels together")
    plain = kind.removeprefix("wtool>AutoRot").removeprefix("wtool>")
    if plain in MERGES:
        return merge(inputs)
    if plain == "Concatenate":
        return concatenate(config, inputs)
    if plain in ("MultiHeadAttention", "GroupQueryAttention"):
        return _attention(plain, config, inputs)
    if len(changed) > 1 or changed[0] is not inputs[0]:
        raise Stuck("it takes several inputs")
    shape, reindex = changed[0].shape, changed[0].reindex
    if shape is None or reindex is None:
        raise Stuck("the shape of its input is not known")
    rule = _RULES.get(plain) or next((rule for start, rule in _FAMILIES if plain.startswith(start)), None)
    if rule is None:
        raise Stuck("it works on all channels together")
    return rule(Case(plain, config, inputs, reindex, shape))


def _refuse_quantised(case: Case) -> None:
    if quantisation(case.config) != (None,):
        raise Stuck("it is quantised")


def _dense(case: Case) -> Taken:
    _refuse_quantised(case)
    if case.at.axis != case.rank - 1:
        return Taken(case.at)
    names = ("kernel", "lora_kernel_a") if case.config.get("lora_rank") else ("kernel",)
    return Taken(None, tuple(AxisEdit(name, 0, case.at.source, INPUT) for name in names))


def _convolution(case: Case) -> Taken:
    _refuse_quantised(case)
    case.need_channels()
    if case.config.get("groups", 1) != 1:
        raise Stuck("its channels are in groups")
    names = ("kernel", "lora_kernel_a") if case.config.get("lora_rank") else ("kernel",)
    axis = case.rank - (1 if case.kind.endswith("Transpose") else 2)
    return Taken(None, tuple(AxisEdit(name, axis, case.at.source, INPUT) for name in names))


def _multiplied(case: Case) -> Reindex:
    """Every input channel has `depth_multiplier` output channels."""
    return case.at.blocks(1, int(case.config.get("depth_multiplier") or 1))


def _depthwise(case: Case) -> Taken:
    case.need_channels()
    _check_activation(case.config)
    many = _multiplied(case)
    names = ("kernel", "depthwise_kernel")
    edits = [AxisEdit(name, case.rank - 2, case.at.source, COPY) for name in names]
    return Taken(many, (*edits, AxisEdit("bias", 0, many.source, ZERO)))


def _separable(case: Case) -> Taken:
    case.need_channels()
    depthwise = AxisEdit("depthwise_kernel", case.rank - 2, case.at.source, COPY)
    return Taken(None, (depthwise, AxisEdit("pointwise_kernel", case.rank - 2, _multiplied(case).source, INPUT)))


def _einsum(case: Case) -> Taken:
    _refuse_quantised(case)
    equation = case.config.get("equation")
    parts = equation.replace("->", ",").replace(" ", "").split(",") if isinstance(equation, str) else []
    if len(parts) != 3 or len(parts[0].replace("...", "")) != (case.rank if "..." not in parts[0] else 0):
        raise Stuck(f"its equation is {equation!r:.40}")
    taken, kernel, made = parts
    letter = taken[case.at.axis]
    if letter in made and (letter in kernel or letter in str(case.config.get("bias_axes") or "")):
        raise Stuck("it has weights of their own for these channels")
    if letter in made:
        _check_activation(case.config)
        at, told = case.at.at(made.index(letter)), case.config.get("output_shape")
        sizes = told if isinstance(told, list) else [told]
        new = [len(at.source) if axis == at.axis and size else size for axis, size in enumerate(sizes, 1)]
        return Taken(at, settings={"output_shape": new})
    if letter not in kernel:
        raise Stuck("it adds these channels up")
    return Taken(None, (AxisEdit("kernel", kernel.index(letter), case.at.source, INPUT),))


_NORMALISING = {
    "gamma": ONE, "beta": ZERO, "moving_mean": ZERO, "moving_variance": ONE, "moving_stddev": ONE, "renorm_mean": ZERO,
    "renorm_stddev": ONE,
}  # fmt: skip


def _batch_norm(case: Case) -> Taken:
    axis = case.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or axis % case.rank != case.at.axis:
        raise Stuck("it works along the axis that was doubled")
    return Taken(case.at, tuple(AxisEdit(name, 0, case.at.source, fill) for name, fill in _NORMALISING.items()))


def _norm(case: Case) -> Taken:
    axes = case.config.get("axis", -1)
    axes = axes if isinstance(axes, list) else [axes]
    if any(type(axis) is not int or axis % case.rank == case.at.axis for axis in axes):
        raise Stuck("it works on all channels together")
    return Taken(case.at)


def _prelu(case: Case) -> Taken:
    if case.at.axis in (case.config.get("shared_axes") or ()):
        return Taken(case.at)
    return Taken(case.at, (AxisEdit("alpha", case.at.axis - 1, case.at.source, COPY),))


def _linked(case: Case) -> Taken:
    if int(case.config.get("axis", -1)) % case.rank != case.at.axis:
        raise Stuck("it links another axis")
    _check_activation(case.config)
    slopes: tuple[AxisEdit, ...] = ()
    if case.kind == "LKPReLU" and case.at.axis not in (case.config.get("shared_axes") or ()):
        slopes = tuple(AxisEdit(name, case.at.axis - 1, case.at.source, COPY) for name in ("alpha", "linked_alpha"))
    return Taken(through_linked(case.at), slopes)


def _check_activation(config: Mapping[str, Any]) -> None:
    """Refuse what mixes channels, or may."""
    name = config.get("activation")
    if isinstance(name, Mapping):
        name = name.get("class_name") if isinstance(name.get("config"), Mapping) else name.get("config")
    if name is not None and (name not in (*FUNCTIONS, "ReLU", "LeakyReLU", "ELU") or name in ACROSS):
        raise Stuck(f"{name!r:.40} may not work on each value alone")


def _activation(case: Case) -> Taken:
    _check_activation(case.config)
    return Taken(case.at)


def _each_value(case: Case) -> Taken:
    if case.config.get("noise_shape") is not None:
        raise Stuck("its noise has a shape of its own")
    return Taken(case.at)


def _rescaling(case: Case) -> Taken:
    if any(isinstance(case.config.get(name), (list, Mapping)) for name in ("scale", "offset")):
        raise Stuck("it has numbers of their own for the channels")
    return Taken(case.at)


def _spatial(case: Case) -> Taken:
    case.need_channels()
    return Taken(case.at)


def _global_pool(case: Case) -> Taken:
    case.need_channels()
    return Taken(case.at.at(case.at.axis if case.config.get("keepdims") or case.channel == 1 else 1))


def _flatten(case: Case) -> Taken:
    shape, at = case.shape, case.at
    if case.config.get("data_format") == "channels_first" and case.rank > 2:  # Keras puts the channels last, first
        shape = (shape[0], *shape[2:], shape[1])
        at = at.at(case.rank - 1 if at.axis == 1 else at.axis - 1)
    return Taken(_reshaped(at, shape, (-1,)))


def _reshape(case: Case) -> Taken:
    target = case.config.get("target_shape")
    if not isinstance(target, list):
        raise Stuck("it does not say to which shape")
    at = _reshaped(case.at, case.shape, tuple(target))
    sizes = [-1 if size == -1 else len(at.source) if axis == at.axis else size for axis, size in enumerate(target, 1)]
    return Taken(at, settings={"target_shape": sizes})


def _reshaped(at: Reindex, shape: Shape, target: Shape) -> Reindex:
    whole = reshaped_shape(shape, target)
    if whole is None or None in shape[1:] or None in whole[1:]:
        raise Stuck("the shape of its input is not known")
    found = reshaped(at, shape[1:], whole[1:])
    if found is None:
        raise Stuck("it spreads the channels over several axes")
    return found


def _permute(case: Case) -> Taken:
    dims = case.config.get("dims")
    if not isinstance(dims, list) or case.at.axis not in dims:
        raise Stuck("it does not say where the axes go")
    return Taken(case.at.at(dims.index(case.at.axis) + 1))


def _repeat(case: Case) -> Taken:
    return Taken(case.at.at(2))


def _recurrent(case: Case) -> Taken:
    if case.at.axis != 2:
        raise Stuck("it works along the axis that was doubled")
    return Taken(None, (AxisEdit("kernel", 0, case.at.source, INPUT),))


def _convolving_lstm(case: Case) -> Taken:
    case.need_channels()
    return Taken(None, (AxisEdit("kernel", case.rank - 3, case.at.source, INPUT),))


def _wrapped(case: Case) -> tuple[str, Mapping[str, Any]]:
    """What is inside a wrapper: class and settings."""
    entry = case.config.get("layer") or case.config.get("cell")
    name, config = (entry.get("class_name"), entry.get("config")) if isinstance(entry, Mapping) else (None, None)
    if not isinstance(name, str) or not isinstance(config, Mapping):
        raise Stuck("it does not say what is inside it")
    return name, config


def _both_ways(case: Case) -> Taken:
    name, config = _wrapped(case)
    if name.rpartition(">")[2].removeprefix("AutoRot") not in ("SimpleRNN", "LSTM", "GRU") or len(case.inputs) > 1:
        raise Stuck(f"it runs a {name} both ways")
    return _recurrent(Case(name, config, case.inputs, case.at, case.shape))


def _own_cell(case: Case) -> Taken:
    name, _ = _wrapped(case)
    if name.rpartition(">")[2].removeprefix("AutoRot") not in ("SimpleRNNCell", "LSTMCell", "GRUCell"):
        raise Stuck(f"it runs a {name}")
    return _recurrent(case)


def _each_step(case: Case) -> Taken:
    """TimeDistributed: the same for every step, of one dimension less."""
    name, config = _wrapped(case)
    if case.at.axis < 2 or "layers" in config:
        raise Stuck(f"it does a {name} at every step")
    inner = Input(0, case.at.at(case.at.axis - 1), (case.shape[0], *case.shape[2:]))
    done = take(name, config, [inner])
    if done.settings:
        raise Stuck(f"it does a {name} at every step")
    return Taken(None if done.output is None else done.output.at(done.output.axis + 1), done.edits)


def _attention(kind: str, config: Mapping[str, Any], inputs: Sequence[Input]) -> Taken:
    """Projections of query, value and key; the output is as wide as the query, unless its width is set."""
    edits: list[AxisEdit] = []
    settings: dict[str, Any] = {}
    positions: dict[int | str, str] = {0: "query", 1: "value", 2: "key"}
    words = [positions.get(each.word, str(each.word)) for each in inputs]
    if words == ["query", "query"]:  # Keras 2 lists positional tensors
        words = ["query", "value"]
    for word, each in zip(words, inputs, strict=True):
        if each.reindex is None:
            continue
        if word not in ("query", "value", "key") or each.shape is None or each.reindex.axis != len(each.shape) - 1:
            raise Stuck(f"its {word} is not doubled along the last axis")
        parts = [word]
        if word == "query" and config.get("use_gate"):
            parts.append("gate")
        if word == "value" and "key" not in words:
            parts.append("key")
        edits += [AxisEdit("kernel", 0, each.reindex.source, INPUT, part) for part in parts]
        if word == "query" and kind == "GroupQueryAttention":
            raise Stuck("its output is as wide as its query")
        if word == "query" and not config.get("output_shape"):
            settings["output_shape"] = [each.reindex.size]
        elif word == "query" and not each.reindex.grows and config["output_shape"] == [len(each.reindex.source)]:
            settings["output_shape"] = None  # it is as wide as the query again
    return Taken(None, tuple(edits), settings)


def merge(inputs: Sequence[Input]) -> Taken:
    """Sums and products of tensors that have all changed alike; those of one channel go with any number."""
    changed = [each.reindex for each in inputs if each.reindex is not None]
    first = changed[0]
    ranks = {None if each.shape is None else len(each.shape) for each in inputs}
    if len(ranks) > 1 or None in ranks:
        raise Stuck("its inputs have different ranks")
    for each in inputs:
        alone = each.reindex is None and each.shape is not None and each.shape[first.axis] == 1
        if not alone and each.reindex != first:
            raise Stuck("not all of its inputs are doubled alike")
    return Taken(first)


def concatenate(config: Mapping[str, Any], inputs: Sequence[Input]) -> Taken:
    changed = next(each.reindex for each in inputs if each.reindex is not None)
    shapes = [each.shape for each in inputs]
    if None in shapes or len({len(shape or ()) for shape in shapes}) > 1:
        raise Stuck("the shapes of its inputs are not known")
    axis = int(config.get("axis", -1)) % len(shapes[0] or ())
    if axis != changed.axis:
        if any(each.reindex != changed for each in inputs):
            raise Stuck("not all of its inputs are doubled alike")
        return Taken(changed)
    parts = []
    for each, shape in zip(inputs, shapes, strict=True):
        size = (shape or ())[axis]
        if each.reindex is not None and each.reindex.axis != axis:
            raise Stuck("not all of its inputs are doubled alike")
        if size is None:
            raise Stuck("the shapes of its inputs are not known")
        parts.append(each.reindex or unchanged(axis, size))
    return Taken(joined(parts))


_ALONE = ELEMENTWISE - {
    "Activation", "ActivityRegularization", "BatchNormalization", "GroupNormalization",
    "LayerNormalization", "Masking", "Normalization", "PReLU",
    "RMSNormalization", "Rescaling", "Softmax", "SyncBatchNormalization", "UnitNormalization",
}  # fmt: skip
_RULES: dict[str, Callable[[Case], Taken]] = {
    **dict.fromkeys(_ALONE, _each_value),
    "Activation": _activation,
    "BatchNormalization": _batch_norm,
    "SyncBatchNormalization": _batch_norm,
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "UnitNormalization", "Softmax"), _norm),
    "Dense": _dense,
    "EinsumDense": _einsum,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Rescaling": _rescaling,
    "PReLU": _prelu,
    **dict.fromkeys(("LKReLU", "LKSELU", "LKSwish", "LKPReLU", "Linked"), _linked),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU"), _recurrent),
    "Bidirectional": _both_ways,
    "RNN": _own_cell,
    "TimeDistributed": _each_step,
}
_FAMILIES: tuple[tuple[str, Callable[[Case], Taken]], ...] = (
    ("ConvLSTM", _convolving_lstm),
    ("Conv", _convolution),
    ("DepthwiseConv", _depthwise),
    ("SeparableConv", _separable),
    ("MaxPooling", _spatial),
    ("AveragePooling", _spatial),
    ("AdaptiveMaxPooling", _spatial),
    ("AdaptiveAveragePooling", _spatial),
    ("ZeroPadding", _spatial),
    ("Cropping", _spatial),
    ("UpSampling", _spatial),
    ("GlobalMaxPooling", _global_pool),
    ("GlobalAveragePooling", _global_pool),
)
