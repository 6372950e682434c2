"""What `wtool convert` says of models, to people and as JSON, and its exit statuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests import bundles, forkserver
from tests.models import ZOO
from tests.ops.test_convert import last_two_as_lambdas, mlp


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool("convert", *arguments), capture_output=True, cwd=cwd, text=True, check=False)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A model of Keras 2, one of Keras 3, one with two Lambda layers, and a file that is no model."""
    folder = tmp_path / "zoo"
    (folder / "deep").mkdir(parents=True)
    mlp(folder)
    shutil.copy(ZOO / "k3.15.1" / "odd_names.keras", folder / "deep" / "new.keras")
    mlp(folder / "deep", last_two_as_lambdas).rename(folder / "deep" / "lambdas.h5")
    (folder / "text.h5").write_text("no model")
    return folder


def test_a_zoo_is_a_line_for_each_model_and_a_summary(zoo: Path) -> None:
    done = run("zoo", "-o", "out/", "--optimizer", "drop", cwd=zoo.parent)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert "wtool: zoo/deep/lambdas.h5: 2 layers cannot be converted" in lines
    assert "wtool: zoo/deep/new.keras: nothing to convert" in lines
    assert "wtool: zoo/mlp.h5: converted to keras, 1 layer changed; written to out/mlp.keras" in lines
    told = "wtool: 1 converted, 1 needs you, 1 had nothing to convert, 1 failed; "
    assert lines[-1].startswith(f"{told}{(zoo.parent / 'out' / 'mlp.keras').stat().st_size:,} bytes written in ")
    table = [line.split() for line in lines if not line.startswith("wtool: ")]
    assert [row[:3] for row in table] == [
        ["layer", "class", "rule"],
        ["fc2", *2 * ["Lambda"]],
        ["head", *2 * ["Lambda"]],
    ]
    assert sorted(path.name for path in (zoo.parent / "out").rglob("*.*")) == ["mlp.keras"]
    again = run("zoo", "-o", "out/", "--optimizer", "drop", cwd=zoo.parent)
    assert (
        again.stderr.splitlines()[-1]
        .partition(";")[0]
        .endswith("1 had nothing to convert, 1 was there already, 1 failed")
    )


def test_an_object_for_each_model(zoo: Path) -> None:
    done = run("zoo", "-o", "out/", "--optimizer", "drop", "--json", "-q", cwd=zoo.parent)
    assert done.returncode == 1
    told = {each["model"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert told["zoo/deep/new.keras"]["outcome"] == "nothing"
    assert told["zoo/mlp.h5"]["output"] == "out/mlp.keras"
    assert [set(each) for each in told["zoo/mlp.h5"]["changes"]] == [{"layer", "class", "rule", "text"}]
    assert [each["class"] for each in told["zoo/deep/lambdas.h5"]["refused"]] == ["Lambda", "Lambda"]
    assert "error" in told["zoo/text.h5"]


def test_a_dry_run_is_a_table(zoo: Path) -> None:
    done = run("zoo/mlp.h5", "--optimizer", "drop", "-n", cwd=zoo.parent)
    assert done.returncode == 0
    rows: list[Any] = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["zoo/mlp.h5"]
    assert rows[1][:3] == ["layer", "class", "rule"]
    assert rows[2][0] == "bn1"
    assert "nothing written" in done.stderr
    assert not (zoo / "mlp.keras").exists()


def test_nothing_to_convert_is_no_failure(zoo: Path) -> None:
    done = run("zoo/deep/new.keras", "-o", "other.keras", cwd=zoo.parent)
    assert (done.returncode, done.stderr) == (0, "wtool: zoo/deep/new.keras: nothing to convert\n")


def test_pipes(zoo: Path) -> None:
    model = (zoo / "mlp.h5").read_bytes()
    words = forkserver.wtool("convert", "-", "-o", "-", "--optimizer", "drop", "-q")
    done = subprocess.run(words, input=model, capture_output=True, check=True)
    assert done.stdout[:2] == b"PK"
    words = forkserver.wtool("convert", "-", "-o", "-", "--to", "weights.h5", "-q")
    weights = subprocess.run(words, input=done.stdout, capture_output=True, check=True).stdout
    (zoo / "w.h5").write_bytes(weights)
    with h5py.File(zoo / "w.h5") as file:
        assert "layers" in file


def test_a_search_finds_the_saved_models_of_keras_and_no_others(tmp_path: Path) -> None:
    bundles.write_saved_model(tmp_path / "zoo" / "deep" / "saved", 3, 4, 2)
    (tmp_path / "zoo" / "graph").mkdir()
    (tmp_path / "zoo" / "graph" / "saved_model.pb").touch()
    done = run("zoo", "-o", "out/", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, last = done.stderr.splitlines()
    assert first == "wtool: zoo/deep/saved: converted to keras; written to out/deep/saved.keras"
    assert last.startswith("wtool: zoo: passed by 1 SavedModel of TensorFlow (wtool convert takes")
    assert [path.name for path in (tmp_path / "out").rglob("*.keras")] == ["saved.keras"]
    inspected = subprocess.run(
        forkserver.wtool("inspect", "zoo"), capture_output=True, cwd=tmp_path, text=True, check=False
    )
    assert inspected.returncode == 1  # other commands do not read them
    assert "2 SavedModels of TensorFlow (wtool convert takes the names of their folders)" in inspected.stderr
