"""What the user puts in the place of layers: results that Keras loads, or a refusal in words."""

from __future__ import annotations

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
