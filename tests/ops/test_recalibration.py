"""Averages and merges whose statistics are those of data at once: the same file as in two steps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver

pytestmark = pytest.mark.tensorflow
keras = pytest.importorskip("keras")


def numbers() -> Any:
    return np.random.default_rng(0).normal(2, 3, (70, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of one architecture, with optimizers, and with data."""
    folder = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, name="dense"), keras.layers.BatchNormalization(name="bn"), keras.layers.ReLU()]
    model = keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(1, name="last")])
    model.compile("adam", "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    for name in "ab":
        model.set_weights([2 * value + 1 for value in model.get_weights()])
        model.save(folder / f"{name}.keras")
    np.savez(folder / "data.npz", x=numbers())
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path) -> list[Path]:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return [tmp_path / "a.keras", tmp_path / "b.keras"]


def content(path: Path | str) -> dict[str, bytes]:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return {tensor.path: checkpoint.read(tensor).tobytes() for tensor in checkpoint.tensors}


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("average", {"coefficients": [3, 1]}),
        ("average", {"bn": "pool"}),
        ("merge", {"method": "linear", "weight": [3, 1]}),
    ],
)
def test_the_same_as_in_two_steps(models: list[Path], command: str, options: dict[str, Any]) -> None:
    folder = models[0].parent
    data, function = folder / "data.npz", getattr(wtool, command)
    done = function(models, **options, recalibrate=data, output=folder / "one.keras")
    first = function(models, **options, output=folder / "first.keras")
    (second,) = wtool.recalibrate(folder / "first.keras", data=data, output=folder / "two.keras")
    assert content(folder / "one.keras") == content(folder / "two.keras")
    assert content(folder / "one.keras") != content(folder / "first.keras")
    assert done.drifts == second.layers
    assert str(done.actions["bn/moving_mean"]) == str(done.actions["bn/moving_variance"]) == "set to that of the data"
    assert done.actions["bn/gamma"] == first.actions["bn/gamma"]
    assert any("moving statistics" in note for note in first.notes)
    assert not any("moving statistics" in note for note in done.notes)
    with wtool.open_checkpoint(str(folder / "one.keras")) as result:
        records = result.lineage
    assert [record.operation for record in records] == [command, "recalibrate"]
    assert [(each.name, bool(each.hashes)) for each in records[1].inputs] == [("data.npz", True), ("-", False)]
    assert function(models, **options, recalibrate=data, output=folder / "one.keras").skipped
    with pytest.raises(wtool.WtoolError, match="exists"):
        function(models, **options, output=folder / "one.keras")


def test_models_without_batch_normalisation_and_files_of_weights(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    done = wtool.average([tmp_path / "a.keras"] * 2, recalibrate=numbers(), output=tmp_path / "out.keras")
    assert "no batch normalisation in it: nothing to recalibrate" in done.notes
    assert done.drifts == {}
    with pytest.raises(wtool.WtoolError, match="holds weights only"):
        wtool.average([tmp_path / "a.weights.h5"], recalibrate=numbers(), output=tmp_path / "out.weights.h5")
    with pytest.raises(wtool.WtoolError, match="no such file"):
        wtool.average([tmp_path / "a.keras"], recalibrate="missing.npz", output=tmp_path / "other.keras")
    assert not (tmp_path / "other.keras").exists()


def test_models_that_run_code_are_refused_without_options_that_these_commands_do_not_have(tmp_path: Path) -> None:
    twice = keras.layers.Lambda(lambda x: 2 * x)
    keras.Sequential([keras.Input((6,)), twice, keras.layers.BatchNormalization()]).save(tmp_path / "a.keras")
    with pytest.raises(wtool.WtoolError, match=r"runs a lambda of .*, which --recalibrate does not do$"):
        wtool.average([tmp_path / "a.keras"] * 2, recalibrate=numbers(), output=tmp_path / "out.keras")


def test_the_command_tells_how_far_off_statistics_were(models: list[Path]) -> None:
    words = ["average", *map(str, models), "--recalibrate", str(models[0].parent / "data.npz"), "--json", "--dry-run"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    argv = forkserver.wtool(*words, training=True)
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    told = json.loads(done.stdout)
    assert told["output"] is None
    assert set(told["drifts"]["bn"]) == {"mean", "variance"}
