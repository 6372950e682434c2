"""Unzipped models: folders that are read as the archives that Keras makes of the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

import wtool
from tests import forkserver
from tests.models import BLOBS, ZOO, hdf5_bytes
from wtool.checkpoint.search import listing

ARCHIVES = ["blobs", *(f"k3.15.1/{name}.keras" for name in ("mlp", "text_assets", "nested_frozen"))]


def unzip(archive: Path, folder: Path) -> Path:
    """The folder that Keras makes with `save(zipped=False)`: the members of the archive as files."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def archive_of(name: str) -> Path:
    return BLOBS[0] if name == "blobs" else ZOO / name


def same_but_path(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "path"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return unzip(BLOBS[0], tmp_path / "zoo" / "m.v2")


@pytest.mark.parametrize("name", ARCHIVES)
def test_inspected_as_the_archive(name: str, tmp_path: Path) -> None:
    folder = unzip(archive_of(name), tmp_path / "m")
    assert same_but_path(wtool.inspect(folder)) == same_but_path(wtool.inspect(archive_of(name)))
    assert [(each.kind, each.what) for each in wtool.check(folder).findings] == [
        (each.kind, each.what) for each in wtool.check(archive_of(name)).findings
    ]


@pytest.mark.parametrize("name", ARCHIVES)
def test_results_are_those_of_the_archive(name: str, tmp_path: Path) -> None:
    """An ordinary .keras file beside the folder, with the same members; zipfile verifies their checksums."""
    folder = unzip(archive_of(name), tmp_path / "m")
    words: dict[str, Any] = {"output": tmp_path / "of-archive.keras"}
    wtool.average([archive_of(name)] * 2, **words)
    done = wtool.average([folder, archive_of(name)], order="given", output=tmp_path / "of-folder.keras")
    assert done.inputs[0].path == str(folder)
    wtool.average([archive_of(name), folder], order="given", output=tmp_path / "of-folder-2.keras")
    for made in ("of-folder.keras", "of-folder-2.keras"):
        with zipfile.ZipFile(tmp_path / "of-archive.keras") as expected, zipfile.ZipFile(tmp_path / made) as found:
            assert found.testzip() is None
            assert sorted(found.namelist()) == sorted(expected.namelist())
            for member in expected.namelist():
                if member not in ("metadata.json", "model.weights.h5"):
                    assert found.read(member) == expected.read(member)
        assert hdf5_bytes(tmp_path / made) == hdf5_bytes(tmp_path / "of-archive.keras")
    assert not wtool.check(tmp_path / "of-folder.keras").findings


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_transform_takes_one(slash: str, model: Path) -> None:
    result = Path(str(wtool.prune(f"{model}{slash}", sparsity=0.5)[0].output))
    assert result == model.parent / "m.v2-prune.keras"
    wtool.prune(BLOBS[0], sparsity=0.5, output=model.parent / "expected.keras")
    assert hdf5_bytes(result) == hdf5_bytes(model.parent / "expected.keras")
    assert wtool.prune(f"{model}{slash}", sparsity=0.5)[0].skipped
    wtool.rewind(result, initial=model, output=model.parent / "ticket.keras")
    swapped = wtool.swap(f"{model}{slash}", to="linked")[0]
    assert swapped.output == str(model.parent / "m.v2-swap.keras")
    wtool.swap(BLOBS[0], to="linked", output=model.parent / "swapped.keras")
    assert hdf5_bytes(Path(str(swapped.output))) == hdf5_bytes(model.parent / "swapped.keras")
    wtool.prune(model, sparsity=0.5, output=model.parent / "named.keras")
    assert hdf5_bytes(model.parent / "named.keras") == hdf5_bytes(result)
    with pytest.raises(wtool.WtoolError, match="is a folder; a model is written as a single file"):
        wtool.prune(model, sparsity=0.5, in_place=True)


def test_the_folder_in_which_one_stands(model: Path) -> None:
    done = subprocess.run(forkserver.wtool("prune", ".", "--sparsity", ".5"), cwd=model, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (model.parent / "m.v2-prune.keras").exists()


def test_plots_take_one(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert wtool.plot([model], output=tmp_path / "m.svg").drawn == (str(model),)


def test_found_as_one_model(model: Path) -> None:
    zoo = model.parent
    unzip(ZOO / "k3.15.1" / "text_assets.keras", zoo / "deep" / "text")
    shutil.copy(BLOBS[1], zoo / "a.keras")
    (model / "README.md").write_text("a page about the model")
    unzip(BLOBS[0], zoo / ".hidden")
    (zoo / "linked").symlink_to(model)
    (zoo / "other" / "assets").mkdir(parents=True)
    (zoo / "other" / "config.json").write_text('{"learning_rate": 0.1}')
    shutil.copy(BLOBS[0], zoo / "other" / "assets" / "b.keras")
    shutil.copy(model / "model.weights.h5", zoo / "other" / "model.weights.h5")
    kinds = {os.path.relpath(each.path, zoo): each.kind for each in listing(str(zoo))}
    models = {path for path, kind in kinds.items() if kind == "model"}
    assert models == {"m.v2", "deep/text", "a.keras", "other/assets/b.keras", "other/model.weights.h5"}
    assert kinds["m.v2/README.md"] == kinds["other/config.json"] == "other"
    assert kinds["linked"] == "link"
    assert kinds[".hidden"] == "hidden"
    assert kinds["m.v2/config.json"] == kinds["m.v2/model.weights.h5"] == kinds[".hidden/config.json"] == "part"
    assert {kind for path, kind in kinds.items() if path.startswith("deep/text/assets")} == {"part"}
    (zoo / "deep" / "text").rename(zoo / "text")
    wtool.stroke(zoo, output=zoo.parent / "out", seed=1)
    written = {str(path.relative_to(zoo.parent / "out")) for path in (zoo.parent / "out").rglob("*.*")}
    assert written == {"m.v2.keras", "a.keras", "text.keras", "other/assets/b.keras", "other/model.weights.h5"}


def test_every_file_counts(model: Path, tmp_path: Path) -> None:
    """The hash in the lineage is that of a list of hashes and names, as `b3sum` prints it."""
    folder = unzip(ZOO / "k3.15.1" / "text_assets.keras", tmp_path / "text")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert any(name.startswith("assets/") for name in files)
    hashes = set()
    for name in [None, *files]:
        if name == "metadata.json":
            (folder / name).write_text((folder / name).read_text() + " ")
        elif name == "config.json":
            (folder / name).write_text((folder / name).read_text() + "\n")
        elif name == "model.weights.h5":
            with open(folder / name, "ab") as file:
                file.write(b"\0")
        elif name is not None:
            (folder / name).write_text("other\nwords\n")
        wtool.average([folder], output=tmp_path / "a.keras", force=True)
        told = wtool.inspect(tmp_path / "a.keras")["lineage"][-1]["inputs"][0]["hash"]
        lines = "".join(f"{blake3((folder / each).read_bytes()).hexdigest()}  {each}\n" for each in files)
        assert told == f"blake3:{blake3(lines.encode()).hexdigest()}"
        hashes.add(told)
    assert len(hashes) == len(files) + 1


@pytest.mark.parametrize(
    "place", ["config.json", "metadata.json", "model.weights.h5", "assets", "assets/a/b", "assets/c"]
)
def test_links_inside_are_refused(place: str, model: Path, tmp_path: Path) -> None:
    (model / "assets" / "a").mkdir(parents=True)
    for name in ("assets/a/b", "assets/c"):
        (model / name).write_text("words")
    (model / place).rename(tmp_path / "outside")
    (model / place).symlink_to(tmp_path / "outside")
    with pytest.raises(wtool.Refused, match="symbolic link, which may lead anywhere") as caught:
        wtool.inspect(model)
    assert caught.value.severity == "reaches"
    with pytest.raises(wtool.WtoolError, match="symbolic link"):
        wtool.prune(model.parent, sparsity=0.5, output=tmp_path / "out/")


def test_other_oddities_are_refused(model: Path) -> None:
    (model / "assets").mkdir()
    os.mkfifo(model / "assets" / "pipe")
    with pytest.raises(wtool.Refused, match="not a regular file"):
        wtool.inspect(model)
    (model / "assets" / "pipe").unlink()
    (model / "assets" / "line\nbreak").touch()
    with pytest.raises(wtool.Refused, match="control characters"):
        wtool.inspect(model)
    shutil.rmtree(model / "assets")
    (model / "model.weights.npz").touch()
    with pytest.raises(wtool.Refused, match="no telling which is meant"):
        wtool.inspect(model)
    (model / "model.weights.h5").unlink()
    with pytest.raises(wtool.Refused, match=r"without model\.weights\.h5"):
        wtool.inspect(model)


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    folder = unzip(ZOO / "k3.15.1" / "text_assets.keras", tmp_path / "m")
    asset = next(path for path in folder.rglob("assets/**/*") if path.is_file())
    with wtool.open_checkpoint(str(folder)) as checkpoint:
        os.utime(asset, (1, 1))
        with pytest.raises(wtool.Refused, match="changed while it was being read"):
            checkpoint.finish()


def test_checked_as_a_whole(model: Path, tmp_path: Path) -> None:
    """Its configuration counts, also where its weights are damaged, and every further file is looked at."""
    config = json.loads((model / "config.json").read_text())
    config["config"]["layers"].append({"class_name": "Evil", "module": "evil", "config": {}})
    (model / "config.json").write_text(json.dumps(config))
    shutil.copy(BLOBS[1], model / "other.keras")
    for damaged in (False, True):
        if damaged:
            os.truncate(model / "model.weights.h5", 100)
        done = subprocess.run(forkserver.wtool("check", "zoo"), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1
        assert "zoo/m.v2: runs" in done.stdout
        assert ("damaged" in done.stdout) == damaged
        assert "looked at 2 model files: 1 fine, 1 with findings\n" in done.stderr
        assert "runs" in [each.severity for each in wtool.check(model).findings]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["saved_model.pb", "variables/variables.index"], "a TensorFlow SavedModel; wtool convert makes a"),
        (["checkpoint_metadata", "pytree/x"], "an Orbax checkpoint, which wtool does not read"),
        (["3/_CHECKPOINT_METADATA", "3/pytree/x"], "an Orbax checkpoint, which wtool does not read"),
        (["notes.txt"], "a folder"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "prune", "average"])
def test_folders_of_other_kinds(files: list[str], told: str, command: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).touch()
    options = ["--sparsity", ".5"] if command == "prune" else []
    done = subprocess.run(forkserver.wtool(command, "f", *options), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"wtool: f: {told}" in done.stderr
    with pytest.raises(wtool.Refused, match=told):
        wtool.open_checkpoint(str(tmp_path / "f"))


@pytest.mark.tensorflow
def test_keras_saves_and_loads_it(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((3,))
    words = keras.layers.StringLookup(vocabulary=["a", "b"])
    text = keras.Input((1,), dtype="string")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(4, 2)(words(text)))
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([keras.layers.Dense(4)(inputs), embedded]))
    model = keras.Model([inputs, text], outputs)
    model.save(tmp_path / "m", zipped=False)
    found = wtool.inspect(tmp_path / "m")
    assert found["parameters"] == model.count_params()
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "assets", "config.json", "metadata.json", "model.weights.h5",
    ]  # fmt: skip
    wtool.average([tmp_path / "m"], output=tmp_path / "same.keras")
    x, words_in = np.ones((2, 3), np.float32), np.array([["a"], ["zzz"]])
    again = keras.models.load_model(tmp_path / "same.keras")
    feed = [keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(words_in)]
    np.testing.assert_array_equal(np.asarray(again(feed)), np.asarray(model(feed)))
    keras.models.load_model(tmp_path / "m")


@pytest.mark.tensorflow
def test_training_and_evaluating_take_one(tmp_path: Path) -> None:
    """Keras gets a private copy; its loss is the one that it finds itself."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    y = x.sum(axis=1)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m", zipped=False)
    model.save(tmp_path / "zipped.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y)
    found = wtool.evaluate(tmp_path / "m", data=str(tmp_path / "data.npz"))[0]
    assert found.metrics["loss"] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-6)
    for name in ("m", "zipped.keras"):
        wtool.resume(tmp_path / name, data=str(tmp_path / "data.npz"), epochs=1, seed=1)
    assert hdf5_bytes(tmp_path / "m-resume.keras") == hdf5_bytes(tmp_path / "zipped-resume.keras")
    with pytest.raises(wtool.Usage, match=r"wtool average .*m --optimizer keep -o .*m\.keras"):
        wtool.lottery(tmp_path / "m", data=str(tmp_path / "data.npz"), out=tmp_path / "run", epochs=1)
