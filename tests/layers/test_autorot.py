"""Auto-Rotating layers against their definition: in NumPy for the simple ones, with Keras's own parents for all."""

from __future__ import annotations

import json
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


# --- what the constructors of arpkeras 1.0.0 take ---

LOW, HIGH = np.array([-1.0, 0.0, 0.5]), np.array([1.0, 0.0, 2.0])
XQ = 2 * HIGH - LOW


def by_its_formula(kind: str, weights: list[Array], x: Array, xq: Any, L: Any, options: dict[str, Any]) -> Array:
    """L / (|f(xQ)| + eps) * f(x), with f(xQ) by a whole batch whose every entry is xQ, as arpkeras computes it."""
    parent = getattr(keras.layers, kind)(*((4,) if kind == "Dense" else (4, 2)), dtype=EXACT, **options)
    parent.build(x.shape)
    parent.set_weights(weights)
    at_limit = np.asarray(parent(np.ones_like(x) * xq))
    return np.asarray(L / (abs(at_limit) + 1e-3) * np.asarray(parent(x)))


@pytest.mark.parametrize("form", [list, tuple, np.array])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("limits", "xQ", "L"),
    [
        ((LOW, HIGH), "auto", 3.0),
        ((LOW, HIGH), 1.5, 3.0),
        ((LOW, HIGH), np.array([0.5, -1.0, 2.0]), 3.0),
        ((-1.0, 1.0), np.array([0.5, -1.0, 2.0]), 3.0),
        ((-1.0, 1.0), "auto", np.array([1.0, 2.0, 3.0, 4.0])),
        ((LOW, HIGH), "auto", np.array([1.0, 2.0, 3.0, 4.0])),
    ],
)
@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "Conv2D", "Conv3D"])
def test_limits_of_their_own_for_channels(
    kind: str, limits: tuple[Any, Any], xQ: Any, L: Any, padding: str, form: Any
) -> None:
    def given(value: Any) -> Any:
        return form(value) if isinstance(value, np.ndarray) else value

    options = {} if kind == "Dense" else {"padding": padding}
    x = RNG.normal(size={"Dense": (5, 3), "Conv1D": (2, 5, 3), "Conv2D": (2, 5, 4, 3), "Conv3D": (2, 4, 3, 4, 3)}[kind])
    first = (4,) if kind == "Dense" else (4, 2)
    low, high = limits
    layer = getattr(layers, f"AutoRot{kind}")(
        *first, given(low), given(high), given(L), given(xQ), 1e-3, activation="tanh", dtype=EXACT, **options
    )
    layer.build(x.shape)
    weights = [RNG.normal(size=each.shape) for each in layer.get_weights()]
    layer.set_weights(weights)
    xq = 2 * high - low if isinstance(xQ, str) else xQ
    expected = np.tanh(by_its_formula(kind, weights, x, xq, L, options))
    assert np.asarray(layer(x)) == pytest.approx(expected, rel=10 * NEAR, abs=10 * NEAR)
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    again.build(x.shape)
    again.set_weights(weights)
    assert np.array_equal(np.asarray(again(x)), np.asarray(layer(x)))


def test_channels_first_have_their_limits_and_levels() -> None:
    layer = layers.AutoRotConv2D(4, 2, LOW, HIGH, [1.0, 2.0, 3.0, 4.0], data_format="channels_first")
    assert layer.along_channels(layer.limit, np.zeros((2, 3, 5, 4))).shape == (3, 1, 1)
    assert layer.along_channels(layer.level, np.zeros((2, 4, 5, 4))).shape == (4, 1, 1)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_limits_of_channels_are_saved(suffix: str, tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    x = layers.AutoRotDense(4, LOW, list(HIGH), 2, activation="arctan", name="rotating")(inputs)
    model = keras.Model(inputs, layers.Linked(layers.arctan)(keras.layers.Dense(2, activation=layers.arctan)(x)))
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
    assert loaded.get_layer("rotating").get_config() == model.get_layer("rotating").get_config()
    x = RNG.normal(size=(5, 3)).astype("float32")
    assert np.array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "Conv2D", "Conv3D"])
def test_arguments_by_place_come_in_the_order_of_arpkeras(kind: str) -> None:
    own = {"xmin_lim": 0, "xmax_lim": 1, "L": 2, "xQ_scalar": 3, "eps": 1e-3, "AutoRot": False}
    windows = {"strides": 2, "padding": "same", "data_format": "channels_last", "dilation_rate": 1}
    others = {
        "activation": "sigmoid", "use_bias": False, "kernel_initializer": "ones", "bias_initializer": "ones",
        "kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2",
        "kernel_constraint": "non_neg", "bias_constraint": "unit_norm",
    }  # fmt: skip
    first = {"units": 4} if kind == "Dense" else {"filters": 4, "kernel_size": 3}
    options = {**first, **own, **({} if kind == "Dense" else windows), **others}
    make = getattr(layers, f"AutoRot{kind}")
    by_place, by_name = make(*options.values(), name="x"), make(**options, name="x")
    assert by_place.get_config() == by_name.get_config()
    assert by_place.get_config()["activation"] == "sigmoid"


def test_without_L_it_is_switched_off() -> None:
    layer = layers.AutoRotDense(3, 0, 1, None, AutoRot=False, activation="relu")
    x = RNG.normal(size=(4, 5)).astype("float32")
    assert np.asarray(layer(x)) == pytest.approx(np.maximum(x @ np.asarray(layer.kernel), 0), abs=1e-5)
    assert type(layer).from_config(layer.get_config()).L is None
    assert layers.AutoRotDense(3, 0, 1, "auto", AutoRot=False, activation="relu").rotated_activation is not None
    assert layers.AutoRotLSTM(3, 0, 1, None, AutoRot=False).L is None


@pytest.mark.parametrize("kind", ["Dense", "Conv2D", "DepthwiseConv2D", "LSTM"])
@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"xmin_lim": 1.0, "xmax_lim": -1.0}, r"xmin_lim = 1.0 and xmax_lim = -1.0: the smaller one comes first"),
        ({"xmin_lim": [0.0, 2.0], "xmax_lim": [1.0, 1.0]}, "the smaller one comes first"),
        ({"xmin_lim": float("nan"), "xmax_lim": 1.0}, "the smaller one comes first"),
        ({"L": None}, "only with AutoRot=False"),
        ({"L": 0.0}, "not above 0"),
        ({"L": -2.0}, "not above 0"),
    ],
)
def test_limits_and_levels_that_cannot_be(kind: str, own: dict[str, Any], words: str) -> None:
    given = {"xmin_lim": 0.0, "xmax_lim": 1.0, "L": "auto", "activation": "tanh", **own}
    first = {"Dense": (3,), "Conv2D": (3, 2), "DepthwiseConv2D": (2,), "LSTM": (3,)}[kind]
    with pytest.raises(ValueError, match=words):
        getattr(layers, f"AutoRot{kind}")(*first, **given)


def test_arctan() -> None:
    x = np.linspace(-9, 9, 7)
    for name in ("arctan", "wtool>arctan", layers.arctan):
        layer = layers.AutoRotDense(1, 0, 1, "auto", activation=name, use_bias=False, dtype=EXACT)
        assert layer.level == 7.0
        layer.build((None, 1))
        layer.set_weights([np.ones((1, 1))])
        assert np.asarray(layer(x[:, None]))[:, 0] == pytest.approx(np.arctan(7 / (2 + 1e-5) * x), rel=NEAR, abs=NEAR)
    assert layers.AutoRotLSTM(3, 0, 1, "auto", activation="arctan").state_limit == pytest.approx(1.5 * np.pi)
    config = keras.activations.serialize(layers.arctan)
    assert "wtool>arctan" in str(config)
    assert keras.activations.get(config) is layers.arctan
