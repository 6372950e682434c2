"""What the backend can do that the layers are tested under: TensorFlow, or the one in KERAS_BACKEND."""

from __future__ import annotations

import pytest

keras = pytest.importorskip("keras")

# Keras computes some functions in float32 under JAX, whatever they are given.
EXACT, NEAR = ("float64", 1e-9) if keras.backend.backend() == "tensorflow" else ("float32", 2e-5)
"""The dtype to compare values in, and how far off they may be."""


def made(dtype: str) -> str:
    """The dtype that asking for one gives: JAX makes float32 of float64 unless it is told to have it."""
    name: str = keras.backend.standardize_dtype(keras.ops.zeros((), dtype).dtype)
    return name
