"""Layers that learn from data before training (vocabularies, bins, statistics), converted from all files of Keras 2."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from wtool.errors import Refused

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
keras2 = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
L = keras2.layers

TEXTS = [["a d"], ["c q"], ["a"]]
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(3, 2, (40, 1)).astype("float32")


def of_texts(*layers: Any) -> Any:
    return keras2.Sequential([keras2.Input((1,), dtype=tf.string), *layers])


def adapted(layer: Any, data: Any) -> Any:
    layer.adapt(tf.constant(data))
    return layer


def nested() -> Any:
    start = keras2.Input((1,), dtype=tf.string)
    return keras2.Model(start, of_texts(L.StringLookup(vocabulary=["a", "x"], name="words"))(start))


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "words told": (lambda: of_texts(L.StringLookup(vocabulary=["a", "x"])), TEXTS),
    "text told": (lambda: of_texts(L.TextVectorization(vocabulary=["a", "d"], output_sequence_length=3)), TEXTS),
    "words of a model inside": (nested, TEXTS),
    "text embedded": (
        lambda: of_texts(L.TextVectorization(vocabulary=["a", "d"], output_sequence_length=3), L.Embedding(4, 2)),
        TEXTS,
    ),
    "words learned": (lambda: of_texts(adapted(L.StringLookup(), ["a", "c", "a"])), TEXTS),
    "frequencies learned": (
        lambda: of_texts(adapted(L.TextVectorization(output_mode="tf_idf"), ["a b c", "a d"])), TEXTS
    ),
    "words learned before a kernel": (
        lambda: of_texts(adapted(L.StringLookup(output_mode="one_hot"), ["a", "c", "a"]), L.Dense(2)), TEXTS
    ),
    "texts learned before a kernel": (
        lambda: of_texts(adapted(L.TextVectorization(output_mode="multi_hot"), ["a b", "a d"]), L.Dense(2)), TEXTS
    ),
    "frequencies of words": (
        lambda: of_texts(adapted(L.StringLookup(output_mode="tf_idf"), [["a", "b"], ["a", "d"]])), TEXTS
    ),
    "statistics": (
        lambda: keras2.Sequential([keras2.Input((1,)), adapted(L.Normalization(), NUMBERS)]), NUMBERS[:3] + 1
    ),
}  # fmt: skip
ENDINGS = (".h5", "", ".keras")
SAVED = [
    *((name, ending) for name in ("words told", "text told", "words of a model inside") for ending in ENDINGS),
    ("text embedded", ""), ("words learned", ".keras"), ("frequencies learned", ".keras"),
    ("words learned before a kernel", ".keras"), ("texts learned before a kernel", ".keras"),
    ("frequencies of words", ".keras"), ("statistics", ".h5"), ("statistics", ""),
]  # fmt: skip
"""Model, and the ending of the file that Keras 2 saves; none for a SavedModel."""


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


@pytest.mark.parametrize(("name", "ending"), SAVED)
def test_what_was_learned_or_told_is_kept(name: str, ending: str, tmp_path: Path) -> None:
    make, data = MODELS[name]
    model, given = make(), tf.constant(data)
    wtool.convert(saved(model, tmp_path / f"old{ending}"), output=tmp_path / "new.keras")
    found = keras.models.load_model(tmp_path / "new.keras")(given)
    np.testing.assert_allclose(np.asarray(found), np.asarray(model(given)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", [".safetensors", ""])
def test_frequencies_keep_the_name_by_which_keras_3_stores_them(wanted: str, tmp_path: Path) -> None:
    layer = keras.layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(tf.constant(["a b c", "a d"]))
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    model.save(tmp_path / "old.keras")
    wtool.convert(tmp_path / "old.keras", output=tmp_path / f"other{wanted}", unzipped=not wanted)
    wtool.convert(tmp_path / f"other{wanted}", output=tmp_path / "new.keras")
    found = keras.models.load_model(tmp_path / "new.keras")(tf.constant(TEXTS))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(model(tf.constant(TEXTS))))


@pytest.mark.parametrize("ending", ENDINGS)
def test_learned_bins_are_refused_and_replaced(ending: str, tmp_path: Path) -> None:
    model = keras2.Sequential([keras2.Input((1,)), adapted(L.Discretization(num_bins=4, name="bins"), NUMBERS)])
    path = saved(model, tmp_path / f"old{ending}")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(path, output=tmp_path / "new.keras")
    assert [each.rule for each in raised.value.refused] == ["learned bins"]
    bins = json.dumps(np.asarray(model.layers[0].bin_boundaries).tolist())
    wtool.convert(path, output=tmp_path / "new.keras", replace=[f"bins=Discretization:bin_boundaries={bins}"])
    found = keras.models.load_model(tmp_path / "new.keras")(NUMBERS)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(model(NUMBERS)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_vocabulary_in_a_file_is_refused_and_replaced(ending: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nq\n")
    model = of_texts(L.StringLookup(vocabulary=str(tmp_path / "words.txt"), name="words"))
    path = saved(model, tmp_path / f"old{ending}")
    with pytest.raises(wtool.Unconvertible) as raised:
        wtool.convert(path, output=tmp_path / "new.keras")
    assert [each.rule for each in raised.value.refused] == ["vocabulary elsewhere"]
    entry = {"class_name": "StringLookup", "config": {"vocabulary": ["a", "q"]}}
    (tmp_path / "words.json").write_text(json.dumps(entry))
    wtool.convert(path, output=tmp_path / "new.keras", replace=[f"words={tmp_path}/words.json"])
    found = keras.models.load_model(tmp_path / "new.keras")(tf.constant(TEXTS))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(model(tf.constant(TEXTS))))


def test_words_learned_in_a_saved_model_are_refused(tmp_path: Path) -> None:
    path = saved(MODELS["words learned"][0](), tmp_path / "old")
    with pytest.raises(Refused, match=r"what layers learned by adapt.*save the model as \.keras"):
        wtool.convert(path, output=tmp_path / "new.keras")


def test_a_lookup_without_words_in_an_h5_is_told(tmp_path: Path) -> None:
    path = saved(of_texts(L.StringLookup(vocabulary=["a"], name="words")), tmp_path / "old.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"vocabulary": ["a"]', '"vocabulary": null')
    (done,) = wtool.convert(path, output=tmp_path / "new.keras")
    assert any(note.startswith("layer words has no vocabulary in the file: call its adapt()") for note in done.notes)
