"""Auto-Rotating layers against their definition: in NumPy for the simple ones, with Keras's own parents for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import backends
from tests.backends import EXACT, NEAR, keras
from tests.models import Array

pytestmark = pytest.mark.tensorflow
layers = pytest.importorskip("wtool.layers")

RNG = np.random.default_rng(0)
KINDS: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
    ("Dense", (5,), (4, 7)),
    ("Dense", (5,), (4, 3, 7)),
    ("Conv1D", (5, 3), (4, 9, 2)),
    ("Conv2D", (5, 3), (4, 7, 8, 2)),
    ("Conv3D", (5, 2), (2, 4, 5, 4, 2)),
    ("Conv1DTranspose", (5, 3), (4, 6, 2)),
    ("Conv2DTranspose", (5, 3), (3, 4, 5, 2)),
    ("Conv3DTranspose", (3, 2), (2, 3, 3, 3, 2)),
    ("SeparableConv1D", (5, 3), (4, 9, 2)),
    ("SeparableConv2D", (5, 3), (4, 7, 8, 2)),
    ("DepthwiseConv1D", (3,), (4, 9, 2)),
    ("DepthwiseConv2D", (3,), (4, 7, 8, 2)),
]


def pair(kind: str, first: tuple[Any, ...], shape: tuple[int, ...], **options: Any) -> tuple[Any, Any, Array]:
    """An Auto-Rotating layer, its parent without activation and with the same weights, and an input."""
    own = {name: options.pop(name) for name in ("L", "xQ_scalar", "eps", "AutoRot") if name in options}
    activation = options.pop("activation", "tanh")
    layer = getattr(layers, f"AutoRot{kind}")(
        *first, 0.0, 1.0, own.pop("L", 2.0), activation=activation, **own, **options
    )
    parent = getattr(keras.layers, kind)(*first, **options)
    x = RNG.random(shape).astype(np.float32)
    layer.build(x.shape)
    parent.build(x.shape)
    weights = [RNG.normal(size=weight.shape) for weight in parent.get_weights()]
    layer.set_weights(weights)
    parent.set_weights(weights)
    return layer, parent, x


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kind", "first", "shape"), KINDS)
def test_values(kind: str, first: tuple[Any, ...], shape: tuple[int, ...], padding: str) -> None:
    """f(xQ) by a second pass over a whole constant batch, as the original package does it."""
    options = {} if kind == "Dense" else {"padding": padding, "strides": 2}
    layer, parent, x = pair(kind, first, shape, bias_initializer="ones", **options)
    f, limit = np.asarray(parent(x), np.float64), np.asarray(parent(np.full_like(x, 2.0)), np.float64)
    expected = np.tanh(2.0 / (abs(limit) + 1e-5) * f)
    assert np.asarray(layer(x)) == pytest.approx(expected, abs=2e-5)
    assert tuple(layer.compute_output_shape(x.shape)) == expected.shape


def test_dense_in_numpy() -> None:
    kernel, bias, x = RNG.normal(size=(7, 5)), RNG.normal(size=5), RNG.uniform(-1, 3, size=(4, 7))
    layer = layers.AutoRotDense(5, -1.0, 3.0, "auto", activation="sigmoid", dtype=EXACT)
    layer.build((None, 7))
    layer.set_weights([kernel, bias])
    rho = 4.0 / (abs(7.0 * kernel.sum(axis=0) + bias) + 1e-5)  # xQ = 2 * 3 - (-1)
    expected = 1 / (1 + np.exp(-rho * (x @ kernel + bias)))
    assert np.asarray(layer(x)) == pytest.approx(expected, rel=NEAR, abs=NEAR)
    given = layers.AutoRotDense(5, -1.0, 3.0, 1.5, 2.5, 0.1, activation="sigmoid", dtype=EXACT, use_bias=False)
    given.build((None, 7))
    given.set_weights([kernel])
    rho = 1.5 / (abs(2.5 * kernel.sum(axis=0)) + 0.1)
    assert np.asarray(given(x)) == pytest.approx(1 / (1 + np.exp(-rho * (x @ kernel))), rel=NEAR, abs=NEAR)


def test_convolution_in_numpy() -> None:
    kernel, bias, x = RNG.normal(size=(3, 2, 2, 4)), RNG.normal(size=4), RNG.random((3, 5, 6, 2))
    layer = layers.AutoRotConv2D(4, (3, 2), 0.0, 1.0, "auto", activation="tanh", dtype=EXACT)
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    f = np.zeros((3, 3, 5, 4))
    for row in range(3):
        for column in range(5):
            f[:, row, column] = np.tensordot(x[:, row : row + 3, column : column + 2], kernel, 3) + bias
    rho = 2.0 / (abs(2.0 * kernel.sum(axis=(0, 1, 2)) + bias) + 1e-5)
    assert np.asarray(layer(x)) == pytest.approx(np.tanh(rho * f), rel=NEAR, abs=NEAR)


@pytest.mark.parametrize(("kind", "first", "shape"), KINDS)
def test_switched_off_it_is_the_parent(kind: str, first: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    layer, parent, x = pair(kind, first, shape, AutoRot=False)
    assert np.array_equal(np.asarray(layer(x)), np.asarray(keras.ops.tanh(parent(x))))


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "bfloat16", "float64"])
def test_dead_units_give_no_nan(policy: str) -> None:
    dense = layers.AutoRotDense(3, 0, 1, 2, activation="tanh", dtype=policy)
    convolution = layers.AutoRotConv2D(3, 2, 0, 1, 2, activation="tanh", padding="same", dtype=policy)
    for layer, shape in ((dense, (2, 4)), (convolution, (2, 5, 5, 4))):
        layer.build(shape)
        layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
        out = layer(np.ones(shape, "float32"))
        assert keras.backend.standardize_dtype(out.dtype) == backends.made(policy.removeprefix("mixed_"))
        assert not np.asarray(keras.ops.cast(out, "float32")).any()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(("kind", "first", "shape"), KINDS)
def test_a_model_trains_saves_and_predicts_the_same(
    kind: str, first: tuple[Any, ...], shape: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(2)
    layer = getattr(layers, f"AutoRot{kind}")(*first, 0.0, 1.0, "auto", activation="tanh", name="rotating")
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    model.compile("adam", "mse")
    x = RNG.random((32, *shape[1:])).astype(np.float32)
    y = x.reshape(32, -1)[:, :1]
    before = [np.asarray(weight).copy() for weight in layer.trainable_weights]
    model.fit(x, y, epochs=2, verbose=0)
    for old, new in zip(before, layer.trainable_weights, strict=True):
        assert not np.array_equal(old, np.asarray(new)), "no gradient reached it"
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
    assert type(loaded.get_layer("rotating")) is type(layer)
    assert loaded.get_layer("rotating").get_config() == layer.get_config()
    assert np.array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(("kind", "first", "shape"), KINDS)
def test_files_tell_their_variables(
    kind: str, first: tuple[Any, ...], shape: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    inputs = keras.Input(shape[1:])
    layer = getattr(layers, f"AutoRot{kind}")(*first, 0.0, 1.0, 2.0, name="rotating")
    model = keras.Model(inputs, keras.layers.Flatten()(layer(inputs)))
    model.save(tmp_path / f"model{suffix}")
    found = wtool.inspect(tmp_path / f"model{suffix}")
    assert [tensor["role"] for tensor in found["tensors"]] == [weight.name for weight in layer.weights]
    assert {tensor["class"] for tensor in found["tensors"]} == {f"AutoRot{kind}"}
    assert not found["notes"]
    wtool.prune(tmp_path / f"model{suffix}", sparsity=0.5, output=tmp_path / f"out{suffix}")
    pruned = keras.models.load_model(tmp_path / f"out{suffix}")
    for old, new in zip(layer.weights, pruned.layers[1].weights, strict=True):
        if old.name != "bias":
            assert np.count_nonzero(np.asarray(new) == 0) == round(0.5 * np.asarray(old).size)


def test_signature() -> None:
    by_keyword = layers.AutoRotConv2D(
        filters=3, kernel_size=2, xmin_lim=0, xmax_lim=1, L=2, activation="tanh", AutoRot=False
    )
    by_place = layers.AutoRotConv2D(3, 2, 0, 1, 2, "auto", 1e-5, False, activation="tanh", name=by_keyword.name)
    assert by_place.get_config() == by_keyword.get_config()
    assert layers.AutoRotSeparableConv is layers.AutoRotSeparableConv2D
    with pytest.raises(TypeError, match="needs xmax_lim, L"):
        layers.AutoRotDense(3, 0)
    with pytest.raises(TypeError, match="twice"):
        layers.AutoRotDense(3, 0, 1, 2, units=4)
    with pytest.raises(ValueError, match="no L is known for relu"):
        layers.AutoRotDense(3, 0, 1, "auto", activation="relu")
    assert layers.AutoRotDense(3, 0, 1, "auto", activation="tanh").level == 2.0
