"""Models that take texts, in training and evaluation: numbers against Keras's own `evaluate` and `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

import wtool
from tests.models import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")
tensorflow = pytest.importorskip("tensorflow")

TEXTS = [f"{one} {other}" for one in ("good", "bad", "läuft", "") for other in ("day", "night", "今日", "x" * 50)]
Y = np.tile(np.array([1, 0], np.float32), len(TEXTS) // 2)
OBJECTS = np.array(TEXTS, object)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that begin with a TextVectorization, for texts as scalars and as rows of one, and a look-up by name."""
    made = tmp_path_factory.mktemp("texts")
    keras.utils.set_random_seed(3)
    for name, shape in (("scalar", ()), ("row", (1,))):
        vectors = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
        vectors.adapt(TEXTS)
        layers = [vectors, keras.layers.Embedding(20, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
        compiled(keras.Sequential([keras.Input(shape, dtype="string"), *layers])).save(made / f"{name}.keras")
    word, number = keras.Input((1,), dtype="string", name="word"), keras.Input((2,), name="number")
    codes = keras.layers.StringLookup(vocabulary=sorted(set(TEXTS)))(word)
    parts = [keras.layers.Flatten()(keras.layers.Embedding(20, 3)(codes)), number]
    named = keras.Model({"word": word, "number": number}, keras.layers.Dense(1)(keras.layers.Concatenate()(parts)))
    compiled(named).save(made / "named.keras")
    return made


def compiled(model: Any) -> Any:
    model.compile("adam", "mean_squared_error", metrics=["mean_absolute_error"])
    return model


def evaluated(path: Path, x: Any) -> dict[str, float]:
    """Keras's own numbers, in batches of five."""
    data = tensorflow.data.Dataset.from_tensor_slices((x, Y)).batch(5)
    found: dict[str, float] = keras.models.load_model(path).evaluate(data, verbose=0, return_dict=True)
    return found


FORMS: dict[str, Any] = {
    "objects": (OBJECTS, Y),
    "bytes as objects": (np.array([text.encode() for text in TEXTS], object), Y),
    "fixed": (np.array(TEXTS), Y),
    "fixed bytes": (np.array([text.encode() for text in TEXTS]), Y),
    "rows": (np.array(TEXTS)[:, None], Y),
    "lists": (TEXTS, Y.tolist()),
    "tensors": (tensorflow.constant(TEXTS), Y),
    "dataset": tensorflow.data.Dataset.from_tensor_slices((TEXTS, Y)).batch(5),
}


@pytest.mark.parametrize("name", ["scalar", "row"])
def test_every_form_of_texts_is_evaluated_as_keras_does(name: str, folder: Path) -> None:
    path = folder / f"{name}.keras"
    expected = evaluated(path, OBJECTS if name == "scalar" else OBJECTS[:, None])
    for form, data in FORMS.items():
        if name == "row" or form != "rows":
            found = wtool.evaluate(path, data=data, batch_size=5)
            assert found[0].metrics == pytest.approx(expected, rel=1e-6), form


def test_files_and_functions(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = evaluated(folder / "scalar.keras", OBJECTS)
    np.savez(tmp_path / "texts.npz", x=np.array(TEXTS), y=Y)
    np.save(tmp_path / "x.npy", np.array([text.encode() for text in TEXTS]))
    np.save(tmp_path / "y.npy", Y)
    (tmp_path / "mytexts.py").write_text(
        f"import numpy, tensorflow\ndef f(): return tensorflow.constant({TEXTS!r}), y\n"
    )
    with open(tmp_path / "mytexts.py", "a") as file:
        file.write(f"y = numpy.array({Y.tolist()!r}, 'float32')\n")
    monkeypatch.chdir(tmp_path)
    for data in ("texts.npz", ["x.npy", "y.npy"], "mytexts:f"):
        found = wtool.evaluate([folder / "scalar.keras"] * 2, data=data, batch_size=5, ensemble=True)
        assert len(found) == 3
        assert all(each.metrics == pytest.approx(expected, rel=1e-6) for each in found)


def test_texts_among_numbers(folder: Path, tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).normal(size=(len(TEXTS), 2)).astype(np.float32)
    expected = evaluated(folder / "named.keras", {"word": OBJECTS[:, None], "number": numbers})
    np.savez(tmp_path / "named.npz", word=np.array(TEXTS)[:, None], number=numbers, y=Y)
    found = wtool.evaluate(folder / "named.keras", data=tmp_path / "named.npz", batch_size=5)
    assert found[0].metrics == pytest.approx(expected, rel=1e-6)


def test_training_on_texts_is_keras(folder: Path, tmp_path: Path) -> None:
    """The vocabulary is an asset of the archive; it, the weights and the lineage are there afterwards."""
    np.savez(tmp_path / "texts.npz", x=np.array(TEXTS), y=Y)
    output = tmp_path / "out.keras"
    wtool.resume(
        folder / "scalar.keras", data=tmp_path / "texts.npz", epochs=2, batch_size=5, shuffle=False, output=output
    )
    plain = keras.models.load_model(folder / "scalar.keras")
    plain.fit(tensorflow.data.Dataset.from_tensor_slices((OBJECTS, Y)).batch(5), epochs=2, verbose=0)
    made = keras.models.load_model(output)
    assert all(
        np.allclose(left, right, rtol=0, atol=1e-6)
        for left, right in zip(made.get_weights(), plain.get_weights(), strict=True)
    )
    assert made.layers[0].get_vocabulary() == plain.layers[0].get_vocabulary()
    told = wtool.inspect(output)["lineage"][-1]["inputs"][1]
    assert told["hash"] == f"blake3:{blake3((tmp_path / 'texts.npz').read_bytes()).hexdigest()}"


@pytest.mark.parametrize("odd", [[1, "a"], [None, "a"], [["a"], ["b", "c"]]])
def test_objects_that_are_no_texts(odd: Any, folder: Path) -> None:
    values: Array = np.empty(2, object)
    values[:] = odd
    with pytest.raises(wtool.Usage, match="where numbers or texts are expected"):
        wtool.evaluate(folder / "scalar.keras", data=(values, Y[:2]))


def test_pickled_texts_are_refused_with_the_remedy(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "pickled.npz", x=OBJECTS, y=Y)
    with pytest.raises(wtool.WtoolError, match=r"dtype=str"):
        wtool.evaluate(folder / "scalar.keras", data=tmp_path / "pickled.npz")
