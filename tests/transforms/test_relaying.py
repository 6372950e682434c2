"""Arrays of old Kerases, laid out anew: against the arrays that tf_keras makes of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models import Array
from wtool.transforms.relaying import FUNCTIONS

GENERATOR = np.random.default_rng(0)


def numbers(*shape: int) -> Array:
    return GENERATOR.normal(size=shape).astype("float32")


def loaded(layer: Any, weights: list[Array]) -> list[Array]:
    """The weights that tf_keras makes of those of Keras 1 or cuDNN, as it loads them into a layer."""
    hdf5_format = pytest.importorskip("tf_keras.src.saving.legacy.hdf5_format")
    made: list[Array] = hdf5_format.preprocess_weights_for_loading(layer, list(weights), "1")
    return made


@pytest.mark.tensorflow
@pytest.mark.parametrize(("kind", "gates"), [("LSTM", "icfo"), ("GRU", "zrh")])
def test_gates_that_keras_1_stored_apart(kind: str, gates: str) -> None:
    layers = pytest.importorskip("tf_keras").layers
    stored = {
        f"{name}_{gate}": numbers(*shape)
        for gate in gates
        for name, shape in (("W", (4, 3)), ("U", (3, 3)), ("b", (3,)))
    }
    layer = getattr(layers, kind)(3, **({"reset_after": False} if kind == "GRU" else {}))
    layer.build((None, 5, 4))
    order = {"LSTM": "ifco", "GRU": "zrh"}[kind]
    for expected, name in zip(loaded(layer, list(stored.values())), "WUb", strict=True):
        found = FUNCTIONS["joined"](*(stored[f"{name}_{gate}"] for gate in order))
        assert (found == expected).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_arrays_of_cudnn(kind: str, gates: int) -> None:
    layers = pytest.importorskip("tf_keras").layers
    layer = getattr(layers, kind)(3)
    layer.build((None, 5, 4))
    kernel, recurrent, bias = stored = [numbers(4, 3 * gates), numbers(3, 3 * gates), numbers(6 * gates)]
    found = [
        FUNCTIONS["cudnn_kernel"](kernel, gates=gates), FUNCTIONS["cudnn_recurrent_kernel"](recurrent, gates=gates),
        FUNCTIONS[f"cudnn_bias_{kind.lower()}"](bias),
    ]  # fmt: skip
    for expected, each in zip(loaded(layer, stored), found, strict=True):
        assert (each == expected).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("kind", "first", "old", "arguments"),
    [
        ("Conv1D", False, (3, 1, 4, 6), {"drop": 1}),
        ("Conv1D", False, (6, 4, 3, 1), {"axes": (2, 3, 1, 0), "drop": 1}),
        ("Conv2D", True, (6, 4, 3, 2), {"axes": (2, 3, 1, 0)}),
        ("Conv3D", True, (6, 4, 3, 2, 1), {"axes": (2, 3, 4, 1, 0)}),
        ("Conv2DTranspose", False, (3, 2, 4, 6), {"axes": (0, 1, 3, 2)}),
        ("Conv2DTranspose", True, (6, 4, 3, 2), {"axes": (2, 3, 0, 1)}),
    ],
)
def test_kernels_of_keras_1(kind: str, first: bool, old: tuple[int, ...], arguments: Any) -> None:
    layers = pytest.importorskip("tf_keras").layers
    n = 1 if kind == "Conv1D" else 3 if kind == "Conv3D" else 2
    layer = getattr(layers, kind)(6, (3, 2, 1)[:n], data_format="channels_first" if first else "channels_last")
    layer.build((None, 4, *(8,) * n) if first else (None, *(8,) * n, 4))
    kernel = numbers(*old)
    found = FUNCTIONS["relaid"](kernel, **arguments)
    assert (found == loaded(layer, [kernel, numbers(6)])[0]).all()


def test_theano_used_kernels_back_to_front() -> None:
    kernel = numbers(3, 2, 4, 6)
    assert (FUNCTIONS["relaid"](kernel, turned=True) == kernel[::-1, ::-1]).all()
