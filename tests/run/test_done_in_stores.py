"""What is done already is skipped in stores as well, there without reading what the store's mark tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.remote.s3 import S3
from wtool.errors import WtoolError

SIZE = 1 << 22


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of weights of 4 MiB, so that its index is a small part of it."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        values = np.random.default_rng(0).normal(size=(1024, SIZE // 4096)).astype("float32")
        file.create_dataset("layers/dense/vars/0", data=values)
        file.create_dataset("layers/dense/vars/1", data=np.ones(1024, "float32"))
    return path


def prune(source: str | Path, output: str) -> bool:
    """Returns whether the work was skipped."""
    (told,) = wtool.prune(source, sparsity=0.5, output=output)
    return bool(told.skipped)


def test_marked_results_are_not_read(model: Path, s3: S3) -> None:
    source = s3.put("in/m.weights.h5", model.read_bytes())
    assert not prune(source, "s3://zoo/out/m.weights.h5")
    before = s3.server.sent
    assert prune(source, "s3://zoo/out/m.weights.h5")
    assert s3.server.sent - before < SIZE // 4


def test_files_of_this_machine_are_compared_by_their_hash(model: Path, s3: S3) -> None:
    assert not prune(model, "s3://zoo/m.weights.h5")
    before = s3.server.sent
    assert prune(model, "s3://zoo/m.weights.h5")
    assert s3.server.sent - before < SIZE // 4
    with h5py.File(model, "r+") as file:
        file["layers/dense/vars/1"][0] = 2
    with pytest.raises(WtoolError, match="exists already"):
        prune(model, "s3://zoo/m.weights.h5")


def test_another_input_is_not_the_same(model: Path, s3: S3) -> None:
    source = s3.put("in/m.weights.h5", model.read_bytes())
    prune(source, "s3://zoo/m.weights.h5")
    with h5py.File(model, "r+") as file:
        file["layers/dense/vars/1"][0] = 2
    s3.put("in/m.weights.h5", model.read_bytes())
    with pytest.raises(WtoolError, match="exists already"):
        prune(source, "s3://zoo/m.weights.h5")


def test_the_same_input_with_another_version(model: Path, s3: S3) -> None:
    """Its hash tells, and the seal of the result."""
    source, other = (s3.put(f"{name}/m.weights.h5", model.read_bytes()) for name in ("in", "copy"))
    prune(source, "s3://zoo/m.weights.h5")
    assert prune(other, "s3://zoo/m.weights.h5")


def test_a_mark_goes_with_what_was_uploaded(model: Path, s3: S3) -> None:
    source = s3.put("in/m.weights.h5", model.read_bytes())
    prune(source, "s3://zoo/m.weights.h5")
    result = bytearray(s3.get("m.weights.h5"))
    s3.put("m.weights.h5", bytes(result))
    assert prune(source, "s3://zoo/m.weights.h5")  # no mark, and a seal that is whole
    result[len(result) // 2] ^= 1
    s3.put("m.weights.h5", bytes(result))
    with pytest.raises(WtoolError, match="exists already"):
        prune(source, "s3://zoo/m.weights.h5")


def test_stores_without_marks_are_read(model: Path, memory: Any) -> None:
    assert not prune(model, "memory://zoo/m.weights.h5")
    assert prune(model, "memory://zoo/m.weights.h5")
    changed = bytearray(memory.cat_file("memory://zoo/m.weights.h5"))
    changed[len(changed) // 2] ^= 1
    memory.pipe_file("memory://zoo/m.weights.h5", bytes(changed))
    with pytest.raises(WtoolError, match="exists already"):
        prune(model, "memory://zoo/m.weights.h5")
