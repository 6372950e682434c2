"""Calls that say `training` themselves: predict of Keras 3 overrides them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")
L = keras2.layers

SHAPE = (3, 4)
RNG = np.random.default_rng(0)


def within(*layers: Any, trainable: bool = True) -> Any:
    model = keras2.Sequential(layers, name="inner")
    model.trainable = trainable
    return model


def called(layer: Any, training: bool) -> Any:
    inputs = keras2.Input(SHAPE)
    model = keras2.Model(inputs, L.Dense(2)(layer(inputs, training=training)))
    model.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


TRAINED: dict[str, Callable[[], Any]] = {
    "statistics": lambda: L.BatchNormalization(name="inner"),
    "dropout": lambda: L.Dropout(0.5, name="inner"),
    "noise": lambda: L.GaussianNoise(0.5, name="inner"),
    "dropout of a recurrence": lambda: L.LSTM(2, recurrent_dropout=0.5, name="inner"),
    "inside a wrapper": lambda: L.TimeDistributed(L.Dropout(0.5), name="inner"),
    "inside a model": lambda: within(L.Dense(2), L.BatchNormalization()),
}
ALIKE: dict[str, Callable[[], Any]] = {
    "frozen statistics": lambda: L.BatchNormalization(trainable=False),
    "no dropout": lambda: L.LSTM(2),
    "a frozen model": lambda: within(L.Dense(2), L.BatchNormalization(), L.Dropout(0), trainable=False),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_call_in_training_is_refused_unless_the_user_replaces_the_layer(name: str, tmp_path: Path) -> None:
    called(TRAINED[name](), True).save(tmp_path / "old.keras")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras")
    assert [(each.layer, each.rule) for each in raised.value.refused] == [("inner", "training call")]
    assert not (tmp_path / "new.keras").exists()


def test_a_layer_in_the_place_of_one_called_in_training_is_called_plainly(tmp_path: Path) -> None:
    called(L.Dropout(0.5, name="inner"), True).save(tmp_path / "old.keras")
    wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras", replace=["inner=Dropout:rate=0.5"])
    model, given = keras.models.load_model(tmp_path / "new.keras"), np.ones((2, *SHAPE))
    np.testing.assert_array_equal(np.asarray(model(given)), np.asarray(model(given, training=False)))


@pytest.mark.parametrize("name", ALIKE)
def test_a_call_in_training_that_changes_nothing_is_kept(name: str, tmp_path: Path) -> None:
    old, given = called(ALIKE[name](), True), RNG.normal(size=(2, *SHAPE))
    old.save(tmp_path / "old.keras")
    (done,) = wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(
        np.asarray(new(given, training=False)), np.asarray(old(given, training=False)), rtol=1e-5, atol=1e-5
    )
    assert not any("training=" in note for note in done.notes)


@pytest.mark.parametrize("name", TRAINED)
def test_a_call_in_inference_is_kept_with_a_note(name: str, tmp_path: Path) -> None:
    old, given = called(TRAINED[name](), False), RNG.normal(size=(2, *SHAPE))
    old.save(tmp_path / "old.keras")
    (done,) = wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras")
    new = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_allclose(
        np.asarray(new(given, training=False)), np.asarray(old(given, training=False)), rtol=1e-5, atol=1e-5
    )
    assert any(note.startswith("inner is called with training=False") for note in done.notes)
