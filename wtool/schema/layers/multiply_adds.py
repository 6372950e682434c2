"""The multiply-adds of a layer for a batch of one: one rule for each family of classes.

A rule takes the settings, the shapes of the inputs and the shape of the first output, all with the batch. It returns
the number of pairs of values that the layer multiplies and adds up: values of inputs with weights, and of inputs with
each other. Biases, normalisations, activation functions and pooling count nothing, nor does looking up embeddings.
A convolution counts its whole window at each position, also where the window reaches into the padding.
A rule returns None where a size that it needs is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wtool.schema.layers.entry import MultiplyAdds, PartialShape, Settings
from wtool.schema.layers.output_shapes import channel_axis, convolved, each_dimension, einsum_axes, space_of

Shapes = Sequence[PartialShape]


def product(*sizes: Any) -> int | None:
    """Returns the product of sizes; None where one of them is not known.

    Raises:
        TypeError: a size is no whole number from 0 on.
    """
    if any(size is not None and (type(size) is not int or size < 0) for size in sizes):
        raise TypeError(f"{sizes!r:.60} are no sizes")
    return None if None in sizes else prod(sizes)


def total(*products: int | None) -> int | None:
    """Returns the sum of products; None where one of them is not known."""
    known = [each for each in products if each is not None]
    return sum(known) if len(known) == len(products) else None


def nothing(_: Settings, __: Shapes, ___: PartialShape) -> int | None:
    """Layers that multiply nothing, or each value by one number."""
    return 0


def dense(_: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """Dense: each output is a sum over the inputs at its position."""
    return product(*output[1:], inputs[0][-1])


def einsum(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """EinsumDense: the sizes of all axes that its equation names, multiplied, each axis once."""
    taken, made = config["equation"].replace(" ", "").split("->")
    taken, kernel = taken.split(",")
    axes, given = einsum_axes(made, len(output)), einsum_axes(taken, len(inputs[0]))
    if axes is None or given is None:
        return None
    sizes = {**dict(zip(axes, output, strict=True)), **dict(zip(given, inputs[0], strict=True))}
    del sizes[given[0]]  # the batch
    return product(*sizes.values()) if all(letter in sizes or letter == given[0] for letter in kernel) else None


def reversible_embedding(_: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """ReversibleEmbedding: looks embeddings up, or is called the other way and is as dense as its table."""
    return dense(_, inputs, output) if len(output) == len(inputs[0]) else 0


def convolution(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """Convolutions: each output is a sum over a window of the input channels of its group."""
    channels, filters = _channels(config, inputs[0]), _channels(config, output)
    inner = None if channels is None else channels // int(config.get("groups") or 1)
    return product(*_space(config, output), *_window(config, output), inner, filters)


def transposed(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """Transposed convolutions: each input is multiplied into a window of all filters."""
    channels, filters = _channels(config, inputs[0]), _channels(config, output)
    return product(*_space(config, inputs[0]), *_window(config, output), channels, filters)


def depthwise(config: Settings, _: Shapes, output: PartialShape) -> int | None:
    """Depthwise convolutions: each output is a sum over a window of one channel."""
    return product(*_space(config, output), *_window(config, output), _channels(config, output))


def separable(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """Separable convolutions: a depthwise convolution, then a mix of its channels at each position."""
    space = _space(config, output)
    between = product(_channels(config, inputs[0]), config.get("depth_multiplier", 1))
    return total(
        product(*space, *_window(config, output), between), product(*space, between, _channels(config, output))
    )


def recurrent_cell(gates: int) -> MultiplyAdds:
    """Returns the rule for a cell with so many gates, which takes inputs (batch, features)."""

    def rule(config: Settings, inputs: Shapes, _: PartialShape) -> int | None:
        units, features = config["units"], inputs[0][-1]
        return total(product(gates, units, features), product(gates, units, units))

    return rule


def recurrent(gates: int) -> MultiplyAdds:
    """Returns the rule for a recurrent layer with so many gates: its cell at each step."""
    cell = recurrent_cell(gates)

    def rule(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
        batch, steps, features = inputs[0]
        return product(steps, cell(config, [(batch, features)], output))

    return rule


def convolving_recurrent(config: Settings, inputs: Shapes, _: PartialShape) -> int | None:
    """ConvLSTM: at each step, four gates that are convolutions of the input, and of the state at its positions."""
    batch, steps, *rest = inputs[0]
    image = convolved((batch, *rest), config, ())
    if image is None:
        return None
    filters, window = config["filters"], _window(config, image)
    each = product(steps, *_space(config, image), *window, 4, filters)
    return total(product(each, _channels(config, (batch, *rest))), product(each, filters))


def attention(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """MultiHeadAttention: projections of query, key and value, scores, sums of values, and the output's projection."""
    heads, size = config["num_heads"], config["key_dim"]
    return _attention(config, inputs, output, heads, heads, size, config.get("value_dim") or size)


def grouped_attention(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """GroupQueryAttention: the same with fewer heads of keys and values."""
    size = config["head_dim"]
    return _attention(config, inputs, output, config["num_query_heads"], config["num_key_value_heads"], size, size)


def _attention(
    config: Settings, inputs: Shapes, output: PartialShape, heads: int, key_heads: int, size: int, value_size: int
) -> int | None:
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    rank = len(query)
    axes = config.get("attention_axes") or list(range(1, rank - 1))
    attended = {axis % rank for axis in ([axes] if type(axes) is int else axes)}
    pairs = product(*query[1:-1], *(key[axis] for axis in attended))
    result = product(*output[rank - 1 :])
    return total(
        product(*query[1:], heads, size),
        product(*key[1:], key_heads, size),
        product(*value[1:], key_heads, value_size),
        product(*query[1:], heads, value_size) if config.get("use_gate") else 0,
        product(pairs, heads, size),
        product(pairs, heads, value_size),
        product(*query[1:-1], heads, value_size, result),
    )


def dot_attention(config: Settings, inputs: Shapes, _: PartialShape) -> int | None:
    """Attention: scores, which are products of queries and keys, and sums of values; concat scores multiply nothing."""
    pairs = _pairs(inputs)
    scores = 0 if config.get("score_mode") == "concat" else product(pairs, inputs[0][-1])
    return total(scores, product(pairs, inputs[1][-1]))


def additive_attention(config: Settings, inputs: Shapes, _: PartialShape) -> int | None:
    """AdditiveAttention: scores, which are sums along the features with a weight for each, and sums of values."""
    pairs = _pairs(inputs)
    return total(product(pairs, inputs[0][-1]) if config.get("use_scale", True) else 0, product(pairs, inputs[1][-1]))


def _pairs(inputs: Shapes) -> int | None:
    key = inputs[2] if len(inputs) > 2 else inputs[1]
    return product(*inputs[0][1:-1], key[-2])


def dotted(config: Settings, inputs: Shapes, output: PartialShape) -> int | None:
    """Dot: each output is a sum along one axis of both inputs."""
    axes = each_dimension(config.get("axes"), 2)
    return None if axes is None else product(*output[1:], inputs[0][axes[0]])


def _channels(config: Settings, shape: PartialShape) -> int | None:
    return shape[channel_axis(config, len(shape))]


def _space(config: Settings, shape: PartialShape) -> list[int | None]:
    return space_of(shape, channel_axis(config, len(shape)))


def _window(config: Settings, shape: PartialShape) -> list[int]:
    window = each_dimension(config.get("kernel_size"), len(shape) - 2)
    if window is None:
        raise TypeError("the settings have no window")
    return window
