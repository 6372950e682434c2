"""`wtool recalibrate` on files: what changes and what does not, held against NumPy and against Keras."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from wtool.checkpoint.lineage import last_record
from wtool.dtypes import Array

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")

ENV = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def numbers(samples: int = 70) -> Array:
    return np.random.default_rng(0).normal(2, 3, (samples, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> Any:
    """A compiled model whose optimizer has slots; its first layer that normalises is behind a Dense layer."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, name="dense"), keras.layers.BatchNormalization(name="first")]
    layers += [keras.layers.Dropout(0.5), keras.layers.ReLU(), keras.layers.BatchNormalization(name="second")]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(1, name="last")])
    model.compile("adam", "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def saved(trained: Any, tmp_path: Path) -> Path:
    trained.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=numbers(), y=np.ones((70, 1)))
    return tmp_path / "model.keras"


def tensors(path: Path | str) -> dict[str, Array]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {tensor.path: checkpoint.read(tensor) for tensor in checkpoint.tensors}


def inputs_of(path: Path | str) -> dict[str, Array]:
    """What comes to each of the layers that normalise, as Keras computes it with the statistics of a file."""
    model = keras.models.load_model(path, compile=False)
    x, found = numbers(), {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            found[layer.name] = keras.ops.convert_to_numpy(x).astype(np.float64)
        x = layer(x)
    return found


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_only_the_statistics_of_a_file_change(trained: Any, tmp_path: Path, name: str) -> None:
    trained.save(tmp_path / name)
    (done,) = wtool.recalibrate(tmp_path / name, data=numbers(), exact=True)
    assert (done.samples, done.passes, done.notes) == (70, 2, ())
    assert list(done.layers) == ["first", "second"]
    before, after = tensors(tmp_path / name), tensors(str(done.output))
    assert list(before) == list(after)
    changed = [path for path in before if before[path].tobytes() != after[path].tobytes()]
    assert changed == [f"{layer}/{each}" for layer in done.layers for each in ("moving_mean", "moving_variance")]
    for layer, inputs in inputs_of(str(done.output)).items():
        np.testing.assert_allclose(after[f"{layer}/moving_mean"], inputs.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after[f"{layer}/moving_variance"], inputs.var(0), rtol=1e-5)


def test_the_lineage_tells_the_data_and_what_is_done_is_not_done_again(saved: Path) -> None:
    data = saved.parent / "data.npz"
    (first,) = wtool.recalibrate(saved, data=data)
    with wtool.open_checkpoint(str(first.output)) as made:
        record = last_record(made.lineage)
    assert record.operation == "recalibrate"
    assert record.parameters == {"data": [str(data)], "exact": False, "batch_size": 32}
    assert [(each.name, each.told) for each in record.inputs] == [
        ("data.npz", {"as": "data"}),
        ("model.keras", {"as": "model"}),
    ]
    (again,) = wtool.recalibrate(saved, data=data)
    assert again.skipped
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.recalibrate(saved, data=data, batches=1)
    np.savez(data, x=numbers() + 1)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.recalibrate(saved, data=data)
    with pytest.raises(wtool.WtoolError, match="exists"):
        wtool.recalibrate(saved, data=numbers())  # arrays have no fingerprint


def test_forms_of_data(saved: Path) -> None:
    x = numbers()
    np.save(saved.parent / "x.npy", x)
    np.savetxt(saved.parent / "data.csv", np.column_stack([x, np.ones(70)]), delimiter=",")
    expected = tensors(str(wtool.recalibrate(saved, data=saved.parent / "data.npz")[0].output))
    forms: list[Any] = [x, (x,), (x, np.ones(70)), saved.parent / "x.npy", saved.parent / "data.csv"]
    forms += [lambda: (x, np.ones(70)), lambda: iter([(x[:40], 1), (x[40:], 1)])]
    for form in forms:
        (done,) = wtool.recalibrate(saved, data=form, output=saved.parent / "other.keras", force=True)
        found = tensors(str(done.output))
        for name in ("moving_mean", "moving_variance"):
            np.testing.assert_allclose(found[f"first/{name}"], expected[f"first/{name}"], rtol=1e-5)


def test_models_without_batch_normalisation(saved: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.save(saved.parent / "plain.keras")
    model.save_weights(saved.parent / "plain.weights.h5")
    (done,) = wtool.recalibrate(saved.parent / "plain.keras", data=numbers())
    assert (done.output, done.notes) == (None, ("no batch normalisation in it: nothing to recalibrate",))
    assert not (saved.parent / "plain-recalibrate.keras").exists()
    with pytest.raises(wtool.WtoolError, match="holds weights only"):
        wtool.recalibrate(saved.parent / "plain.weights.h5", data=numbers())


def test_in_place_and_dry_runs(saved: Path) -> None:
    before = saved.read_bytes()
    (tried,) = wtool.recalibrate(saved, data=numbers(), dry_run=True)
    assert tried.output is None
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["data.npz", "model.keras"]
    (done,) = wtool.recalibrate(saved, data=numbers(), in_place=True)
    assert done.layers == tried.layers
    assert saved.read_bytes() != before
    (again,) = wtool.recalibrate(saved, data=numbers(), dry_run=True)
    assert again.layers["first"].mean == pytest.approx(0, abs=1e-6)
    assert again.layers["first"].variance == pytest.approx(1, abs=1e-6)


def test_the_command(saved: Path) -> None:
    """A model that fails does not hide the others; words go to standard error, and numbers to standard output."""
    (saved.parent / "broken.keras").write_bytes(b"PK")
    words = ["recalibrate", str(saved.parent), "--data", str(saved.parent / "data.npz"), "-o", f"{saved.parent}/out/"]
    argv = forkserver.wtool(*words, "--exact", "--json", training=True)
    done = subprocess.run(argv, capture_output=True, text=True, env=ENV, check=False)
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in rows] == [
        ["model", "error"],
        ["model", "output", "skipped", "layers", "samples", "passes", "notes"],
    ]
    assert set(rows[1]["layers"]) == {"first", "second"}
    assert set(rows[1]["layers"]["first"]) == {"mean", "variance"}
    told = f"wtool: {saved}: statistics of 2 layers set, from 70 samples in 2 passes; written to {saved.parent}/out/"
    assert told in done.stderr


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_table_of_how_far_off_and_a_pipe(saved: Path, more: tuple[str, ...]) -> None:
    argv = forkserver.wtool(
        "recalibrate", "-", "--data", str(saved.parent / "data.npz"), "-o", "-", *more, training=True
    )
    done = subprocess.run(argv, capture_output=True, env=ENV, check=False, input=saved.read_bytes())
    assert done.returncode == 0, done.stderr
    table = (done.stdout if more else done.stderr).decode().splitlines()
    assert " ".join(table[1].split()) == "layer mean off by (deviations) variance of data / stored"
    assert [line.split()[0] for line in table[2:4]] == ["first", "second"]
    if not more:
        (saved.parent / "piped.keras").write_bytes(done.stdout)
        expected = tensors(str(wtool.recalibrate(saved, data=saved.parent / "data.npz")[0].output))
        for path, value in tensors(saved.parent / "piped.keras").items():
            np.testing.assert_array_equal(value, expected[path])


@keras.saving.register_keras_serializable("recalibrated")
class Own(keras.layers.BatchNormalization):
    """A class of its author's own, of which a file tells nothing but its name."""


@keras.saving.register_keras_serializable("recalibrated")
class Block(keras.layers.Layer):
    """A layer with layers in it, as subclassed models have them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.dense, self.norm = keras.layers.Dense(4), Own()

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.norm.build((None, 4))

    def call(self, inputs: Any) -> Any:
        return self.norm(self.dense(inputs))


@pytest.mark.parametrize("layer", [Own, Block])
def test_layers_of_ones_own(tmp_path: Path, layer: type) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layer(name="own"), keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    (done,) = wtool.recalibrate(tmp_path / "model.keras", data=numbers())
    made = keras.models.load_model(str(done.output)).layers[0]
    x = numbers() if layer is Own else keras.ops.convert_to_numpy(made.dense(numbers()))
    norm = made if layer is Own else made.norm
    np.testing.assert_allclose(norm.moving_mean, x.astype(np.float64).mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, x.astype(np.float64).var(0), rtol=1e-5)
    before, after = tensors(tmp_path / "model.keras"), tensors(str(done.output))
    assert sum(before[path].tobytes() != after[path].tobytes() for path in before) == 2


def test_an_unzipped_model(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(saved.parent / "unzipped")
    (done,) = wtool.recalibrate(saved.parent / "unzipped", data=numbers(), output=saved.parent / "from-folder.keras")
    (other,) = wtool.recalibrate(saved, data=numbers())
    found, expected = tensors(str(done.output)), tensors(str(other.output))
    assert found.keys() == expected.keys()
    assert all(found[path].tobytes() == expected[path].tobytes() for path in found)


@pytest.mark.slow
def test_an_average_of_distant_checkpoints_predicts_again(tmp_path: Path) -> None:
    """The first and the last checkpoint of a run on digits: the average guesses until its statistics are right."""
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    x, y = (digits.images / 16.0).astype(np.float32)[..., None], digits.target
    keras.utils.set_random_seed(0)
    layers: list[Any] = []
    for number in range(6):
        layers.append(keras.layers.Conv2D(8, 3, strides=1 if number else 2, padding="same", use_bias=False))
        layers += [keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, *head])
    model.compile(keras.optimizers.SGD(0.5, 0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    saver = keras.callbacks.ModelCheckpoint(str(tmp_path / "ckpt-{epoch}.keras"))
    model.fit(x[:800], y[:800], epochs=4, batch_size=64, verbose=0, callbacks=[saver])
    np.savez(tmp_path / "data.npz", x_train=x[:800], y_train=y[:800], x_test=x[1400:], y_test=y[1400:])
    average, good = tmp_path / "average.keras", tmp_path / "good.keras"
    wtool.average([tmp_path / "ckpt-1.keras", tmp_path / "ckpt-4.keras"], output=average)
    wtool.recalibrate(average, data=tmp_path / "data.npz", output=good)
    before, after = wtool.evaluate([average, good], data=tmp_path / "data.npz")
    assert before.metrics["accuracy"] < 0.5
    assert after.metrics["accuracy"] > 0.65


def test_data_that_is_missing_or_does_not_fit(saved: Path) -> None:
    with pytest.raises(wtool.WtoolError, match="no such file or folder"):
        wtool.recalibrate(saved, data="missing.npz")
    with pytest.raises(wtool.WtoolError, match=r"model.keras: Keras cannot run it with this data \("):
        wtool.recalibrate(saved, data=np.zeros((3, 7), np.float32))
    with pytest.raises(wtool.Usage, match="counted from 1 up"):
        wtool.recalibrate(saved, data=numbers(), batches=0)
    assert not wtool.recalibrate(saved, data=numbers(), batches=10**30, dry_run=True)[0].skipped
