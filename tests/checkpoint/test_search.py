"""What a search of a folder takes for models, and what it passes by: nothing in silence."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, ZOO
from wtool.checkpoint.inputs import models_of
from wtool.checkpoint.search import listing, passed_by

SHARDED = ZOO / "k3.12.4" / "sharded.weights.json"


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool(*words), capture_output=True, text=True, cwd=cwd)


def kinds(folder: Path) -> dict[str, str]:
    return {os.path.relpath(entry.path, folder): entry.kind for entry in listing(str(folder))}


def copy_sharded(folder: Path) -> None:
    for name in ("sharded.weights.json", "sharded_00000.weights.h5", "sharded_00001.weights.h5"):
        shutil.copy(SHARDED.with_name(name), folder / name)


def test_every_kind_of_thing(tmp_path: Path) -> None:
    copy_sharded(tmp_path)
    for name in ("a.keras", "B.KERAS", "c.H5", "notes.txt", ".hidden.keras", ".git/d.keras", "deep/e.hdf5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.keras").symlink_to("a.keras")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / ".git" / "link.keras").symlink_to("../a.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "socket"))
        assert kinds(tmp_path) == {
            "a.keras": "model",
            "B.KERAS": "model",
            "c.H5": "model",
            "deep/e.hdf5": "model",
            "sharded.weights.json": "model",
            "sharded_00000.weights.h5": "part",
            "sharded_00001.weights.h5": "part",
            "notes.txt": "other",
            ".hidden.keras": "hidden",
            ".git/d.keras": "hidden",
            ".git/link.keras": "link",
            "link.keras": "link",
            "round": "link",
            "pipe.keras": "special",
            "socket": "special",
        }
    parts = {entry.of for entry in listing(str(tmp_path)) if entry.kind == "part"}
    assert parts == {str(tmp_path / "sharded.weights.json")}
    found = {os.path.relpath(path, tmp_path) for path in models_of(str(tmp_path))}
    assert found == {"a.keras", "B.KERAS", "c.H5", "deep/e.hdf5", "link.keras", "sharded.weights.json"}


NAMES = st.sampled_from(["a", ".b", "m.keras", "M.H5", "m_00000.weights.h5", "m.weights.json", "config.json"])
TREES = st.recursive(
    st.sampled_from(["file", "link", "dangling", "pipe"]), lambda inner: st.dictionaries(NAMES, inner, max_size=4)
)


def plant(tree: object, path: str) -> None:
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, inner in tree.items():
            plant(inner, os.path.join(path, name))
    elif tree == "file":
        Path(path).write_text('{"weight_map": {"x": "m_00000.weights.h5"}}')
    elif tree == "pipe":
        os.mkfifo(path)
    else:
        os.symlink("." if tree == "link" else "nowhere", path)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=5))
def test_everything_is_listed_once(tree: dict[str, object]) -> None:
    """os.walk is the second reader; its folders that are links count as files."""
    with tempfile.TemporaryDirectory() as root:
        plant(tree, os.path.join(root, "t"))
        walked = [
            os.path.join(parent, name)
            for parent, folders, files in os.walk(os.path.join(root, "t"))
            for name in (*files, *(each for each in folders if os.path.islink(os.path.join(parent, each))))
        ]
        assert sorted(entry.path for entry in listing(os.path.join(root, "t"))) == sorted(walked)


@pytest.mark.parametrize("place", [".git/link.keras", ".link.keras", "a/.b/c/link.keras"])
def test_no_search_takes_hidden_links(place: str, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for name in ("other.keras", "zoo/own.keras"):
        shutil.copy(BLOBS[0], tmp_path / name)
    link = tmp_path / "zoo" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "other.keras")
    assert models_of(str(tmp_path / "zoo")) == [str(tmp_path / "zoo" / "own.keras")]
    assert "1 symbolic link" in passed_by(str(tmp_path / "zoo"))


def test_a_map_hides_only_its_own_shards(tmp_path: Path) -> None:
    """A file that is called like a shard and is in no map is a model; so is one in a map that is not called so."""
    copy_sharded(tmp_path)
    shutil.copy(SHARDED.with_name("sharded_00000.weights.h5"), tmp_path / "sharded_00007.weights.h5")
    shutil.copy(FIXTURES / "bn" / "ckpt-9.h5", tmp_path / "model.h5")
    (tmp_path / "w.weights.json").write_text(json.dumps({"weight_map": {"/layers/dense/vars": "model.h5"}}))
    (tmp_path / "broken.weights.json").write_text("{")
    shutil.copy(SHARDED.with_name("sharded_00000.weights.h5"), tmp_path / "broken_00000.weights.h5")
    assert sorted(os.path.basename(path) for path in models_of(str(tmp_path))) == [
        "broken.weights.json",
        "broken_00000.weights.h5",
        "model.h5",
        "sharded.weights.json",
        "sharded_00007.weights.h5",
        "w.weights.json",
    ]


@pytest.mark.parametrize("command", ["inspect", "prune"])
def test_what_is_passed_by_is_said_and_counted(command: str, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for name in ("A.KERAS", ".b.keras", "notes.txt", "more.txt"):
        shutil.copy(BLOBS[0], zoo / name)
    (zoo / "elsewhere").symlink_to(tmp_path)
    told = "zoo: passed by 1 hidden file, 1 symbolic link, 2 files that are no models by their names"
    own = ["--sparsity", ".5", "-o", "out/", "--force"] if command == "prune" else []
    done = run(command, "zoo", *own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"wtool: {told}\n" in done.stderr
    assert "A.KERAS" in done.stderr + done.stdout
    for quiet in ("-q", "--json"):
        assert "passed by" not in run(command, "zoo", quiet, *own, cwd=tmp_path).stderr
    if command == "prune":
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["A.KERAS"]


def test_saved_models_that_are_passed_by_are_told_with_the_way_out(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "a.keras")
    for name in ("old", "older"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    done = run("inspect", ".", cwd=tmp_path)
    told = "2 SavedModels of TensorFlow (wtool convert takes the names of their folders)"
    assert f"wtool: .: passed by {told}\n" in done.stderr


def test_a_folder_without_models_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / ".a.keras").touch()
    with pytest.raises(wtool.WtoolError, match=r"a folder without models .*: 1 hidden file$"):
        wtool.prune(tmp_path, sparsity=0.5)


def test_an_output_for_a_folder_is_not_called_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    shutil.copy(BLOBS[0], tmp_path / "zoo" / "a.keras")
    done = run("prune", "zoo", "--sparsity", ".5", "-o", "onefile.keras", cwd=tmp_path)
    assert done.returncode == 2
    assert "onefile.keras: called like a file, but a folder may hold many models" in done.stderr
    assert not (tmp_path / "onefile.keras").exists()
    assert run("prune", "zoo", "--sparsity", ".5", "-o", "onefile.keras/", cwd=tmp_path).returncode == 0
    assert run("prune", "zoo", "--sparsity", ".5", "-o", "onefile.keras", cwd=tmp_path).returncode == 0  # it is one now


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["prune", "a.keras", "--sparsity", ".5", "--no-weights"], 2),
        (["prune", "zoo", "--sparsity", ".5", "--no-weights", "-o", "out/"], 2),
        (["prune", "a.keras", "--sparsity", ".5", "--include", "nothing/*"], 2),
        (["prune", "zoo", "--sparsity", ".5", "--include", "nothing/*", "-o", "out/"], 2),
        (["average", "a.keras", "--include", "nothing/*"], 2),
        (["plot", "a.keras", "--include", "nothing/*", "-o", "a.png"], 2),
        (["inspect", "-", "-"], 2),
        (["check", "-", "-"], 2),
        (["prune", "a.keras", "--sparsity", ".5", "-o", "a.h5"], 2),
        (["average", "a.keras", "-o", "a.h5"], 2),
        (["swap", "a.keras", "--to", "plain", "-o", "a.h5"], 2),
        (["inspect", "missing.keras"], 1),
        (["prune", "missing.keras", "--sparsity", ".5"], 1),
    ],
)
def test_misuse_has_status_2(words: list[str], status: int, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    for name in ("a.keras", "zoo/a.keras", "zoo/b.keras"):
        shutil.copy(BLOBS[0], tmp_path / name)
    done = run(*words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("operation", ["prune", "average"])
@pytest.mark.parametrize("name", ["a.lora.h5", "a.weights.h5", "A.H5", "a.keras"])
def test_an_output_may_have_the_extension_of_its_input(operation: str, name: str, tmp_path: Path) -> None:
    """One rule for all operations; KerasHub reads adapters from `.lora.h5` files only."""
    shutil.copy(FIXTURES / "bn" / "ckpt-9.weights.h5", tmp_path / name)
    ending = name.removeprefix("a").removeprefix("A")
    target = tmp_path / f"given{ending}"
    if operation == "prune":
        assert wtool.prune(tmp_path / name, sparsity=0.5, output=target)[0].output == str(target)
        done = wtool.prune(tmp_path / name, sparsity=0.5)[0].output
        assert done == str(tmp_path / f"{name.removesuffix(ending)}-prune{ending}")
    else:
        assert wtool.average([tmp_path / name] * 2, output=target).output == str(target)
    words = [operation, name, "-o", "x.hdf5", *(["--sparsity", ".5"] if operation == "prune" else [])]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "its name has to end in .weights.h5" in done.stderr
