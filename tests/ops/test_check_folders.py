"""`wtool check FOLDER`: everything in it is looked at, whatever it is called, and what is no model is counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import h5py
import pytest

from tests import forkserver
from tests.models import BLOBS, HOSTILE, ZOO
from wtool.checkpoint.recognising import may_be_model, mentions

SHARDS = ("sharded.weights.json", "sharded_00000.weights.h5", "sharded_00001.weights.h5")
PLACES = (
    "model{}",
    "MODEL{}",
    ".hidden{}",
    ".git/x/model{}",
    "deep/er/model{}",
    "model.bak",
    "model",
    "model.txt",
    ".hidden",
    "sharded_00007.weights.h5",
    "sharded_00000.weights.h5.old",
    "unzipped/assets/x{}",
)
"""Where a file may lie in a folder, and what it may be called."""


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = forkserver.wtool("check", *map(str, words))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def running(path: Path, suffix: str) -> None:
    """A model that runs code, in one of the forms that some Keras reads."""
    if suffix == ".keras":
        shutil.copy(HOSTILE / "exec_lambda_marshal.keras", path)
    elif suffix == ".h5":
        shutil.copy(HOSTILE / "exec_legacy_lambda.h5", path)
    elif suffix == ".json":
        with zipfile.ZipFile(HOSTILE / "exec_lambda_marshal.keras") as archive:
            path.write_bytes(archive.read("config.json"))
    elif suffix == ".utf16.json":
        with zipfile.ZipFile(HOSTILE / "exec_lambda_marshal.keras") as archive:
            path.write_bytes(archive.read("config.json").decode().encode("utf-16"))
    else:  # HDF5 behind a block of the user's own
        with h5py.File(path, "w", userblock_size=2048) as file, h5py.File(HOSTILE / "exec_legacy_lambda.h5") as old:
            for name, value in old.attrs.items():
                file.attrs[name] = value
            for name in old:
                old.copy(name, file)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "suffix", [".keras", ".h5", ".json", ".utf16.json", pytest.param(".block.h5", marks=pytest.mark.slow)]
)
def test_nothing_hides_a_model_that_runs_code(suffix: str, place: str, tmp_path: Path) -> None:
    for name in SHARDS:
        shutil.copy(ZOO / "k3.12.4" / name, tmp_path)
    path = tmp_path / place.format(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    running(path, suffix)
    done = run(tmp_path)
    assert f"{path}: runs: " in done.stdout
    assert done.returncode == 1
    assert run(tmp_path / "*", "-q", "--json").returncode == (not path.relative_to(tmp_path).parts[0].startswith("."))


@pytest.mark.parametrize("of", ["model.h5", "sharded_00000.weights.h5"])
def test_a_map_hides_no_file_that_it_names(of: str, tmp_path: Path) -> None:
    shutil.copy(HOSTILE / "exec_legacy_lambda.h5", tmp_path / of)
    (tmp_path / "w.weights.json").write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": of}}))
    assert f"{tmp_path / of}: runs: " in run(tmp_path).stdout


def test_what_is_no_model_is_counted(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "good.keras")
    shutil.copy(HOSTILE / "exec_lambda_marshal.keras", tmp_path / "bad.keras")
    (tmp_path / "README.md").write_text("class_name and config.json are words here")
    (tmp_path / "settings.json").write_text('{"model_type": "x", "class_name": "y"}')
    (tmp_path / "broken.json").write_text('{"a": ')
    (tmp_path / "empty").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x.npy", b"")
    with h5py.File(tmp_path / "data.mat", "w") as file:
        file["x"] = [1.0]
    done = run(tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last == "wtool: looked at 2 model files: 1 fine, 1 with findings; 6 other files are no models"
    assert len(done.stdout.splitlines()) == 1
    assert run(tmp_path, "-q").stderr == ""
    told = [json.loads(line) for line in run(tmp_path, "--json").stdout.splitlines()]
    assert [Path(each["model"]).name for each in told] == ["bad.keras", "good.keras"]


@pytest.mark.parametrize("name", ["a", "a.bin", "a.json"])
def test_words_in_other_letters_hide_nothing(name: str, tmp_path: Path) -> None:
    """JSON may write each letter as a number."""
    (tmp_path / name).write_text(r'{"class\u005fname": "Evil", "config": {}}')
    assert f"{tmp_path / name}: runs (imports): 'Evil'" in run(tmp_path).stdout


def test_damaged_models_are_models(tmp_path: Path) -> None:
    """By their names, or by what is left of their content."""
    (tmp_path / "a.keras").write_bytes(b"nothing")
    (tmp_path / "b.bin").write_bytes(BLOBS[0].read_bytes()[:-100])
    (tmp_path / "c").write_text('{"class_name": "Sequential", "config": ')
    done = run(tmp_path)
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == ["damaged"] * 3


def test_links_are_told_and_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "zoo", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    shutil.copy(HOSTILE / "exec_lambda_marshal.keras", outside / "bad.keras")
    shutil.copy(BLOBS[0], folder / "good.keras")
    (folder / "inside.keras").symlink_to("good.keras")
    assert run(folder).returncode == 0
    (folder / "out.keras").symlink_to(outside / "bad.keras")
    (folder / "folder").symlink_to(outside)
    (folder / "dangling.h5").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.h5")
    done = run(folder)
    told = {Path(line.split(": ")[0]).name: line.split(": ")[1] for line in done.stdout.splitlines()}
    assert told == {
        "inside.keras": "note",
        "out.keras": "reaches",
        "folder": "reaches",
        "dangling.h5": "reaches",
        "pipe.h5": "note",
    }
    assert done.returncode == 1


def test_saved_models_run(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    assert "saved_model.pb: runs: a SavedModel" in run(tmp_path).stdout


def test_weights_that_old_keras_unpickles_run(tmp_path: Path) -> None:
    """Keras 3.8 takes `model.weights.npz` where there is no `model.weights.h5`, and lets NumPy unpickle it."""
    with zipfile.ZipFile(BLOBS[0]) as old, zipfile.ZipFile(tmp_path / "model.keras", "w") as new:
        for member in old.infolist():
            new.writestr(member.filename.replace("model.weights.h5", "model.weights.npz"), old.read(member))
    (tmp_path / "unzipped").mkdir()
    (tmp_path / "unzipped" / "model.weights.npz").write_bytes(b"PK")
    told = run(tmp_path).stdout
    assert "model.keras: runs: model.weights.npz: " in told
    assert "unzipped/model.weights.npz: runs: " in told


def test_no_model_is_overlooked_by_its_content() -> None:
    """Every real file of every format is one by its content alone, and holds a mark of models."""
    for path in [*ZOO.rglob("*.keras"), *ZOO.rglob("*.h5"), *ZOO.rglob("*.weights.json")]:
        assert may_be_model(str(path)), path
        is_shard = path.name.startswith("sharded_")
        is_weights = path.name.endswith(".weights.h5")  # `vars` is too short a word
        assert is_shard or is_weights or mentions(str(path)), path
