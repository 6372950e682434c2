"""Layers of the user's own classes that hold layers and variables, between the formats and versions of Keras."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")


def block_of(library: Any) -> Any:
    """Returns a class of layers in one of the Kerases. All of its vectors have one shape, and one is not trained."""

    class Block(library.layers.Layer):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.first, self.second = library.layers.Dense(4), library.layers.Dense(4)

        def build(self, shape: Any) -> None:
            self.count = self.add_weight(name="count", shape=(4,), initializer="ones", trainable=False)
            self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
            if library is keras:
                self.first.build(shape)
                self.second.build(shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.second(self.first(x * self.scale)) + self.count

        def get_config(self) -> Any:
            return {**super().get_config()}  # else Keras 2 writes the arguments alone

    return Block


OLD = keras2.utils.register_keras_serializable("TestsCustom")(block_of(keras2))
keras.saving.register_keras_serializable("TestsCustom")(block_of(keras))


def model() -> Any:
    """A model of Keras 2 with such a layer of its own, and with one inside a model; all weights differ."""
    inner = keras2.Sequential([keras2.layers.Dense(4, input_shape=(4,)), OLD(name="deep")], name="inner")
    start = keras2.Input((4,))
    made = keras2.Model(start, OLD(name="block")(inner(start)))
    made.set_weights([np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(made.get_weights())])
    return made


WORDS = {"attribute": ["block=first,second", "inner/deep=first,second"]}


@pytest.mark.parametrize(
    ("ending", "wanted", "words"),
    [(".h5", "new.h5", {}), (".h5", "new.keras", WORDS), (".keras", "new.keras", {}), ("", "new.keras", {})],
)
def test_variables_stay_in_their_places(ending: str, wanted: str, words: dict[str, Any], tmp_path: Path) -> None:
    old, x = model(), np.random.default_rng(7).normal(size=(5, 4)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.save(tmp_path / f"old{ending}")
    wtool.convert(tmp_path / f"old{ending}", output=tmp_path / wanted, **words)
    found = keras.models.load_model(tmp_path / wanted)(x)
    np.testing.assert_allclose(np.asarray(found), np.asarray(old(x)), rtol=1e-5, atol=1e-5)
    assert wtool.inspect(tmp_path / wanted)["layers"]


def test_a_saved_model_does_not_tell_the_order_of_an_h5(tmp_path: Path) -> None:
    model().save(tmp_path / "old")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(tmp_path / "old", output=tmp_path / "new.h5")
    assert {each.rule for each in raised.value.refused} == {"untold order"}


def test_an_attribute_that_nobody_asks_for_is_refused(tmp_path: Path) -> None:
    start = keras2.Input((4,))
    made = keras2.Model(start, OLD(name="block")(start))
    made.save(tmp_path / "old.keras")
    with pytest.raises(wtool.WtoolError, match="holds nothing in attributes that the model does not tell"):
        wtool.convert(tmp_path / "old.keras", output=tmp_path / "new.keras", attribute=["block=first,second"])


def test_a_checkpoint_alone_does_not_tell_which_variables_are_trained(tmp_path: Path) -> None:
    made = model()
    made.save_weights(tmp_path / "old")
    (tmp_path / "old.json").write_text(made.to_json())
    how: dict[str, Any] = {"output": tmp_path / "new.keras", "architecture": tmp_path / "old.json"}
    (done,) = wtool.convert(tmp_path / "old.index", **how)
    told = "nothing tells which variables of inner/deep, block are trained"
    assert any(note.startswith(told) for note in done.notes)
