"""Where inputs stand in kernels, against the channels of the input that a value of a kernel takes in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.schema.test_output_units import KERNELS, numbers
from wtool.dtypes import Array
from wtool.schema.layers import input_axes, output_unit_axes

LAYERS = [each for each in KERNELS if "Attention" not in each[0] and "depth_multiplier" not in each[1]]
SEEN = {"kernel", "pointwise_kernel"}
"""Kernels that multiply the inputs themselves, or with a multiplier of 1 as many channels made of them."""


def reached(layer: Any, kernel: Any, inputs: Array, axes: int) -> Array:
    """Which channel of the input each value of a kernel takes, shape of the kernel; channels are the last axes.

    All channels but one are zero: then only the values that take this one change the output.
    """
    found = np.full(kernel.shape, -1)
    count = int(np.prod(inputs.shape[-axes:]))
    old = np.array(kernel)
    for channel in range(count):
        alone = np.zeros((*inputs.shape[:-axes], count), np.float32)
        alone[..., channel] = inputs.reshape(alone.shape)[..., channel]
        before = np.array(layer(alone.reshape(inputs.shape)))
        for at in range(old.size):
            new = old.copy()
            new.reshape(-1)[at] += 0.5
            kernel.assign(new)
            if np.any(np.array(layer(alone.reshape(inputs.shape))) != before):
                assert found.reshape(-1)[at] == -1
                found.reshape(-1)[at] = channel
        kernel.assign(old)
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize(("class_name", "settings", "shape"), LAYERS, ids=[f"{name} {s}" for name, s, _ in LAYERS])
def test_each_value_takes_the_input_of_its_place(
    class_name: str, settings: dict[str, Any], shape: tuple[int, ...]
) -> None:
    keras = pytest.importorskip("keras")
    layer = getattr(keras.layers, class_name)(**settings)
    layer.build(shape)
    inner = getattr(layer, "cell", layer)
    for variable in inner.weights:
        if variable.name not in SEEN:
            continue
        variable.assign(numbers(tuple(variable.shape), 1))
        told = type(inner).__name__, variable.name, tuple(variable.shape), layer.get_config(), layer.name
        axes, units = input_axes(*told), output_unit_axes(*told)
        takes = reached(layer, variable, numbers(shape, 2), len(axes) if class_name == "EinsumDense" else 1)
        assert (takes >= 0).any()
        for unit in np.ndindex(*(variable.shape[axis] for axis in units)):
            of_unit = np.moveaxis(takes, (*units, *axes), range(len(units) + len(axes)))[unit]
            places = of_unit.reshape(int(np.prod([variable.shape[axis] for axis in axes])), -1)
            channels = [set(row[row >= 0].tolist()) for row in places]  # some places of a window are off the input
            assert all(len(each) == 1 for each in channels)
            assert len(set.union(*channels)) == len(channels)


def test_what_has_no_inputs() -> None:
    assert input_axes("DepthwiseConv2D", "kernel", (3, 3, 8, 2), {}, "dw") == ()
    assert input_axes("DepthwiseConv2D", "depthwise_kernel", (3, 3, 8, 2), {}, "dw") == ()
    assert input_axes("SeparableConv2D", "depthwise_kernel", (3, 3, 8, 2), {}, "sep") == ()
    assert input_axes("Dense", "bias", (8,), {}, "dense") == ()
    assert input_axes("BatchNormalization", "gamma", (8,), {}, "bn") == ()


def test_names_and_classes_tell() -> None:
    assert input_axes("EinsumDense", "kernel", (8, 2, 4), {}, "query") == (0,)
    assert input_axes("EinsumDense", "kernel", (2, 4, 8), {}, "attention_output") == (0, 1)
    assert input_axes("EinsumDense", "kernel", (2, 4, 8), {}, "theirs") == ()
    assert input_axes("EinsumDense", "kernel", (4, 8), {}, "theirs") == (0,)
    assert input_axes("Embedding", "embeddings", (100, 8), {}, "tokens") == (1,)
    assert input_axes("LocallyConnected2D", "kernel", (16, 27, 8), {}, "local") == (1,)
    assert input_axes("AutoRotConv2DTranspose", "kernel", (3, 3, 8, 4), {}, "up") == (3,)
    assert input_axes("LSTMCell", "recurrent_kernel", (8, 32), {}, "cell") == (0,)
    assert input_axes(None, "kernel", (5, 8), {}, "theirs") == (0,)
