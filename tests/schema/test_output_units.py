"""Where output units stand in kernels, against what changes in Keras's outputs when a value of a kernel does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from wtool.dtypes import Array
from wtool.schema.layers import TABLE, output_unit_axes

KERNELS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Dense", {"units": 3}, (2, 4)),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}, (2, 2, 4)),
    ("EinsumDense", {"equation": "abde,dec->abc", "output_shape": (None, 4)}, (2, 2, 2, 3)),
    ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 3}, (2, 3, 4)),
    ("EinsumDense", {"equation": "abc,dc->abd", "output_shape": (None, 3)}, (2, 2, 4)),
    ("EinsumDense", {"equation": "abc,bcd->abd", "output_shape": (2, 3)}, (2, 2, 4)),
    ("Conv1D", {"filters": 3, "kernel_size": 2}, (2, 4, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2}, (2, 3, 3, 2)),
    ("Conv3D", {"filters": 2, "kernel_size": 2}, (1, 2, 2, 2, 2)),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 2}, (2, 4, 2)),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2}, (1, 2, 2, 2)),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 2}, (1, 2, 2, 2, 2)),
    ("DepthwiseConv1D", {"kernel_size": 2, "depth_multiplier": 3}, (2, 4, 2)),
    ("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 2}, (1, 3, 3, 3)),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 2}, (2, 4, 2)),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "depth_multiplier": 2}, (1, 3, 3, 2)),
    ("SimpleRNN", {"units": 3}, (2, 3, 4)),
    ("LSTM", {"units": 2}, (2, 3, 3)),
    ("GRU", {"units": 2}, (2, 3, 3)),
    ("GRU", {"units": 2, "reset_after": False}, (2, 3, 3)),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (1, 2, 4, 2)),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 1}, (1, 2, 2, 2, 2)),
    ("ConvLSTM3D", {"filters": 1, "kernel_size": 1}, (1, 2, 2, 2, 2, 2)),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, (2, 2, 4)),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, (2, 2, 4)),
]
"""Class, settings, and the shape of an input."""

GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3, "ConvLSTM1D": 4, "ConvLSTM2D": 4, "ConvLSTM3D": 4}
MADE_OF_OTHERS = ("SimpleRNNCell", "LSTMCell", "GRUCell", "ConvLSTMCell", "RNN", "Bidirectional")
"""Cells are tried in their layers; they and wrappers have the kernels of these."""

ROLES = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")


def kernels_of(layer: Any) -> Iterator[tuple[Any, Any, str]]:
    """Each kernel with the layer that makes outputs of it, and its name there."""
    for inner in layer._flatten_layers(include_self=True):
        owner = layer if type(inner).__name__.endswith("Cell") else inner
        for name in ROLES:
            if getattr(inner, name, None) is not None and name in {each.name for each in inner.weights}:
                yield owner, getattr(inner, name), name


def numbers(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(np.float32)


def changed_channels(layer: Any, kernel: Any, inputs: Any, axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Which of the outputs, along as many last axes, each value of a kernel reaches, in the order of the kernel."""
    old = np.array(kernel)
    before = np.array(layer(inputs))
    for at in range(old.size):
        new = old.copy()
        new.reshape(-1)[at] += 0.3
        kernel.assign(new)
        moved = np.array(layer(inputs)) != before
        channels = np.any(moved, axis=tuple(range(before.ndim - len(axes))))
        yield tuple(np.flatnonzero(channels.reshape(-1)).tolist())
    kernel.assign(old)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("class_name", "settings", "shape"), KERNELS, ids=[f"{name} {s}" for name, s, _ in KERNELS])
def test_a_value_reaches_the_outputs_of_its_unit_only(
    class_name: str, settings: dict[str, Any], shape: tuple[int, ...]
) -> None:
    keras = pytest.importorskip("keras")
    layer = getattr(keras.layers, class_name)(**settings)
    inputs = keras.ops.convert_to_tensor(numbers(shape, 1))
    layer(inputs, inputs) if "Attention" in class_name else layer(inputs)
    found = list(kernels_of(layer))
    assert found
    for owner, kernel, role in found:
        kernel.assign(numbers(tuple(kernel.shape), 2) / 3)
        own = type(owner).__name__
        config = {"name": owner.name} if "Attention" in class_name else owner.get_config()
        axes = output_unit_axes(own, role, tuple(kernel.shape), config, owner.name)
        taken = inputs
        if "Attention" in class_name and owner.name == "attention_output":
            taken = keras.ops.convert_to_tensor(numbers((2, 2, *kernel.shape[:2]), 3))
        units = np.prod([kernel.shape[axis] for axis in axes])
        if class_name in GATES:
            assert units == GATES[class_name] * settings.get("units", settings.get("filters"))
            continue
        if role == "depthwise_kernel":  # its outputs are inside of the layer
            assert axes == (kernel.ndim - 2, kernel.ndim - 1)
            continue
        of_output = axes if own == "EinsumDense" else (0,)
        reached = list(changed_channels(owner, kernel, taken, of_output))
        numbered = np.arange(units).reshape([size if at in axes else 1 for at, size in enumerate(kernel.shape)])
        channels_of: dict[int, set[tuple[int, ...]]] = {}
        for unit, channels in zip(np.broadcast_to(numbered, kernel.shape).reshape(-1).tolist(), reached, strict=True):
            channels_of.setdefault(unit, set()).add(channels)
        assert all(len(each) == 1 for each in channels_of.values())  # all values of a unit reach the same outputs
        assert len(set().union(*channels_of.values())) == len(channels_of)  # and no two units reach the same


@pytest.mark.parametrize(
    ("class_name", "role", "shape", "name", "axes"),
    [
        ("Embedding", "embeddings", (10, 4), "tokens", (0,)),
        ("ReversibleEmbedding", "reverse_embeddings", (4, 10), "tokens", (1,)),
        ("EinsumDense", "kernel", (4, 2, 3), "query", (1, 2)),
        ("EinsumDense", "kernel", (2, 3, 4), "attention_output", (2,)),
        ("EinsumDense", "kernel", (2, 3, 4, 5), "attention_output", (2, 3)),
        ("EinsumDense", "bias", (2, 3), "query", ()),
        ("LocallyConnected1D", "kernel", (5, 6, 3), "local", (0, 2)),
        ("LocallyConnected1D", "kernel", (6, 2, 5, 3), "local", (2, 3)),
        ("LocallyConnected2D", "kernel", (25, 18, 3), "local", (0, 2)),
        ("LocallyConnected2D", "kernel", (6, 6, 2, 5, 5, 3), "local", (3, 4, 5)),
        ("CuDNNLSTM", "kernel", (3, 8), "lstm", (1,)),
        ("LSTM", "W_i", (3, 2), "lstm", (1,)),
        ("AutoRotConv2DTranspose", "kernel", (2, 2, 4, 3), "own", (2,)),
        ("wtool>AutoRotConv2DTranspose", "kernel", (2, 2, 4, 3), "own", (2,)),
        ("AutoRotDepthwiseConv2D", "kernel", (2, 2, 4, 3), "own", (2, 3)),
        ("Dense", "kernel", (3, 2), "dense", (1,)),
        ("Dense", "bias", (2,), "dense", ()),
        (None, "kernel", (3, 2), "own", (1,)),
        (None, "table", (3, 2), "own", ()),
        ("BatchNormalization", "gamma", (2,), "bn", ()),
        ("PReLU", "alpha", (4, 4, 3), "prelu", ()),
    ],
)
def test_units(class_name: str | None, role: str, shape: tuple[int, ...], name: str, axes: tuple[int, ...]) -> None:
    assert output_unit_axes(class_name, role, shape, {}, name) == axes


@pytest.mark.parametrize("equation", [None, 3, "", "a", "ab,bc->", "ab,bcd->acd", "->", ",,,->->", ["ab,bc->ac"]])
def test_an_equation_that_says_nothing_of_the_kernel(equation: Any) -> None:
    assert output_unit_axes("EinsumDense", "kernel", (3, 2), {"equation": equation}, "own") == (1,)


@pytest.mark.tensorflow
def test_every_public_layer_with_a_kernel_is_tried() -> None:
    keras = pytest.importorskip("keras")
    kinds = ("dense", "einsum", "convolution", "transposed convolution", "depthwise", "separable", "recurrent")
    wanted = {
        name
        for name, entry in TABLE.items()
        if entry.channels in (*kinds, "convolving recurrent", "attention", "own cell", "both ways")
        and hasattr(keras.layers, name)
    }
    assert wanted - set(MADE_OF_OTHERS) == {name for name, *_ in KERNELS}
