"""`wtool diff`, as a shell sees it: a table, its order, and the exit status of `diff`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import forkserver
from tests.cli.terminals import on_a_terminal, plain
from tests.models import BLOBS, FIXTURES, HOSTILE, noisy
from wtool.cli import diff_table

ONE, OTHER = BLOBS[0], BLOBS[1]


def run(*words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(forkserver.wtool("diff", *words), capture_output=True, input=stdin, check=False)


def test_equal_models_give_no_words_and_status_0() -> None:
    done = run(ONE, ONE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_table_has_the_largest_relative_difference_first() -> None:
    done = run(ONE, OTHER)
    assert (done.returncode, done.stderr) == (1, b"")
    header, *rows = done.stdout.decode().splitlines()
    assert header.split()[:3] == ["tensor", "shape", "changed"]  # no dtype, which all keep
    assert "zeros" not in header
    column = header.index("relative") + len("relative")
    sizes = [float(row[:column].split()[-1]) for row in rows]
    assert len(rows) == 9
    assert sizes == sorted(sizes, reverse=True)


def test_columns_are_there_that_say_something(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.weights.h5", "b.weights.h5")]
    for path, dtype, values in zip(paths, ("f4", "f8"), ([1, 0, 3], [-1, 0, 3]), strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("layers/dense/vars/0", data=np.array(values, dtype))
    header, row = run(*paths).stdout.decode().splitlines()
    assert header.split() == [
        "tensor",
        "shape",
        "dtype",
        "changed",
        "max",
        "|d|",
        "at",
        "rms",
        "relative",
        "cosine",
        "signs",
    ]
    assert "float32 -> float64" in row
    assert "1 (33%)" in row


def test_a_narrow_terminal_has_the_columns_that_matter_most() -> None:
    status, shown = on_a_terminal("diff", ONE, OTHER, columns=50)
    assert status == 1
    header = next(line for line in plain(shown) if line.startswith("tensor"))
    assert header.split() == ["tensor", "max", "|d|", "relative"]
    assert "no room for at, rms, shape" in shown
    assert all(len(line) <= 50 for line in plain(shown))


@pytest.mark.parametrize(
    ("part", "words"), [(0, "none"), (1, "1 (<1%)"), (500, "500 (50%)"), (999, "999 (>99%)"), (1000, "all")]
)
def test_shares(part: int, words: str) -> None:
    assert diff_table._share(part, 1000) == words


@pytest.mark.parametrize(
    "words",
    [(ONE,), (ONE, "nowhere.keras"), (ONE, ONE, "--rtol", "-1"), (ONE, HOSTILE / "json_null.keras"), ("-", "-")],
    ids=["one model", "no file", "tolerance", "no model", "two streams"],
)
def test_trouble_is_status_2(words: tuple[object, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("option", ["--all", "--stat", "--json"])
def test_output_that_has_no_place_is_trouble_and_no_difference(option: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            forkserver.wtool("diff", ONE, OTHER, option), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"wtool: cannot write to standard output")


def test_one_line_counts_the_differences() -> None:
    assert run(ONE, ONE, "--stat").stdout.decode() == f"{ONE} and {ONE}: equal\n"
    done = run(ONE, OTHER, "--stat")
    assert done.stdout.decode() == f"{ONE} and {OTHER}: different: 4 tensors, 153 values, 5 slots\n"


def test_standard_input_is_one_of_the_models() -> None:
    assert run(ONE, "-", stdin=ONE.read_bytes()).returncode == 0
    assert run("-", ONE, stdin=OTHER.read_bytes()).returncode == 1


def test_notes_go_to_standard_error() -> None:
    models = FIXTURES / "bn" / "ckpt-9.keras", FIXTURES / "bn" / "ckpt-9.h5"
    done = run(*models)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"wtool: note: formats: keras and h5\n"
    assert run(*models, "-q").stderr == b""


def test_tolerances_make_models_equal(tmp_path: Path) -> None:
    (near,) = noisy(ONE, tmp_path, 1)
    assert run(ONE, near, "--atol", "10").returncode == 0
    assert run(ONE, near, "--atol", "1e-6").returncode == 1


def test_json_is_one_object_with_everything() -> None:
    found = json.loads(run(ONE, OTHER, "--json").stdout)
    assert found["equal"] is False
    assert [each["path"] for each in found["tensors"]][:1] == ["hidden/kernel"]
    assert set(found["tensors"][0]["values"]) >= {"changed", "largest", "where", "rms", "relative", "cosine"}
    assert json.loads(run(ONE, ONE, "--json").stdout)["equal"] is True


def test_twenty_rows_are_shown_unless_all_are_asked_for(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.weights.h5", "b.weights.h5")]
    for value, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            for number in range(23):
                file.create_dataset(
                    f"layers/dense{f'_{number}' if number else ''}/vars/0", data=np.full(3, value, "f4")
                )
    lines = run(*paths).stdout.decode().splitlines()
    assert len(lines) == 22
    assert lines[-1] == "and 3 tensors more (--all)"
    assert len(run(*paths, "--all").stdout.splitlines()) == 24
