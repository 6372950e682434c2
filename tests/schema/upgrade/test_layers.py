"""Every layer of tf_keras, upgraded and loaded by Keras 3, computes what it computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.schema.upgrade.layer_cases import CASES, Case

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("plain_recurrence")]
tf_keras = pytest.importorskip("tf_keras")
twins = pytest.importorskip("tests.schema.upgrade.twins")


def layer_of(kind: str, settings: dict[str, Any]) -> Any:
    """A layer of tf_keras; pairs among its settings become layers, too."""

    def inner(value: Any) -> Any:
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):
            return layer_of(*value)
        return [inner(each) for each in value] if isinstance(value, list) else value

    home = tf_keras.layers if hasattr(tf_keras.layers, kind) else tf_keras.layers.experimental
    return getattr(home, kind)(**{key: inner(value) for key, value in settings.items()})


def model_of(case: Case) -> Any:
    """A model of the layer alone, with random weights."""
    dtype = case.dtype if case.settings.get("dtype") != "float64" else "float64"
    inputs = [tf_keras.Input(shape, dtype=dtype) for shape in case.shapes]
    layer = layer_of(case.kind, case.settings)
    given = inputs if case.kind == "MultiHeadAttention" else [inputs[0] if len(inputs) == 1 else inputs]
    with pytest.MonkeyPatch.context() as patch:
        if case.kind == "SpectralNormalization":  # tf_keras 2.21 takes the InputSpec of whatever tf.keras is
            patch.setattr("tensorflow.keras.layers.InputSpec", tf_keras.layers.InputSpec)
        outputs = layer(*given, **case.call)
    model = tf_keras.Model(inputs, outputs)
    generator = np.random.default_rng(1)
    positive = ("variance", "count", "stddev")
    for weight in model.weights if case.dtype != "string" else ():
        values = generator.normal(0, 0.7, weight.shape)
        values = np.abs(values) + 0.1 if any(word in weight.name for word in positive) else values
        if weight.dtype.is_floating:
            weight.assign(values)
    return model


def inputs_of(case: Case) -> list[Any]:
    """What the model is given."""
    if case.values is None:
        generator = np.random.default_rng(2)
        return [generator.normal(0, 1.5, (2, *shape)).astype(case.dtype) for shape in case.shapes]
    values = np.array(case.values, object if case.dtype == "string" else case.dtype)
    return [values] * len(case.shapes)


def weights_of(model: Any, case: Case) -> list[Any]:
    """The weights of a model in the order of Keras 3."""
    weights = model.get_weights()
    if case.kind == "SpectralNormalization":
        kernel, bias, vector = weights
        return [kernel, vector, bias]
    return weights if case.dtype != "string" else []  # a lookup has them among its settings


def arrays_of(outputs: Any) -> list[Any]:
    return [np.asarray(each) for each in twins.keras.tree.flatten(outputs)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{n}-{case.kind}" for n, case in enumerate(CASES)])
def test_the_upgraded_layer_computes_the_same(number: int) -> None:
    case = CASES[number]
    old = model_of(case)
    result = twins.upgraded(old)
    assert not result.refused
    new = twins.keras.saving.deserialize_keras_object(json.loads(json.dumps(result.config)), safe_mode=True)
    twins.assert_told_is_true(result.config["config"], new)
    new.set_weights(weights_of(old, case))
    for layer in (*old.layers, *new.layers):
        if layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()  # what it computes from its variables, and does whenever a file is loaded
    given = [twins.keras.ops.convert_to_tensor(each) for each in inputs_of(case)]
    expected, found = (arrays_of(model(given, training=False)) for model in (old, new))
    assert len(expected) == len(found)
    half = "float16" in str(case.settings.get("dtype"))
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        if one.dtype == object:
            assert (one == other).all()
        else:
            values = (np.asarray(each, "float64") for each in (other, one))
            np.testing.assert_allclose(*values, rtol=0, atol=2e-3 if half else 1e-5, equal_nan=False)


def test_a_renormalizing_layer_trains_as_it_did() -> None:
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization

    given = tf_keras.Input((5,))
    old = tf_keras.Model(given, BatchNormalization(renorm=True, renorm_momentum=0.9, momentum=0.8)(given))
    new = twins.twin(old)
    generator = np.random.default_rng(4)
    for step in range(3):
        values = generator.normal(step, 1 + step, (16, 5)).astype("float32")
        for training in (True, False):
            expected, found = (np.asarray(model(values, training=training)) for model in (old, new))
            assert found == pytest.approx(expected, abs=1e-5)


def written_out() -> Any:
    """A model of tf_keras with hard_sigmoid wherever an activation stands."""
    given = tf_keras.Input((5, 4))
    cell = tf_keras.layers.LSTM(3, recurrent_activation="hard_sigmoid", activation="hard_sigmoid")
    dense = tf_keras.layers.Dense(2, activation="hard_sigmoid", kernel_regularizer="l2")
    return tf_keras.Model(given, dense(cell(given)))


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_an_activation_that_is_written_out_survives_files(name: str, tmp_path: Path) -> None:
    old = written_out()
    twins.twin(old).save(tmp_path / name)
    twins.assert_same(old, twins.keras.models.load_model(tmp_path / name, safe_mode=True, compile=False))


def test_an_activation_that_is_written_out_trains_as_it_did() -> None:
    old = written_out()
    new = twins.twin(old)
    values = np.random.default_rng(5).normal(size=(8, 5, 4)).astype("float32")
    losses = []
    for model, optimizers in ((old, tf_keras.optimizers), (new, twins.keras.optimizers)):
        model.compile(optimizers.Adam(0.05), "mse", run_eagerly=True)
        losses.append([model.train_on_batch(values, np.ones((8, 2))) for _ in range(3)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
def test_attention_that_is_causal_by_a_setting(kind: str) -> None:
    given = tf_keras.Input((5, 4))
    old = tf_keras.Model(given, getattr(tf_keras.layers, kind)(name="a")([given, given], use_causal_mask=True))
    config = json.loads(old.to_json())
    layer = config["config"]["layers"][1]
    layer["config"]["causal"] = True  # as TensorFlow 2.3 wrote it
    layer["inbound_nodes"][0][0][3].pop("use_causal_mask")
    result = twins.upgrade(config, None, "2.4.0", {}, twins.Wishes())
    new = twins.keras.saving.deserialize_keras_object(result.config, safe_mode=True)
    new.set_weights(old.get_weights())
    values = np.random.default_rng(6).normal(size=(2, 5, 4)).astype("float32")
    assert np.asarray(new(values)) == pytest.approx(np.asarray(old(values)), abs=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_states_are_kept_from_batch_to_batch(kind: str) -> None:
    given = tf_keras.Input(batch_shape=(2, 5, 4))
    old = tf_keras.Model(given, getattr(tf_keras.layers, kind)(3, stateful=True)(given))
    new = twins.twin(old)
    generator = np.random.default_rng(7)
    for _ in range(3):
        values = generator.normal(size=(2, 5, 4)).astype("float32")
        assert np.asarray(new(values)) == pytest.approx(np.asarray(old(values)), abs=1e-5)


def test_statistics_of_each_step_in_training_are_told() -> None:
    L = tf_keras.layers
    given = tf_keras.Input((3, 4))
    inner = tf_keras.Sequential([L.Dense(4), L.BatchNormalization()])
    result = twins.upgraded(tf_keras.Model(given, L.TimeDistributed(inner, name="steps")(given)))
    assert [note for note in result.notes if "inside steps" in note]
    assert not twins.upgraded(tf_keras.Model(given, L.TimeDistributed(L.Dense(4))(given))).notes


@pytest.mark.parametrize("axis", [[2, 1], [1, -1]])
def test_axes_that_keras_3_sorts(axis: list[int]) -> None:
    given = tf_keras.Input((3, 3))
    config = json.loads(tf_keras.Model(given, tf_keras.layers.LayerNormalization(axis=[1, 2])(given)).to_json())
    config["config"]["layers"][1]["config"]["axis"] = axis
    result = twins.upgrade(config, None, "2.15.0", {}, twins.Wishes())
    assert [each.rule for each in result.refused] == ([] if axis == [2, 1] else ["unknown setting"])
    assert axis != [2, 1] or result.config["config"]["layers"][1]["config"]["axis"] == [1, 2]


def test_float64_that_keras_3_rounds_is_told() -> None:
    L = tf_keras.layers
    given = tf_keras.Input((5, 4), dtype="float64")
    layers = [L.MultiHeadAttention(2, 3, dtype="float64", name="heads"), L.ReLU(dtype="float64")]
    layers.append(L.GRU(3, recurrent_activation="hard_sigmoid", dtype="float64", name="gates"))
    old = tf_keras.Model(given, layers[2](layers[1](layers[0](given, given))))
    result = twins.upgraded(old)
    assert all("about 1e-8" in note for note in result.notes)
    assert [name for name in ("heads", "gates", "re_lu") if name in " ".join(result.notes)] == ["heads", "gates"]
    values = np.random.default_rng(0).normal(size=(2, 5, 4))
    assert np.asarray(twins.twin(old, result)(values)) == pytest.approx(np.asarray(old(values)), abs=1e-6)
