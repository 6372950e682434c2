"""Aligned models in Keras: they predict what they did, train on as they would have, and come back from planted orders.

The reference of these tests has weights of its own, so that most channels move.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.aligned_applications import tried
from tests.models import arrays

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("quiet_keras")]
keras = pytest.importorskip("keras")
L = keras.layers


def image_to(channels: int) -> tuple[Any, Any]:
    image = keras.Input((6, 6, 2))
    return image, L.Conv2D(channels, 3, padding="same", activation="relu", name="stem")(image)


def mlp() -> Any:
    return keras.Sequential([keras.Input((6,)), L.Dense(8, "relu"), L.Dense(7, "tanh"), L.Dense(3)])


def cnn() -> Any:
    return keras.Sequential(
        [keras.Input((6, 6, 2)), L.Conv2D(6, 3), L.ReLU(), L.MaxPooling2D(), L.Conv2D(5, 2), L.Flatten(), L.Dense(3)]
    )


def channels_first() -> Any:
    """Flatten of channels that come first: the positions of a channel are next to each other."""
    first = L.Permute((3, 1, 2))
    return keras.Sequential(
        [keras.Input((6, 6, 2)), L.Conv2D(6, 3), first, L.Flatten(data_format="channels_first"), L.Dense(3)]
    )


def normalised() -> Any:
    image, x = image_to(6)
    x = L.PReLU(shared_axes=[1, 2])(L.BatchNormalization()(x))
    x = L.GroupNormalization(1)(L.Conv2D(5, 3, use_bias=False)(x))
    x = L.LayerNormalization()(L.Dense(8)(L.GlobalAveragePooling2D()(x)))
    return keras.Model(image, L.Dense(3, "softmax")(x))


def residual() -> Any:
    image, x = image_to(8)
    for _ in range(2):
        y = L.Conv2D(6, 3, padding="same", activation="relu")(x)
        x = L.Add()([x, L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(y))])
    return keras.Model(image, L.Dense(3)(L.GlobalMaxPooling2D()(x)))


def depthwise() -> Any:
    image, x = image_to(6)
    x = L.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = L.SeparableConv2D(7, 3, activation="relu")(x)
    return keras.Model(image, L.Dense(3)(L.Flatten()(x)))


def transposed() -> Any:
    image, x = image_to(6)
    x = L.Conv2DTranspose(5, 3, strides=2, activation="relu")(x)
    return keras.Model(image, L.Conv2D(2, 3)(L.UpSampling2D()(x)))


def concatenated() -> Any:
    given = keras.Input((6,))
    a = L.Dense(5, "relu")(given)
    b = L.Dense(4, "relu")(a)
    c = L.Dense(6, "relu")(L.Concatenate()([a, given, b]))
    return keras.Model(given, L.Dense(3)(L.Concatenate()([c, a])))


def grouped() -> Any:
    image, x = image_to(8)
    x = L.GroupNormalization(4)(L.Conv2D(8, 3, groups=2, activation="relu")(x))
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(6, 1)(x))))


def lstm() -> Any:
    return keras.Sequential([keras.Input((5, 4)), L.LSTM(6, return_sequences=True), L.LSTM(5), L.Dense(3)])


def gru() -> Any:
    first = L.GRU(6, return_sequences=True)
    return keras.Sequential([keras.Input((5, 4)), first, L.GRU(5, reset_after=False), L.Dense(4, "relu"), L.Dense(3)])


def simple_rnn() -> Any:
    return keras.Sequential([keras.Input((5, 4)), L.SimpleRNN(6, return_sequences=True), L.SimpleRNN(5), L.Dense(3)])


def bidirectional() -> Any:
    inner = L.Bidirectional(L.LSTM(5, return_sequences=True))
    outer = L.Bidirectional(L.GRU(4), merge_mode="sum")
    return keras.Sequential([keras.Input((5, 4)), inner, outer, L.Dense(3)])


def convolutional_lstm() -> Any:
    return keras.Sequential([keras.Input((3, 6, 6, 2)), L.ConvLSTM2D(5, 3), L.Flatten(), L.Dense(3)])


def attention() -> Any:
    words = keras.Input((5,), dtype="int32")
    x = L.Embedding(11, 12)(words)
    y = L.MultiHeadAttention(6, 2)(x, x)
    x = L.LayerNormalization()(L.Add()([x, y]))
    x = L.Add()([x, L.Dense(12)(L.Dense(16, "gelu")(x))])
    return keras.Model(words, L.Dense(3)(L.GlobalAveragePooling1D()(x)))


def nested() -> Any:
    inner = keras.Sequential([keras.Input((6,)), L.Dense(7, "relu"), L.Dense(9)])
    given = keras.Input((6,))
    return keras.Model(given, L.Dense(3)(L.Activation("relu")(inner(L.Dense(6, "relu")(given)))))


def shared() -> Any:
    """One layer in two places, whose channels are compared."""
    left, right = keras.Input((6,)), keras.Input((6,))
    tower = L.Dense(8, "relu")
    second = L.Dense(7, "relu")
    distance = L.Subtract()([second(tower(left)), second(tower(right))])
    return keras.Model([left, right], L.Dense(3)(distance))


def over_time() -> Any:
    steps = L.TimeDistributed(L.Dense(6, "relu"))
    return keras.Sequential([keras.Input((5, 4)), steps, L.Conv1D(7, 2), L.GlobalMaxPooling1D(), L.Dense(3)])


def spectral() -> Any:
    return keras.Sequential([keras.Input((6,)), L.SpectralNormalization(L.Dense(8, "relu")), L.Dense(7), L.Dense(3)])


def einsum() -> Any:
    given = keras.Input((5, 6))
    x = L.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d", activation="relu")(given)
    return keras.Model(given, L.Dense(3)(x))


def unit_norm() -> Any:
    """Layers that work on all channels alike."""
    given = keras.Input((6,))
    x = L.Dropout(0.0)(L.UnitNormalization()(L.Dense(8, "softmax")(given)))
    return keras.Model(given, L.Dense(3)(L.RMSNormalization()(L.Dense(7)(x))))


MODELS: dict[str, tuple[Callable[[], Any], int]] = {
    each.__name__: (each, groups)
    for each, groups in (
        (mlp, 2),
        (cnn, 2),
        (channels_first, 1),
        (normalised, 2),
        (residual, 3),
        (depthwise, 2),
        (transposed, 2),
        (concatenated, 3),
        (grouped, 1),
        (lstm, 2),
        (gru, 3),
        (simple_rnn, 2),
        (bidirectional, 3),
        (convolutional_lstm, 1),
        (attention, 3),
        (nested, 3),
        (shared, 2),
        (over_time, 2),
        (spectral, 1),
        (einsum, 1),
        (unit_norm, 2),
    )
}
"""Name -> how a model is made, and how many groups of its channels move at least."""


def inputs_of(model: Any, seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    return [
        random.integers(0, 11, (8, *each.shape[1:]))
        if "int" in str(each.dtype)
        else random.normal(size=(8, *each.shape[1:])).astype("float32")
        for each in model.inputs
    ]


def made(name: str, seed: int, path: Path, optimizer: Any = "adam") -> Any:
    """A model with random weights of every kind, trained for two steps."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = MODELS[name][0]()
    random = np.random.default_rng(seed)
    model.set_weights([_moved(each, random) for each in model.weights])
    model.compile(optimizer, "mse", run_eagerly=True)  # quicker than tracing
    train(model, 2)
    model.save(path)
    return model


def _moved(variable: Any, random: Any) -> Any:
    values = np.asarray(variable)
    noise = random.normal(size=values.shape)
    if not np.issubdtype(values.dtype, np.floating):
        return values
    return np.abs(noise) + 0.5 if "variance" in variable.path else values + 0.3 * noise


def train(model: Any, steps: int) -> None:
    x = inputs_of(model)
    y = np.random.default_rng(1).normal(size=predicted(model).shape)
    for _ in range(steps):
        model.train_on_batch(x if len(x) > 1 else x[0], y)


def predicted(model: Any) -> Any:
    x = inputs_of(model, 5)
    return np.asarray(model(x if len(x) > 1 else x[0], training=False))


@pytest.mark.parametrize("name", MODELS)
def test_an_aligned_model_computes_and_learns_the_same(name: str, tmp_path: Path) -> None:
    made(name, 2, tmp_path / "reference.keras")
    model = made(name, 1, tmp_path / "model.keras")
    (done,) = wtool.align(
        tmp_path / "model.keras", to=tmp_path / "reference.keras", seed=3, output=tmp_path / "a.keras"
    )
    assert sum(each.moved > 0 for each in done.groups.values()) >= MODELS[name][1], done
    assert done.similarity is not None
    assert done.similarity[1] > done.similarity[0]
    aligned = keras.models.load_model(tmp_path / "a.keras")
    before = predicted(model)
    scale = np.abs(before).max()
    np.testing.assert_allclose(predicted(aligned), before, atol=1e-5 * scale)
    train(model, 2)
    train(aligned, 2)
    after = predicted(model)
    assert np.abs(after - before).max() > 1e-4 * scale
    np.testing.assert_allclose(predicted(aligned), after, atol=2e-4 * scale)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True, gradient_accumulation_steps=2),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),
    "muon": lambda: keras.optimizers.Muon(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, centered=True, momentum=0.9),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Lion(0.001)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_every_kind_of_optimizer_goes_along(optimizer: str, tmp_path: Path) -> None:
    made("cnn", 2, tmp_path / "reference.keras")
    model = made("cnn", 1, tmp_path / "model.keras", OPTIMIZERS[optimizer]())
    wtool.align(tmp_path / "model.keras", to=tmp_path / "reference.keras", seed=3, output=tmp_path / "a.keras")
    aligned = keras.models.load_model(tmp_path / "a.keras")
    train(model, 2)
    train(aligned, 2)
    after = predicted(model)
    np.testing.assert_allclose(predicted(aligned), after, atol=1e-4 * np.abs(after).max())


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "depthwise"])
def test_a_planted_order_is_found_and_brings_back_the_bytes(name: str, tmp_path: Path) -> None:
    made(name, 2, tmp_path / "other.keras")
    made(name, 1, tmp_path / "model.keras")
    wtool.align(tmp_path / "model.keras", to=tmp_path / "other.keras", seed=3, output=tmp_path / "moved.keras")
    (back,) = wtool.align(tmp_path / "moved.keras", to=tmp_path / "model.keras", seed=4, output=tmp_path / "back.keras")
    first, moved, last = (arrays(tmp_path / f"{each}.keras") for each in ("model", "moved", "back"))
    assert back.similarity is not None
    assert back.similarity[1] == pytest.approx(1)
    assert any(not np.array_equal(first[each], moved[each]) for each in first)
    assert {each: values.tobytes() for each, values in first.items()} == {
        each: values.tobytes() for each, values in last.items()
    }


def test_verify_runs_both_models(tmp_path: Path) -> None:
    made("cnn", 2, tmp_path / "reference.keras")
    made("cnn", 1, tmp_path / "model.keras")
    (done,) = wtool.align(tmp_path / "model.keras", to=tmp_path / "reference.keras", verify=True)
    assert done.output == str(tmp_path / "model-align.keras")
    assert done.difference is not None
    assert done.difference[0] < 1e-5


@pytest.mark.slow
def test_an_application_in_a_random_order_computes_the_same_and_is_aligned_back(tmp_path: Path) -> None:
    trial = tried("MobileNetV3Small", tmp_path, minimalistic=True, input_shape=(32, 32, 3))
    assert trial.moved > 0.9 * trial.channels
    assert trial.after == pytest.approx(1)


@pytest.mark.slow
def test_the_mean_of_two_trainings_is_a_good_model_behind_an_alignment(tmp_path: Path) -> None:
    """Digits, two hidden layers, other initial values. docs/experiments/alignment.py has networks of other kinds."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = digits.data[order].astype("float32") / 16, digits.target[order]
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((64,)), L.Dense(256, "relu"), L.Dense(256, "relu"), L.Dense(10)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x[:1200], y[:1200], batch_size=32, epochs=15, verbose=0)
        model.save(tmp_path / f"{seed}.keras")

    def accuracy(name: str) -> float:
        found = keras.models.load_model(tmp_path / name)(x[1200:])
        return float((np.asarray(found).argmax(1) == y[1200:]).mean())

    wtool.align(tmp_path / "1.keras", to=tmp_path / "2.keras", seed=0, output=tmp_path / "aligned.keras")
    for first, mean in (("1", "before"), ("aligned", "after")):
        wtool.average([tmp_path / f"{first}.keras", tmp_path / "2.keras"], output=tmp_path / f"{mean}.keras")
    assert accuracy("after.keras") >= 0.95 * max(accuracy("1.keras"), accuracy("2.keras"))
    assert accuracy("after.keras") > accuracy("before.keras")
