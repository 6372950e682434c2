"""Evaluation against Keras itself, and against a softmax in NumPy for the ensemble."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """The blobs' data under the names that wtool knows."""
    with np.load(FIXTURES / "blobs" / "data.npz") as old:
        parts = {f"{name}_{part}": old[f"{part}_{name}"] for part in ("train", "test") for name in ("x", "y")}
    np.savez(tmp_path / "data.npz", **parts)
    return tmp_path / "data.npz"


def test_models_and_their_ensemble(blobs: Path) -> None:
    with np.load(blobs) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    *members, ensemble = wtool.evaluate(BLOBS[:4], data=blobs, ensemble=True)
    mean = np.zeros((len(x), 3))
    for path, found in zip(BLOBS, members, strict=False):
        model = keras.models.load_model(path)
        expected = model.evaluate(x, y, verbose=0, return_dict=True)
        assert found.model == str(path)
        assert found.metrics == pytest.approx(expected, abs=1e-6)
        mean += model.predict(x, verbose=0).astype(np.float64) / 4
    labels = y.argmax(axis=1) if y.ndim > 1 else y
    assert ensemble.model == "ensemble"
    assert ensemble.metrics["accuracy"] == pytest.approx((mean.argmax(axis=1) == labels).mean(), abs=1e-6)
    assert ensemble.metrics["loss"] == pytest.approx(-np.log(mean[np.arange(len(x)), labels]).mean(), rel=1e-4)
    assert list(ensemble.metrics) == ["loss", "accuracy"]


@pytest.mark.parametrize("form", [dict, list])
def test_an_ensemble_of_models_with_two_outputs_and_penalties(tmp_path: Path, form: type) -> None:
    x, y = np.ones((8, 3), np.float32), {"a": np.zeros((8, 1), np.float32), "b": np.ones((8, 1), np.float32)}
    outputs = []
    for number in range(2):
        inputs = keras.Input((3,), name="first")
        kernel = keras.initializers.Constant(number + 1.0)
        dense = {
            name: keras.layers.Dense(1, name=name, kernel_initializer=kernel, kernel_regularizer="l2") for name in y
        }
        each = {name: layer(inputs) for name, layer in dense.items()}
        model = keras.Model(inputs, each if form is dict else [each["a"], each["b"]])
        model.compile("sgd", dict.fromkeys(y, "mean_squared_error"), loss_weights={"a": 2.0, "b": 0.5})
        model.save(tmp_path / f"{number}.keras")
        outputs.append(3.0 * (number + 1))
    np.savez(tmp_path / "data.npz", first=x, **y)
    found = wtool.evaluate(tmp_path, data=tmp_path / "data.npz", ensemble=True)[-1]
    mean = sum(outputs) / 2
    assert found.metrics["loss"] == pytest.approx(2 * mean**2 + 0.5 * (mean - 1) ** 2)


def test_a_loss_for_models_without(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.save(tmp_path / "bare.keras")
    x, y = np.ones((5, 3), np.float32), np.zeros((5, 1), np.float32)
    with pytest.raises(wtool.WtoolError, match=r"is not compiled: it needs a loss \(--loss\)$"):
        wtool.evaluate(tmp_path / "bare.keras", data=(x, y))
    options: dict[str, Any] = {"loss": "mean_squared_error", "metrics": ["mean_absolute_error"]}
    found = wtool.evaluate(tmp_path / "bare.keras", data=(x, y), **options)
    assert found[0].metrics == {"loss": 9.0, "mean_absolute_error": 3.0}


def test_the_command(blobs: Path, tmp_path: Path) -> None:
    """A model that fails does not hide the others; standard output is data."""
    words = ["evaluate", str(BLOBS[0]), "missing.keras", str(BLOBS[1]), "--data", str(blobs), "--ensemble", "--json"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(forkserver.wtool(*words, training=True), capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in rows] == [["model", "metrics"], ["model", "error"], ["model", "metrics"]]
    assert done.stderr.splitlines() == [
        "wtool: missing.keras: No such file or directory",
        "wtool: 2 of 3 models evaluated; 1 failed",
        "wtool: no ensemble: it needs all of its members",
    ]


@pytest.mark.slow
def test_workers_of_a_cluster_evaluate(blobs: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    words = ["evaluate", str(BLOBS[0]), "missing.keras", str(BLOBS[1]), "--data", str(blobs), "--json"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    local, cluster = (
        subprocess.run(forkserver.wtool(*words, *how, training=True), capture_output=True, text=True, env=env)
        for how in ((), ("--cluster", "local:2"))
    )
    assert (cluster.returncode, cluster.stdout, cluster.stderr) == (local.returncode, local.stdout, local.stderr)
    assert len(local.stdout.splitlines()) == 3


def test_a_cluster_takes_neither_ensembles_nor_arrays(blobs: Path) -> None:
    with pytest.raises(wtool.Usage, match="--ensemble needs its members in one process, and --cluster spreads them"):
        wtool.evaluate(BLOBS[:2], data=blobs, ensemble=True, cluster="local:2")
    with pytest.raises(wtool.Usage, match="the workers of a cluster read data themselves: name its file"):
        wtool.evaluate(BLOBS[:2], data=(np.zeros((1, 2)), np.zeros(1)), cluster="local:2")


def test_the_table_comes_though_the_ensemble_fails(tmp_path: Path) -> None:
    for size in (1, 2):
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(size)])
        made.compile("sgd", "mean_squared_error")
        made.save(tmp_path / f"{size}.h5")
    np.savez(tmp_path / "data.npz", x=np.ones((4, 3), np.float32), y=np.zeros((4, 1), np.float32))
    words = ["evaluate", "1.h5", "2.h5", "missing.h5", "--data", "data.npz", "--ensemble"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": os.getcwd()}
    failures = {
        "wtool: no ensemble: it needs all of its members": words,
        "outputs of the models have different shapes": words[:3] + words[4:],
    }
    for last, given in failures.items():
        argv = forkserver.wtool(*given, training=True)
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False, cwd=tmp_path)
        assert done.returncode == 1
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["model", "1.h5", "2.h5"]
        assert last in done.stderr.splitlines()[-1]
        assert all(line.startswith("wtool: ") for line in done.stderr.splitlines())


def test_data_that_does_not_fit_is_told(blobs: Path) -> None:
    wrong = (np.ones((4, 7), np.float32), np.zeros(4))
    with pytest.raises(wtool.WtoolError, match=r"ckpt-91.keras: Keras cannot evaluate it with this data"):
        wtool.evaluate(BLOBS[0], data=wrong)
    with pytest.raises(wtool.Usage, match="counted from 1"):
        wtool.evaluate(BLOBS[0], data=blobs, batch_size=0)
