"""A model as text for git: the same for the same model, and one line different where one thing is."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, HOSTILE, ZOO, arrays, changed
from wtool.errors import WtoolError
from wtool.ops.stable import stable_text

MODEL = BLOBS[0]


def differing(one: str, other: str) -> list[str]:
    """The lines in which two texts differ, as `diff` marks them."""
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_formats_have_one_text() -> None:
    texts = {stable_text(str(FIXTURES / "bn" / f"ckpt-9.{ending}")) for ending in ("keras", "h5")}
    assert len(texts) == 1


def test_a_line_tells_shape_dtype_hash_and_range() -> None:
    values = arrays(MODEL)["layers/dense/vars/0"]
    digest = blake3.blake3(values.tobytes()).hexdigest()[:16]
    told = f"2x25 float32 blake3:{digest}, zeros 0, min {values.min():.9g}, max {values.max():.9g}"
    lines = stable_text(str(MODEL)).splitlines()
    assert f"tensor hidden/kernel: {told}" in lines
    assert 'layer hidden: activation = "relu"' in lines
    assert 'training: optimizer = "SGD"' in lines
    assert len(lines) == len(set(lines))


def test_dates_versions_and_names_of_files_are_not_told(tmp_path: Path) -> None:
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(MODEL) as old, zipfile.ZipFile(other, "w") as new:
        for name in reversed(old.namelist()):
            data = old.read(name)
            if name == "metadata.json":
                data = json.dumps({"keras_version": "3.9.9", "date_saved": "2031-01-01@00:00:00"}).encode()
            new.writestr(name, data)
    assert stable_text(str(other)) == stable_text(str(MODEL))


def test_one_value_changes_one_line(tmp_path: Path) -> None:
    def change(name: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if values.shape == (25, 3) and "optimizer" not in name:
            values[7, 2] = 9
        return values

    other = changed(MODEL, tmp_path / "other.keras", change)
    removed, added = differing(stable_text(str(MODEL)), stable_text(str(other)))
    assert removed.startswith("-tensor output/kernel: 25x3 float32 blake3:")
    assert added.endswith("max 9")


@pytest.mark.parametrize("path", sorted(ZOO.rglob("*.keras")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_model_has_a_text(path: Path) -> None:
    text = stable_text(str(path))
    with wtool.open_checkpoint(str(path)) as model:
        count = len(model.weights) + len(model.slots)
    assert sum(line.startswith("tensor ") for line in text.splitlines()) == count
    assert stable_text(str(path)) == text


@pytest.mark.parametrize(
    "path", sorted(path for path in HOSTILE.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_files_from_strangers_have_a_text_or_are_refused(path: Path) -> None:
    try:
        text = stable_text(str(path))
    except WtoolError:
        return
    assert text.endswith("\n")


def test_stable_goes_with_no_other_form() -> None:
    for word in ("--json", "--tensors"):
        done = subprocess.run(forkserver.wtool("inspect", MODEL, "--stable", word), capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stdout == b""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_shows_the_changed_tensor(tmp_path: Path) -> None:
    """The two lines of docs/reference/diff.md, with a real repository."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "diff.md").read_text()
    assert "*.keras diff=wtool" in page
    assert 'git config diff.wtool.textconv "wtool inspect --stable"' in page
    env = {
        **os.environ,
        "PATH": f"{forkserver.folder()}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def git(*words: str) -> str:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(
            ["git", *author, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        ).stdout

    git("init", "-q")
    (tmp_path / ".gitattributes").write_text("*.keras diff=wtool\n")
    git("config", "diff.wtool.textconv", "wtool inspect --stable")
    shutil.copy(MODEL, tmp_path / "model.keras")
    git("add", "-A")
    git("commit", "-qm", "a model")
    changed(
        MODEL, tmp_path / "model.keras", lambda name, values: values + ("optimizer" not in name and values.ndim > 1)
    )
    marked = [line for line in git("diff").splitlines() if line.startswith(("+tensor", "-tensor"))]
    assert [line.partition(":")[0] for line in marked] == [
        "-tensor hidden/kernel", "+tensor hidden/kernel", "-tensor output/kernel", "+tensor output/kernel",
    ]  # fmt: skip
    git("commit", "-aqm", "another one")
    assert "tensor hidden/kernel" in git("log", "-p", "-1")
