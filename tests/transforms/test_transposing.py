"""Kernels of PyTorch with their axes as Keras has them, place by place."""

from __future__ import annotations

import numpy as np
import pytest

from wtool.transforms.transposing import transposed, transposed_shape


@pytest.mark.parametrize(
    ("torch", "keras"),
    [((5, 3), (3, 5)), ((5, 3, 4), (4, 3, 5)), ((6, 3, 2, 4), (2, 4, 3, 6)), ((6, 3, 2, 4, 5), (2, 4, 5, 3, 6))],
)
def test_kernels_of_every_rank_have_window_inputs_outputs(torch: tuple[int, ...], keras: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(0).normal(size=torch)
    new = transposed(kernel, keras)
    assert new.shape == keras == transposed_shape(torch, keras)
    for place in np.ndindex(torch):
        outputs, inputs, *window = place
        assert new[(*window, inputs, outputs)] == kernel[place]


def test_depthwise_kernels_get_their_channels_apart() -> None:
    kernel = np.random.default_rng(0).normal(size=(6, 1, 2, 4))  # three channels, each with two outputs
    new = transposed(kernel, (2, 4, 3, 2))
    assert transposed_shape(kernel.shape, (2, 4, 3, 2)) == new.shape == (2, 4, 3, 2)
    for channel, multiple in np.ndindex(3, 2):
        np.testing.assert_array_equal(new[:, :, channel, multiple], kernel[channel * 2 + multiple, 0])


def test_what_has_no_two_axes_stays() -> None:
    assert transposed_shape((3,), (3,)) == (3,)
    assert transposed(np.ones(()), ()).shape == ()
