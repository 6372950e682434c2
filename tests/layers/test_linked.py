"""Linked neurons against their definition in NumPy; trained, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import backends
from tests.backends import keras
from tests.models import Array

pytestmark = pytest.mark.tensorflow
layers = pytest.importorskip("wtool.layers")

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def selu(x: Array) -> Array:
    return np.where(x > 0, SCALE * x, SCALE * ALPHA * np.expm1(x))


def swish(x: Array) -> Array:
    return x / (1 + np.exp(-x))


CASES: list[tuple[str, dict[str, Any], Callable[[Array], Array]]] = [
    ("LKReLU", {}, relu),
    ("LKSELU", {}, selu),
    ("LKSwish", {}, swish),
    ("Linked", {"activation": "tanh"}, np.tanh),
    ("Linked", {"activation": "softplus"}, lambda x: np.log1p(np.exp(x))),
]
X = np.random.default_rng(0).normal(size=(3, 5, 4, 6)).astype(np.float32)


def made(name: str, options: dict[str, Any]) -> Any:
    return getattr(layers, name)(**options)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("name", "options", "function"), CASES)
def test_values(name: str, options: dict[str, Any], function: Callable[[Array], Array], axis: int) -> None:
    layer = made(name, {**options, "axis": axis})
    exact = X.astype(np.float64)
    expected = np.concatenate([function(exact), function(-exact)], axis=axis)
    found = np.asarray(layer(X))
    assert found == pytest.approx(expected, abs=1e-6)
    assert layer.compute_output_shape(X.shape) == found.shape
    assert layer.compute_output_shape((None, 5, None, 6)) == (
        (None, 5, None, 12) if axis == -1 else (None, 10, None, 6)
    )


@pytest.mark.parametrize(("shared", "shape"), [(None, (5, 4, 6)), ([1, 2], (1, 1, 6)), (1, (1, 4, 6))])
def test_slopes_of_each_half(shared: Any, shape: tuple[int, ...]) -> None:
    layer = layers.LKPReLU(shared_axes=shared)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    alpha, other = rng.normal(size=shape), rng.normal(size=shape)
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [shape, shape]
    layer.set_weights([alpha, other])
    expected = np.concatenate([np.where(X > 0, X, alpha * X), np.where(-X > 0, -X, other * -X)], axis=-1)
    assert np.asarray(layer(X)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float32", "float64", "mixed_float16"])
def test_policies(policy: str) -> None:
    for layer in (layers.LKReLU(dtype=policy), layers.LKPReLU(dtype=policy), layers.Linked("tanh", dtype=policy)):
        found = layer(X)
        assert keras.backend.standardize_dtype(found.dtype) == backends.made(policy.removeprefix("mixed_"))
        assert tuple(found.shape) == (3, 5, 4, 12)


def test_masks_pass() -> None:
    inputs = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    x = layers.LKReLU()(x)
    model = keras.Model(inputs, keras.layers.LSTM(3)(x))
    short, long = np.array([[1, 2, 3, 0, 0, 0, 0]]), np.array([[1, 2, 3]])
    assert np.asarray(model(short)) == pytest.approx(np.asarray(keras.Model(inputs, model.output)(short)))
    rest = keras.Sequential(model.layers[1:])
    assert np.asarray(rest(long)) == pytest.approx(np.asarray(model(short)), abs=1e-6)


def model_of(layer: Any) -> Any:
    inputs = keras.Input((6,))
    x = layer(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(("name", "options"), [*((name, options) for name, options, _ in CASES), ("LKPReLU", {})])
def test_a_model_trains_saves_and_predicts_the_same(
    name: str, options: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    model = model_of(made(name, options))
    x = np.random.default_rng(2).normal(size=(200, 6)).astype(np.float32)
    y = np.abs(x[:, :1]) - x[:, 1:2]
    before = model.evaluate(x, y, verbose=0)
    slopes = [np.array(weight) for weight in model.layers[2].weights]
    model.fit(x, y, epochs=15, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.5 * before
    for old, new in zip(slopes, model.layers[2].weights, strict=True):
        assert not np.array_equal(old, np.asarray(new)), "a slope was not trained"
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    loaded = keras.models.load_model(path, compile=False)
    assert type(loaded.layers[2]) is getattr(layers, name)
    assert np.array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


def test_configurations_go_round() -> None:
    for name, options in [
        ("LKReLU", {"axis": 1}),
        ("Linked", {"activation": "gelu"}),
        (
            "LKPReLU",
            {
                "shared_axes": [1, 2],
                "alpha_regularizer": "l2",
                "alpha_constraint": "non_neg",
                "alpha_initializer": "ones",
            },
        ),
    ]:
        layer = made(name, options)
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert other.get_config() == layer.get_config()


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_slopes_are_no_kernels(suffix: str, tmp_path: Path) -> None:
    inputs = keras.Input((4, 6))
    x = layers.LKPReLU(name="slopes")(keras.layers.Dense(8, name="before")(inputs))
    x = layers.LKReLU(name="halves")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, name="after")(x))
    path = tmp_path / f"model{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    found = wtool.inspect(path)
    roles = {tensor["path"].split("/")[-2:][0] + "/" + tensor["role"] for tensor in found["tensors"]}
    assert {"slopes/alpha", "slopes/linked_alpha", "before/kernel", "after/kernel"} <= roles
    assert not found["notes"]
    (done,) = wtool.prune(path, sparsity=0.5, output=tmp_path / f"out{suffix}")
    assert done.selected == 6 * 8 + 32


def test_offline_commands_work_on_them(tmp_path: Path) -> None:
    model = model_of(layers.LKPReLU())
    model.save(tmp_path / "model.keras")
    wtool.prune(tmp_path / "model.keras", sparsity=0.5)
    pruned = keras.models.load_model(tmp_path / "model-prune.keras")
    assert np.count_nonzero(np.asarray(pruned.layers[1].kernel) == 0) == 24
    assert wtool.check(tmp_path / "model.keras").findings == ()
