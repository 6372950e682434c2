"""The shape of what a layer gives: one rule for each family of classes, from the shapes of its inputs and its settings.

A rule takes the shape of the first input, the settings, and the shapes of all inputs, which are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wtool.schema.layers.entry import PartialShape, Settings

Shapes = Sequence[PartialShape]


def as_shape(value: Any) -> PartialShape | None:
    """Returns a shape in JSON; None for anything else, and for sizes below zero."""
    sizes = _sizes(value)
    return None if sizes is None or any(size is not None and size < 0 for size in sizes) else sizes


def _sizes(value: Any) -> PartialShape | None:
    """Returns the whole numbers in a list, where None and -1 may stand for sizes that are not told."""
    if not isinstance(value, (list, tuple)) or not all(each is None or type(each) is int for each in value):
        return None
    return tuple(value)


def channel_axis(config: Settings, rank: int) -> int:
    """Where the channels are, as `data_format` says."""
    return 1 if config.get("data_format") == "channels_first" else rank - 1


def same(shape: PartialShape, _: Settings, __: Shapes) -> PartialShape | None:
    """Layers that leave the shape as it is."""
    return shape


def merged(_: PartialShape, __: Settings, shapes: Shapes) -> PartialShape | None:
    """Sums, products and the like, in which an axis of one position goes with any number."""
    if len({len(shape) for shape in shapes}) > 1:
        return None
    return tuple(_broadcast(sizes) for sizes in zip(*shapes, strict=True))


def _broadcast(sizes: Sequence[int | None]) -> int | None:
    large = [size for size in sizes if size != 1]
    return large[0] if large else 1


def concatenated(shape: PartialShape, config: Settings, shapes: Shapes) -> PartialShape | None:
    """Concatenate."""
    axis = int(config.get("axis", -1)) % len(shape)
    if any(len(each) != len(shape) for each in shapes):
        return None
    sizes = [each[axis] for each in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return (*shape[:axis], total, *shape[axis + 1 :])


def dotted(shape: PartialShape, config: Settings, shapes: Shapes) -> PartialShape | None:
    """Dot: the axes of both inputs without the axis along which they are multiplied."""
    axes = each_dimension(config.get("axes"), 2)
    if axes is None or len(shapes) != 2 or any(axis % len(each) == 0 for axis, each in zip(axes, shapes, strict=True)):
        return None
    left, right = (
        (*each[1 : axis % len(each)], *each[axis % len(each) + 1 :]) for axis, each in zip(axes, shapes, strict=True)
    )
    return (shape[0], *left, *right) if left or right else (shape[0], 1)


def dense(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Dense."""
    return (*shape[:-1], config.get("units"))


def einsum(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """EinsumDense, as its equation says; the settings tell no sizes of the batch and of axes that stand as `...`."""
    equation = config.get("equation")
    taken, made = equation.replace(" ", "").partition("->")[::2] if isinstance(equation, str) else ("", "")
    given, axes = einsum_axes(taken.partition(",")[0], len(shape)), _axes_made(taken, made, len(shape))
    told = config.get("output_shape")
    sizes = told if isinstance(told, list) else [told]
    if given is None or not axes or axes[0] != given[0]:
        return None
    known = dict(zip(given, shape, strict=True))
    chosen = [axis for axis in axes[1:] if not axis.startswith("...")]
    if len(sizes) != len(chosen):
        return None
    known |= {axis: size for axis, size in zip(chosen, sizes, strict=True) if size is not None}
    return tuple(known.get(axis) for axis in axes)


def _axes_made(taken: str, made: str, rank: int) -> list[str] | None:
    """The axes of the output of an equation, of which the term of the output alone tells no rank."""
    term = taken.partition(",")[0]
    elided = rank - len(term.replace("...", "")) if "..." in term else 0
    return einsum_axes(made, len(made.replace("...", "")) + elided)


def einsum_axes(term: str, rank: int) -> list[str] | None:
    """Returns names of the axes that a term of an equation stands for: letters, and `...0`, `...1` for an ellipsis.

    None where the term has not so many axes.
    """
    before, dots, behind = term.partition("...")
    elided = rank - len(before) - len(behind)
    if elided < 0 or (elided and not dots):
        return None
    return [*before, *(f"...{number}" for number in range(elided)), *behind]


def embedded(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Embedding: one axis more."""
    return (*shape, config.get("output_dim"))


def convolved(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Convolutions."""
    return _windowed(shape, config, config.get("filters"), "kernel_size")


def depthwise(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Depthwise convolutions, which give `depth_multiplier` channels for each one."""
    channels = shape[channel_axis(config, len(shape))]
    many = None if channels is None else channels * int(config.get("depth_multiplier") or 1)
    return _windowed(shape, config, many, "kernel_size")


def pooled(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Pooling."""
    return _windowed(shape, config, shape[channel_axis(config, len(shape))], "pool_size")


def _windowed(shape: PartialShape, config: Settings, channels: Any, window: str) -> PartialShape | None:
    axis, rank = channel_axis(config, len(shape)), len(shape) - 2
    sizes = each_dimension(config.get(window), rank)
    strides = each_dimension(config.get("strides") or (sizes if window == "pool_size" else 1), rank)
    dilation = each_dimension(config.get("dilation_rate") or 1, rank)
    if sizes is None or strides is None or dilation is None:
        return None
    new = [
        _slid(size, window_, stride, rate, config.get("padding", "valid"))
        for size, window_, stride, rate in zip(space_of(shape, axis), sizes, strides, dilation, strict=True)
    ]
    return _placed(shape[0], new, channels, axis)


def _slid(size: int | None, window: int, stride: int, dilation: int, padding: Any) -> int | None:
    if size is None:
        return None
    if padding == "valid":
        size -= dilation * (window - 1)
    return max(0, -(-size // stride))


def space_of(shape: PartialShape, channels: int) -> list[int | None]:
    """Returns the sizes of the axes that are neither the batch's nor the channels'."""
    return [size for axis, size in enumerate(shape) if axis not in (0, channels)]


def _placed(batch: int | None, space: Sequence[int | None], channels: int | None, axis: int) -> PartialShape:
    return (batch, channels, *space) if axis == 1 else (batch, *space, channels)


def each_dimension(value: Any, rank: int) -> list[int] | None:
    """Returns a setting for each dimension: one number for all, or a list of them; None for anything else."""
    if type(value) is int:
        return [value] * rank
    if isinstance(value, list) and len(value) == rank and all(type(each) is int for each in value):
        return value
    return None


def transposed(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Transposed convolutions. Source: `compute_conv_transpose_output_shape` of keras/src/backend/common."""
    axis, rank = channel_axis(config, len(shape)), len(shape) - 2
    sizes, strides = each_dimension(config.get("kernel_size"), rank), each_dimension(config.get("strides") or 1, rank)
    dilation = each_dimension(config.get("dilation_rate") or 1, rank)
    extra = config.get("output_padding")
    more = [None] * rank if extra is None else each_dimension(extra, rank)
    if sizes is None or strides is None or dilation is None or more is None:
        return None
    windows = [(size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True)]
    new = [
        _spread(*each, config.get("padding", "valid"))
        for each in zip(space_of(shape, axis), windows, strides, more, strict=True)
    ]
    return _placed(shape[0], new, config.get("filters"), axis)


def _spread(size: int | None, window: int, stride: int, more: int | None, padding: Any) -> int | None:
    if size is None:
        return None
    if padding == "valid":
        return (size - 1) * stride + window + (max(window, stride) - window if more is None else more)
    return size * stride if more is None else (size - 1) * stride + window % 2 + more


def pooled_whole(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Global pooling."""
    axis = channel_axis(config, len(shape))
    return _placed(shape[0], [1] * (len(shape) - 2) if config.get("keepdims") else [], shape[axis], axis)


def pooled_to(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Adaptive pooling, whose settings tell the size of the output."""
    axis = channel_axis(config, len(shape))
    sizes = each_dimension(config.get("output_size"), len(shape) - 2)
    return None if sizes is None else _placed(shape[0], sizes, shape[axis], axis)


def padded(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """ZeroPadding."""
    return _grown(shape, config, config.get("padding"), 1)


def cropped(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Cropping."""
    return _grown(shape, config, config.get("cropping"), -1)


def _grown(shape: PartialShape, config: Settings, amounts: Any, sign: int) -> PartialShape | None:
    axis, rank = channel_axis(config, len(shape)), len(shape) - 2
    if type(amounts) is int:
        amounts = [[amounts, amounts]] * rank
    if not isinstance(amounts, list):
        return None
    if rank == 1 and all(type(each) is int for each in amounts):
        amounts = [amounts]
    added = [sum(each) if isinstance(each, list) else 2 * each for each in amounts]
    space = space_of(shape, axis)
    if len(added) != len(space):
        return None
    new = [None if size is None else size + sign * more for size, more in zip(space, added, strict=True)]
    return _placed(shape[0], new, shape[axis], axis)


def enlarged(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """UpSampling."""
    axis = channel_axis(config, len(shape))
    factors = each_dimension(config.get("size", 2), len(shape) - 2)
    if factors is None:
        return None
    new = [None if size is None else size * factor for size, factor in zip(space_of(shape, axis), factors, strict=True)]
    return _placed(shape[0], new, shape[axis], axis)


def flattened(shape: PartialShape, _: Settings, __: Shapes) -> PartialShape | None:
    """Flatten."""
    rest = shape[1:]
    return (shape[0], None if None in rest else prod(size or 0 for size in rest))


def reshaped(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Reshape."""
    return reshaped_to(shape, _sizes(config.get("target_shape")))


def reshaped_to(shape: PartialShape, target: PartialShape | None) -> PartialShape | None:
    """What a Reshape makes of a shape: the target without the batch, in which -1 is what is left."""
    if target is None or None in target:
        return None
    fixed = [size for size in target if size != -1]
    if len(fixed) == len(target):
        return (shape[0], *target)
    if None in shape[1:]:
        return (shape[0], *(None if size == -1 else size for size in target))
    rest = prod(size or 0 for size in shape[1:]) // max(1, prod(size or 0 for size in fixed))
    return (shape[0], *(rest if size == -1 else size for size in target))


def permuted(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Permute."""
    dims = as_shape(config.get("dims"))
    if dims is None or sorted(each or 0 for each in dims) != list(range(1, len(shape))):
        return None
    return (shape[0], *(shape[each or 0] for each in dims))


def repeated(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """RepeatVector."""
    return (shape[0], config.get("n"), *shape[1:])


def recurrent(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Recurrent layers: the last state, or that of every step."""
    steps = shape[1:2] if config.get("return_sequences") else ()
    return (shape[0], *steps, config.get("units"))


def convolving_recurrent(shape: PartialShape, config: Settings, shapes: Shapes) -> PartialShape | None:
    """ConvLSTM: the same with images."""
    image = convolved((shape[0], *shape[2:]), config, shapes)
    if image is None or not config.get("return_sequences"):
        return image
    return (image[0], shape[1], *image[1:])


def attended(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Attention with projections: as wide as the query, unless the width is set."""
    out = config.get("output_shape")
    if out is None:
        return shape
    return (*shape[:-1], *([out] if type(out) is int else out))


def dot_attended(shape: PartialShape, _: Settings, shapes: Shapes) -> PartialShape | None:
    """Attention without projections: as long as the query, as wide as the value."""
    return (*shape[:-1], shapes[1][-1]) if len(shapes) > 1 else None


def linked(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Linked activations: twice the channels."""
    axis = int(config.get("axis", -1)) % len(shape)
    size = shape[axis]
    return (*shape[:axis], None if size is None else 2 * size, *shape[axis + 1 :])


def looked_up(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """Lookups of words and numbers, which give an index for each."""
    return shape if config.get("output_mode", "int") == "int" else None


def words(shape: PartialShape, config: Settings, _: Shapes) -> PartialShape | None:
    """TextVectorization, which gives the indices of the words in each text."""
    return (shape[0], config.get("output_sequence_length")) if config.get("output_mode", "int") == "int" else None
