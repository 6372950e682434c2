"""The shapes of a graph's tensors, worked out from configurations alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from wtool.schema.graph import Call, Key, Model, Ref, Shape
from wtool.schema.operations import TENSORFLOW, shapes_behind

Given = Mapping[str, Any]
Shapes = dict[Key, "Shape | None"]

ELEMENTWISE = frozenset(
    """
    Activation ActivityRegularization AlphaDropout BatchNormalization Dropout ELU GaussianDropout GaussianNoise
    GroupNormalization Identity LayerNormalization LeakyReLU Masking Normalization PReLU RMSNormalization ReLU Rescaling
    Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SyncBatchNormalization ThresholdedReLU UnitNormalization
    """.split()  # noqa: SIM905
)
"""Layers that leave the shape as it is."""

MERGES = frozenset(("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"))


def shapes_of(model: Model, given: Sequence[Shape | None] | None = None) -> Shapes:
    """The shape of every tensor of a model, None where it cannot be known.

    Args:
        model: its graph.
        given: the shapes of its inputs, where it is inside another.
    """
    found: Shapes = {}
    for number, key in enumerate(model.inputs):
        outside = given[number] if given is not None and number < len(given) else None
        found[key] = _declared(model, key) or outside
    for call in model.calls:
        for ref in call.inputs:
            if found.get(ref.key) is None:
                found[ref.key] = told_shape(ref) or _built(call)
        inputs = [found.get(ref.key) for ref in call.inputs]
        for number, shape in enumerate(outputs_of(call, inputs)):
            key = (call.layer.name, call.number, number)
            found[key] = next((told for ref in model.users(key) if (told := told_shape(ref))), shape)
    return found


def told_shape(ref: Ref) -> Shape | None:
    """What Keras 3 says of a tensor where it is taken."""
    return as_shape(ref.told.get("shape")) if ref.told is not None else None


def _built(call: Call) -> Shape | None:
    """The shape that the only input had when the layer was built, as Keras 3 notes it."""
    build = call.layer.entry.get("build_config")
    if not isinstance(build, dict) or len(call.inputs) != 1:
        return None
    told = build.get("shapes_dict")
    named = list(told.values()) if isinstance(told, dict) else []
    return as_shape(build.get("input_shape", named[0] if len(named) == 1 else None))


def _declared(model: Model, key: Key) -> Shape | None:
    """What an InputLayer, the first layer of a Sequential model, or the model itself says of an input."""
    first = [layer for layer in model.layers if layer.name == key[0]] or model.layers[:1]
    for layer in first:
        for name in ("batch_shape", "batch_input_shape"):
            if (shape := as_shape(layer.config.get(name))) is not None:
                return shape
        if layer.model is not None and layer.model.inputs and not model.functional:
            return _declared(layer.model, layer.model.inputs[0])
    return as_shape(model.config.get("build_input_shape"))


def as_shape(value: Any) -> Shape | None:
    """A shape in JSON; None for anything else."""
    if not isinstance(value, (list, tuple)) or not all(each is None or type(each) is int for each in value):
        return None
    return tuple(value)


def outputs_of(call: Call, inputs: Sequence[Shape | None]) -> list[Shape | None]:
    """The shapes of a call's outputs; a single None for layers that nobody knows."""
    layer = call.layer
    if layer.kind in TENSORFLOW:
        return shapes_behind(layer.config, call.arguments, inputs)
    if layer.model is not None:
        inner = shapes_of(layer.model, inputs)
        return [inner.get(ref.key) for ref in layer.model.outputs]
    return [output_of(layer.kind, layer.config, inputs)]


def output_of(kind: str | None, config: Given, inputs: Sequence[Shape | None]) -> Shape | None:
    """The shape of a layer's first output."""
    if kind is None:
        return None
    kind = kind.removeprefix("wtool>AutoRot").removeprefix("wtool>")
    if kind == "Lambda":
        return _stored(config, inputs)
    inputs = [_any_of_rank(kind)] if list(inputs) == [None] else inputs
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) < len(inputs):
        return None
    if kind in ELEMENTWISE:
        return known[0]
    if kind in MERGES:
        return _merged(known)
    rule = _RULES.get(kind) or _by_family(kind)
    return rule(known[0], config, known) if rule is not None else None


def _any_of_rank(kind: str) -> Shape | None:
    """What is known of a layer's only input where nothing tells its shape: the rank, if the class takes no other."""
    if kind == "Flatten":
        return (None, None)  # the output has this rank whatever the input's is
    if kind in ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN"):
        return (None, None, None)
    windowed = re.fullmatch(
        r"(?:(?:Separable|Depthwise)?Conv|(?:Global)?(?:Max|Average)Pooling)([123])D(?:Transpose)?", kind
    )
    return None if windowed is None else (None,) * (int(windowed[1]) + 2)


def _stored(config: Given, inputs: Sequence[Shape | None]) -> Shape | None:
    """The output shape that a Lambda was given, without the batch; a single number in Keras 2 is a list of one."""
    told = config.get("output_shape")
    shape = (told,) if type(told) is int else as_shape(told)
    if shape is None or config.get("output_shape_type", "raw") != "raw":
        return None
    first = next((each for each in inputs if each is not None), None)
    return (first[0] if first else None, *shape)


def channel_axis(config: Given, rank: int) -> int:
    """Where the channels are, as `data_format` says."""
    return 1 if config.get("data_format") == "channels_first" else rank - 1


def _by_family(kind: str) -> Callable[..., Shape | None] | None:
    for start, rule in _FAMILIES:
        if kind.startswith(start):
            return rule
    return None


def _merged(shapes: Sequence[Shape]) -> Shape | None:
    if len({len(shape) for shape in shapes}) > 1:
        return None
    return tuple(_broadcast(sizes) for sizes in zip(*shapes, strict=True))


def _broadcast(sizes: Sequence[int | None]) -> int | None:
    large = [size for size in sizes if size != 1]
    return large[0] if large else 1


def _dense(shape: Shape, config: Given, _: Any) -> Shape | None:
    return (*shape[:-1], config.get("units"))


def _convolution(shape: Shape, config: Given, _: Any) -> Shape | None:
    return _windowed(shape, config, config.get("filters"), "kernel_size")


def _depthwise(shape: Shape, config: Given, _: Any) -> Shape | None:
    channels = shape[channel_axis(config, len(shape))]
    many = None if channels is None else channels * int(config.get("depth_multiplier") or 1)
    return _windowed(shape, config, many, "kernel_size")


def _pool(shape: Shape, config: Given, _: Any) -> Shape | None:
    return _windowed(shape, config, shape[channel_axis(config, len(shape))], "pool_size")


def _windowed(shape: Shape, config: Given, channels: Any, window: str) -> Shape | None:
    axis, rank = channel_axis(config, len(shape)), len(shape) - 2
    sizes = _each(config.get(window), rank)
    strides = _each(config.get("strides") or (sizes if window == "pool_size" else 1), rank)
    dilation = _each(config.get("dilation_rate") or 1, rank)
    if sizes is None or strides is None or dilation is None:
        return None
    space = [size for number, size in enumerate(shape) if number not in (0, axis)]
    new = [
        _slid(size, window_, stride, rate, config.get("padding", "valid"))
        for size, window_, stride, rate in zip(space, sizes, strides, dilation, strict=True)
    ]
    return _placed(shape[0], new, channels, axis)


def _slid(size: int | None, window: int, stride: int, dilation: int, padding: Any) -> int | None:
    if size is None:
        return None
    if padding == "valid":
        size -= dilation * (window - 1)
    return max(0, -(-size // stride))


def _placed(batch: int | None, space: Sequence[int | None], channels: int | None, axis: int) -> Shape:
    return (batch, channels, *space) if axis == 1 else (batch, *space, channels)


def _each(value: Any, rank: int) -> list[int] | None:
    """A setting for each dimension: one number for all, or a list of them."""
    if type(value) is int:
        return [value] * rank
    if isinstance(value, list) and len(value) == rank and all(type(each) is int for each in value):
        return value
    return None


def _transposed(shape: Shape, config: Given, _: Any) -> Shape | None:
    """Only the channels: how far the space grows depends on more than it is worth."""
    axis = channel_axis(config, len(shape))
    return _placed(shape[0], [None] * (len(shape) - 2), config.get("filters"), axis)


def _global_pool(shape: Shape, config: Given, _: Any) -> Shape | None:
    axis = channel_axis(config, len(shape))
    return _placed(shape[0], [1] * (len(shape) - 2) if config.get("keepdims") else [], shape[axis], axis)


def _flatten(shape: Shape, config: Given, _: Any) -> Shape | None:
    rest = shape[1:]
    return (shape[0], None if None in rest else prod(size or 0 for size in rest))


def _reshape(shape: Shape, config: Given, _: Any) -> Shape | None:
    return reshaped(shape, as_shape(config.get("target_shape")))


def reshaped(shape: Shape, target: Shape | None) -> Shape | None:
    """What a Reshape makes of a shape."""
    if target is None or None in target:
        return None
    fixed = [size for size in target if size != -1]
    if len(fixed) == len(target):
        return (shape[0], *target)
    if None in shape[1:]:
        return (shape[0], *(None if size == -1 else size for size in target))
    rest = prod(size or 0 for size in shape[1:]) // max(1, prod(size or 0 for size in fixed))
    return (shape[0], *(rest if size == -1 else size for size in target))


def _permute(shape: Shape, config: Given, _: Any) -> Shape | None:
    dims = as_shape(config.get("dims"))
    if dims is None or sorted(each or 0 for each in dims) != list(range(1, len(shape))):
        return None
    return (shape[0], *(shape[each or 0] for each in dims))


def _repeat(shape: Shape, config: Given, _: Any) -> Shape | None:
    return (shape[0], config.get("n"), *shape[1:])


def _padded(shape: Shape, config: Given, _: Any) -> Shape | None:
    return _grown(shape, config, config.get("padding"), 1)


def _cropped(shape: Shape, config: Given, _: Any) -> Shape | None:
    return _grown(shape, config, config.get("cropping"), -1)


def _grown(shape: Shape, config: Given, amounts: Any, sign: int) -> Shape | None:
    axis, rank = channel_axis(config, len(shape)), len(shape) - 2
    if type(amounts) is int:
        amounts = [[amounts, amounts]] * rank
    if not isinstance(amounts, list):
        return None
    if rank == 1 and all(type(each) is int for each in amounts):
        amounts = [amounts]
    added = [sum(each) if isinstance(each, list) else 2 * each for each in amounts]
    space = [size for number, size in enumerate(shape) if number not in (0, axis)]
    if len(added) != len(space):
        return None
    new = [None if size is None else size + sign * more for size, more in zip(space, added, strict=True)]
    return _placed(shape[0], new, shape[axis], axis)


def _enlarged(shape: Shape, config: Given, _: Any) -> Shape | None:
    axis = channel_axis(config, len(shape))
    factors = _each(config.get("size", 2), len(shape) - 2)
    space = [size for number, size in enumerate(shape) if number not in (0, axis)]
    if factors is None:
        return None
    new = [None if size is None else size * factor for size, factor in zip(space, factors, strict=True)]
    return _placed(shape[0], new, shape[axis], axis)


def _concatenated(shape: Shape, config: Given, shapes: Sequence[Shape]) -> Shape | None:
    axis = int(config.get("axis", -1)) % len(shape)
    if any(len(each) != len(shape) for each in shapes):
        return None
    sizes = [each[axis] for each in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return (*shape[:axis], total, *shape[axis + 1 :])


def _embedded(shape: Shape, config: Given, _: Any) -> Shape | None:
    return (*shape, config.get("output_dim"))


def _recurrent(shape: Shape, config: Given, _: Any) -> Shape | None:
    steps = shape[1:2] if config.get("return_sequences") else ()
    return (shape[0], *steps, config.get("units"))


def _both_ways(shape: Shape, config: Given, shapes: Sequence[Shape]) -> Shape | None:
    inner = config.get("layer")
    inner = inner.get("config") if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        return None
    one = _recurrent(shape, inner, shapes)
    if one is None or config.get("merge_mode", "concat") != "concat" or type(one[-1]) is not int:
        return one
    return (*one[:-1], 2 * one[-1])


def _attention(shape: Shape, config: Given, shapes: Sequence[Shape]) -> Shape | None:
    out = config.get("output_shape")
    if out is None:
        return shape
    return (*shape[:-1], *([out] if type(out) is int else out))


def _einsum(shape: Shape, config: Given, _: Any) -> Shape | None:
    equation = config.get("equation")
    taken, _, made = equation.replace(" ", "").partition("->") if isinstance(equation, str) else ("", "", "")
    letters = taken.partition(",")[0]
    told = config.get("output_shape")
    sizes = told if isinstance(told, list) else [told]
    if "..." in taken or len(letters) != len(shape) or len(sizes) != len(made) - 1:
        return None
    known = dict(zip(letters, shape, strict=True))
    return (
        shape[0],
        *(known.get(letter) if size is None else size for letter, size in zip(made[1:], sizes, strict=True)),
    )


def _wrapped(shape: Shape, config: Given, _: Any) -> Shape | None:
    """SpectralNormalization: as what is inside."""
    inner = config.get("layer")
    if not isinstance(inner, dict) or not isinstance(inner.get("config"), dict):
        return None
    return output_of(str(inner.get("class_name")), inner["config"], [shape])


def _each_step(shape: Shape, config: Given, _: Any) -> Shape | None:
    inner = _wrapped((shape[0], *shape[2:]), config, None)
    return None if inner is None else (inner[0], shape[1], *inner[1:])


def _own_cell(shape: Shape, config: Given, _: Any) -> Shape | None:
    cell = config.get("cell")
    cell = cell.get("config") if isinstance(cell, dict) else None
    return _recurrent(shape, {**config, "units": cell.get("units")}, _) if isinstance(cell, dict) else None


def _convolving_lstm(shape: Shape, config: Given, _: Any) -> Shape | None:
    image = _convolution((shape[0], *shape[2:]), config, _)
    if image is None or not config.get("return_sequences"):
        return image
    return (image[0], shape[1], *image[1:])


def _dot_attention(shape: Shape, config: Given, shapes: Sequence[Shape]) -> Shape | None:
    return (*shape[:-1], shapes[1][-1]) if len(shapes) > 1 else None


def _linked(shape: Shape, config: Given, _: Any) -> Shape | None:
    axis = int(config.get("axis", -1)) % len(shape)
    size = shape[axis]
    return (*shape[:axis], None if size is None else 2 * size, *shape[axis + 1 :])


_RULES: dict[str, Callable[..., Shape | None]] = {
    "Dense": _dense,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Concatenate": _concatenated,
    "Embedding": _embedded,
    "SimpleRNN": _recurrent,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "Bidirectional": _both_ways,
    "MultiHeadAttention": _attention,
    "GroupQueryAttention": _attention,
    "EinsumDense": _einsum,
    "SpectralNormalization": _wrapped,
    "TimeDistributed": _each_step,
    "RNN": _own_cell,
    "Attention": _dot_attention,
    "AdditiveAttention": _dot_attention,
    **{f"ConvLSTM{n}D": _convolving_lstm for n in (1, 2, 3)},
    "LKReLU": _linked,
    "LKSELU": _linked,
    "LKSwish": _linked,
    "LKPReLU": _linked,
    "Linked": _linked,
    **{f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)},
}

_FAMILIES: tuple[tuple[str, Callable[..., Shape | None]], ...] = (
    ("Conv1D", _convolution),
    ("Conv2D", _convolution),
    ("Conv3D", _convolution),
    ("SeparableConv", _convolution),
    ("DepthwiseConv", _depthwise),
    ("MaxPooling", _pool),
    ("AveragePooling", _pool),
    ("GlobalMaxPooling", _global_pool),
    ("GlobalAveragePooling", _global_pool),
    ("ZeroPadding", _padded),
    ("Cropping", _cropped),
    ("UpSampling", _enlarged),
)
