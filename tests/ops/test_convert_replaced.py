"""What the user puts in the place of layers: results that Keras loads, or a refusal in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")
L = keras2.layers


def refused(model: Any, words: str, folder: Path) -> str:
    """The only reason for which a replacement is refused."""
    model.save(folder / "old.h5")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(folder / "old.h5", output=folder / "new.keras", replace=[words])
    assert not (folder / "new.keras").exists()
    (reason,) = raised.value.refused
    assert reason.rule == "unfit replacement"
    return reason.text


def replaced(model: Any, words: str, folder: Path) -> Any:
    """What Keras 3 loads of a model with a replacement."""
    model.save(folder / "old.h5")
    wtool.convert(folder / "old.h5", output=folder / "new.keras", replace=[words])
    return keras.models.load_model(folder / "new.keras")


def of_two_outputs(*, ends: bool = False) -> Any:
    given = keras2.Input((4, 3))
    first, second = L.Lambda(lambda t: (t * 2, t + 1), name="two")(given)
    return keras2.Model(given, [first, second] if ends else L.Add()([first, second]))


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(
    ("words", "given"),
    [("Rescaling:scale=2", "Rescaling, which --replace names, gives one output"),
     ("GRU:units=3", "gives one output"),
     ('TimeDistributed:layer={"class_name":"ReLU","config":{}}', "gives one output")],
)  # fmt: skip
def test_a_layer_that_gives_fewer_outputs_is_refused(words: str, given: str, ends: bool, tmp_path: Path) -> None:
    text = refused(of_two_outputs(ends=ends), f"two={words}", tmp_path)
    assert "uses 2 of its outputs" in text
    assert given in text


def test_an_operation_of_several_outputs_is_refused_a_layer_of_one(tmp_path: Path) -> None:
    import tensorflow as tf

    given = keras2.Input((4, 3))
    parts = tf.unstack(given, axis=1, num=4)
    text = refused(keras2.Model(given, L.Add()(parts)), "tf.unstack=Rescaling:scale=2", tmp_path)
    assert "uses 4 of its outputs" in text


def test_an_output_that_the_model_does_not_use_is_not_asked_for(tmp_path: Path) -> None:
    given = keras2.Input((4, 3))
    first, _ = L.Lambda(lambda t: (t * 2, t + 1), name="two")(given)
    new = replaced(keras2.Model(given, L.ReLU()(first)), "two=Rescaling:scale=2", tmp_path)
    np.testing.assert_allclose(new.predict(np.ones((1, 4, 3)), verbose=0), np.full((1, 4, 3), 2.0))


def of(*, inputs: int = 1) -> Any:
    given = [keras2.Input((4, 3)) for _ in range(inputs)]
    made = L.Lambda(lambda t: t[0] * 2 if isinstance(t, list) else t * 2, name="lam")(given if inputs > 1 else given[0])
    return keras2.Model(given, L.ReLU()(made))


@pytest.mark.parametrize(
    ("words", "reason"),
    [("Rescaling:scal=2,scale=2",
      "gives Rescaling scal, which it has not as a setting; settings of Rescaling are scale"),
     ("Rescaling", "names Rescaling without scale, which it cannot do without"),
     ("Conv1D:filters=3", "names Conv1D without kernel_size,"),
     ("Add:axis=1", "Add has no settings of its own"),
     ("SpatialDropout1D:rate=.5,trainable=false", "gives SpatialDropout1D trainable,"),
     ("ThresholdedReLU:theta=1", "Keras 3 has no layer ThresholdedReLU"),
     ("MultiHeadAttention:num_heads=2,key_dim=2", "takes each of several tensors as an argument of its own"),
     ("Add", "it takes 1 tensor, and Add, which --replace names, takes 2 or more"),
     ("Dot:axes=1", "it takes 1 tensor, and Dot, which --replace names, takes 2")],
)  # fmt: skip
def test_words_that_keras_does_not_take_are_refused(words: str, reason: str, tmp_path: Path) -> None:
    of().save(tmp_path / "old.h5")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(tmp_path / "old.h5", output=tmp_path / "new.keras", replace=[f"lam={words}"])
    assert all(each.rule == "unfit replacement" for each in raised.value.refused)
    assert any(reason in each.text for each in raised.value.refused)


@pytest.mark.parametrize(
    ("inputs", "words", "reason"),
    [(2, "Rescaling:scale=2", "it takes 2 tensors, and Rescaling, which --replace names, takes 1"),
     (3, "Subtract", "it takes 3 tensors, and Subtract, which --replace names, takes 2")],
)  # fmt: skip
def test_a_layer_that_takes_another_number_of_inputs_is_refused(
    inputs: int, words: str, reason: str, tmp_path: Path
) -> None:
    assert refused(of(inputs=inputs), f"lam={words}", tmp_path) == reason


@pytest.mark.parametrize(("inputs", "words", "value"), [(2, "Add", 2.0), (3, "Average", 1.0), (2, "Dot:axes=2", 3.0)])
def test_a_layer_that_takes_all_inputs_takes_the_place(inputs: int, words: str, value: float, tmp_path: Path) -> None:
    found = replaced(of(inputs=inputs), f"lam={words}", tmp_path).predict([np.ones((1, 4, 3))] * inputs, verbose=0)
    np.testing.assert_allclose(found, np.full_like(found, value))


def test_a_tensor_beside_the_first_argument_is_not_lost(tmp_path: Path) -> None:
    one, two = keras2.Input((3,)), keras2.Input((3,))
    model = keras2.Model([one, two], L.ReLU()(one * two))
    (name,) = (layer.name for layer in model.layers if layer.name.startswith("tf.math.multiply"))
    text = refused(model, f"{name}=Rescaling:scale=2", tmp_path)
    assert "it takes tensors as y besides its first argument" in text


def test_an_entry_as_keras_3_writes_it_takes_the_place(tmp_path: Path) -> None:
    layer = keras.saving.serialize_keras_object(keras.layers.Rescaling(2.0))
    (tmp_path / "layer.json").write_text(json.dumps(layer))
    new = replaced(of(), f"lam={tmp_path / 'layer.json'}", tmp_path)
    np.testing.assert_allclose(new.predict(np.ones((1, 4, 3)), verbose=0), np.full((1, 4, 3), 2.0))
