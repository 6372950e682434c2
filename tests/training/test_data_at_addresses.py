"""Data at addresses: fetched once, told of by name, and refused where it has to be on this machine."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from wtool.errors import Usage, WtoolError
from wtool.training.checks import check_resume
from wtool.training.data import fingerprints
from wtool.training.data.arrays import names_in, of_csv, of_npy, of_npz
from wtool.training.data.fetched import local_copy
from wtool.training.data.words import check_data, words_in_records
from wtool.training.example import stored_example
from wtool.training.resume_options import Resume

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_a_file_of_arrays_is_fetched_once_and_again_when_it_changed(memory: Any) -> None:
    memory.pipe_file("/data/d.npz", npz(x=np.arange(3), y=np.arange(3)))
    path = "memory://data/d.npz"
    check_data(path)
    assert names_in(path) == {"x", "y"}
    x, y = of_npz(path, [], [], "train")
    assert x.tolist() == y.tolist() == [0, 1, 2]
    copy = local_copy(path)
    assert local_copy(path) == copy
    memory.pipe_file("/data/d.npz", npz(x=np.arange(4), y=np.arange(4)))
    assert local_copy(path) != copy
    assert of_npz(path, [], [], "train")[0].size == 4


def test_tables_and_single_arrays(memory: Any) -> None:
    memory.pipe_file("/data/d.csv", b"a,b,y\n1,2,0\n3,4,1\n")
    x, y = of_csv("memory://data/d.csv")
    assert (x.tolist(), y.tolist()) == ([[1, 2], [3, 4]], [0, 1])
    file = io.BytesIO()
    np.save(file, np.arange(5))
    memory.pipe_file("/data/x.npy", file.getvalue())
    assert of_npy("memory://data/x.npy").tolist() == [0, 1, 2, 3, 4]


def test_the_lineage_tells_of_the_file_as_of_one_here(memory: Any, tmp_path: Any) -> None:
    data = npz(x=np.arange(3), y=np.arange(3))
    memory.pipe_file("/data/d.npz", data)
    (tmp_path / "d.npz").write_bytes(data)
    assert fingerprints.entries("memory://data/d.npz", "data") == fingerprints.entries(str(tmp_path / "d.npz"), "data")
    assert words_in_records("https://host/d.npz?signature=secret") == ["d.npz"]
    assert words_in_records("data/d.npz") == ["data/d.npz"]


def test_what_is_missing_or_has_to_be_here(memory: Any) -> None:
    memory.pipe_file("/data/images/cat/1.png", b"")
    memory.pipe_file("/data/notes.txt", b"")
    with pytest.raises(WtoolError, match=r"^memory://data/no.npz: no such file or folder"):
        check_data("memory://data/no.npz")
    with pytest.raises(WtoolError, match="data in a folder has to be on this machine"):
        check_data("memory://data/images")
    with pytest.raises(WtoolError, match="no data that wtool knows"):
        check_data("memory://data/notes.txt")
    with pytest.raises(WtoolError, match=r"^memory://data/notes.txt: no .npz file of arrays"):
        of_npz("memory://data/notes.txt", [], [], "train")


@pytest.mark.parametrize("option", ["log", "checkpoints"])
def test_logs_and_checkpoints_have_to_be_here(option: str, memory: Any) -> None:
    from tests.models import BLOBS

    memory.pipe_file("/data/d.npz", npz(x=np.zeros((3, 2)), y=np.arange(3)))
    name = "log.csv" if option == "log" else "run/"
    options = Resume(data="memory://data/d.npz", epochs=1, **{option: f"memory://data/{name}"})
    with pytest.raises(Usage, match="have to be on this machine"):
        check_resume(str(BLOBS[0]), options)


def test_examples_beside_models_in_stores(memory: Any) -> None:
    memory.pipe_file("/data/m.npz", npz(x=np.ones(2), y=np.zeros(2)))
    found = stored_example("memory://data/m.keras")
    assert found is not None
    assert [each.tolist() for side in found for each in side] == [[1, 1], [0, 0]]
    assert stored_example("memory://data/other.keras") is None
