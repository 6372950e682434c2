"""What activations make of constant channels, against the formulas of Keras's documentation, and values by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wtool.graphs.constant_values import alike, behind_layer, combined, pads_nothing

NAN = float("nan")
VALUES = np.array([-2.0, 0.0, 0.5, 1.0, 9.0, NAN])
CASES: list[tuple[str, dict[str, Any], list[float]]] = [
    ("ReLU", {}, [0, 0, 0.5, 1, 9, NAN]),
    ("ReLU", {"max_value": 6, "negative_slope": 0.5, "threshold": 1}, [-1.5, -0.5, -0.25, 1, 6, NAN]),
    ("LeakyReLU", {"negative_slope": 0.25}, [-0.5, 0, 0.5, 1, 9, NAN]),
    ("LeakyReLU", {"alpha": 0.25}, [-0.5, 0, 0.5, 1, 9, NAN]),
    ("ELU", {"alpha": 2.0}, [2 * np.expm1(-2), 0, 0.5, 1, 9, NAN]),
    ("SpatialDropout2D", {"rate": 0.5}, VALUES.tolist()),
    ("UnitNormalization", {}, [NAN] * 6),
]


@pytest.mark.parametrize(("name", "config", "expected"), CASES)
def test_single_values(name: str, config: dict[str, Any], expected: list[float]) -> None:
    found = behind_layer(name, "each value", config, VALUES, 1, lambda _: None)
    np.testing.assert_allclose(found, expected)


def test_only_zero_stays_constant_beside_padding() -> None:
    for name, config, values in (
        ("ZeroPadding2D", {}, [NAN, 0]),
        ("AveragePooling2D", {"padding": "same"}, [NAN, 0]),
        ("AveragePooling2D", {"padding": "valid"}, [3, 0]),
        ("MaxPooling2D", {"padding": "same"}, [3, 0]),
    ):
        np.testing.assert_array_equal(
            behind_layer(name, "space", config, np.array([3.0, 0.0]), 3, lambda _: None), values
        )
    assert not pads_nothing("convolution", {"kernel_size": [3, 1], "padding": "same"})
    assert pads_nothing("convolution", {"kernel_size": [1, 1], "padding": "same"})
    assert pads_nothing("convolution", {"kernel_size": [3, 3], "padding": "valid"})


def test_several_tensors() -> None:
    left, right = np.array([1.0, NAN, NAN, 4.0]), np.array([2.0, 0.0, 5.0, 4.0])
    made = {
        "Add": [3, NAN, NAN, 8],
        "Subtract": [-1, NAN, NAN, 0],
        "Multiply": [2, 0, NAN, 16],
        "Average": [1.5, NAN, NAN, 4],
        "Maximum": [2, NAN, NAN, 4],
        "Minimum": [1, NAN, NAN, 4],
        "Dot": [NAN] * 4,
    }
    for name, expected in made.items():
        np.testing.assert_array_equal(combined(name, [left, right]), expected)
    np.testing.assert_array_equal(alike([left, right]), [NAN, NAN, NAN, 4])
