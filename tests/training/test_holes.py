"""Which Keras has which holes, as its releases say and as hostile files showed it, and that it is told."""

from __future__ import annotations

import os
import subprocess
import warnings

import pytest

from tests import forkserver
from tests.models import BLOBS
from wtool.errors import OldKeras
from wtool.training.loading.holes import open_holes, warn_of_holes


@pytest.mark.parametrize(
    ("version", "count"),
    [
        *(("3.8.0", 11), ("3.10.0", 10), ("3.11.3", 7), ("3.12.0", 6), ("3.12.1", 4), ("3.12.4", 0)),
        *(("3.13.1", 6), ("3.13.2", 4), ("3.14.0", 4), ("3.14.1", 3), ("3.15.0", 1), ("3.15.1", 0)),
        *(("3.16.0", 0), ("3.16.0.dev2026082001", 0), ("4.0.0", 0)),
    ],
)
def test_holes_of_releases(version: str, count: int) -> None:
    assert len(open_holes(version)) == count


def test_the_extra_admits_no_release_with_holes() -> None:
    tomllib = pytest.importorskip("tomllib")
    specifiers = pytest.importorskip("packaging.requirements")
    with open("pyproject.toml", "rb") as file:
        extra = tomllib.load(file)["project"]["optional-dependencies"]["train"]
    (wanted,) = (each for each in map(specifiers.Requirement, extra) if each.name == "keras")
    minors = {9: 2, 10: 0, 11: 3, 12: 4, 13: 2, 14: 1, 15: 1}
    known = [f"3.{minor}.{patch}" for minor, last in minors.items() for patch in range(last + 1)]
    assert [each for each in known if wanted.specifier.contains(each)] == ["3.12.4", "3.15.1"]
    assert [each for each in known if not open_holes(each)] == ["3.12.4", "3.15.1"]


def test_they_are_told_once() -> None:
    with pytest.warns(OldKeras, match=r"^Keras 3.14.1 has known holes .*\(CVE-2026-12479, .* 3.15.1 \(.*: 3.12.4\)"):
        warn_of_holes("3.14.1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_holes("3.14.1")
        warn_of_holes("3.15.1")


@pytest.mark.tensorflow
def test_a_command_tells_them_in_one_line() -> None:
    pytest.importorskip("keras")
    program = "import keras, sys\nkeras.__version__ = '3.8.0'\nfrom wtool.cli import main\nmain(sys.argv[1:])"
    data = str(BLOBS[0].parent / "data.npz")  # whose names are no model's: the loading is what matters
    words = ["evaluate", str(BLOBS[0]), str(BLOBS[1]), "--data", data]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        forkserver.python("-c", program, *words, training=True), capture_output=True, text=True, env=env, check=False
    )
    told = [line for line in done.stderr.splitlines() if "Keras 3.8.0" in line]
    assert len(told) == 1
    assert told[0].startswith("wtool: warning: Keras 3.8.0 has known holes for hostile files (CVE-2025-1550, ")
