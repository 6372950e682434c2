"""Tensors that stay are copied in the loop: the result is the same, and the file is read once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import OF_EACH_KIND, ZOO
from wtool.checkpoint.model import Tensor
from wtool.io.stored import LocalFile
from wtool.run import pipeline, threads

MODELS = [path for path in sorted(ZOO.rglob("*")) if path.suffix in (".keras", ".h5", ".safetensors", ".json")]
NONE = 1 << 60
"""Bytes that no tensor has: none is copied in the loop."""


def nothing(blocks: Sequence[Any], start: int, stop: int) -> None:
    """Leaves everything as it is."""


def pruned(model: Path, out: Path, large: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes] | str:
    """The bytes of a model with one pruned kernel, or why there is none."""
    monkeypatch.setattr(pipeline, "LARGE", large)
    monkeypatch.setattr(threads, "ALONE", NONE if large == NONE else 0)
    monkeypatch.setattr(pipeline, "SMALLEST_BATCH", 512)
    monkeypatch.setattr(pipeline, "LARGEST_BATCH", 512)
    out.mkdir()
    try:
        with wtool.open_checkpoint(str(model)) as checkpoint:
            chosen = next(each.path for each in checkpoint.weights if each.role.endswith("kernel"))
        wtool.prune(model, min_value=-0.1, max_value=0.1, include=[chosen], optimizer="keep", output=f"{out}/")
    except (wtool.WtoolError, StopIteration) as error:
        return str(error)
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("model", [*MODELS, *OF_EACH_KIND], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_result_is_that_of_a_plain_copy(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pruned(model, tmp_path / "plain", NONE, monkeypatch)
    assert pruned(model, tmp_path / "kept", 1, monkeypatch) == plain


def test_an_array_with_two_names_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "tied.weights.h5"
    with h5py.File(model, "w", libver="earliest") as file:
        file["layers/dense/vars/0"] = np.arange(4096, dtype="f4").reshape(64, 64)
        file["layers/dense_1/vars/0"] = np.full((64, 64), 0.05, "f4")
        file["layers/dense_2/vars/0"] = file["layers/dense/vars/0"]
    assert pruned(model, tmp_path / "kept", 1, monkeypatch) == pruned(model, tmp_path / "plain", NONE, monkeypatch)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40), st.integers(0, 9), st.booleans()), max_size=9))
def test_no_tensor_is_kept_that_shares_bytes_with_another(found: list[tuple[int, int, int, bool]]) -> None:
    """Whatever overlaps: hostile files have such arrays."""
    tensors = [
        Tensor(f"{number}", "kernel", "", None, None, (size,), "int8", "", offset, size, shard)
        for number, (shard, offset, size, _) in enumerate(found)
    ]
    edits = [
        pipeline.Edit(each, (each,), nothing) for each, (*_, is_edited) in zip(tensors, found, strict=True) if is_edited
    ]
    with mock.patch.object(pipeline, "LARGE", 1):
        kept = pipeline.kept(SimpleNamespace(tensors=tensors), edits)  # type: ignore[arg-type]
    taken: set[tuple[int, int]] = {
        (edit.target.shard, edit.target.offset + byte) for edit in edits for byte in range(edit.target.nbytes)
    }
    assert not {each.target.path for each in kept} & {each.target.path for each in edits}
    for each in (edit.target for edit in kept):
        own = {(each.shard, each.offset + byte) for byte in range(each.nbytes)}
        assert not own & taken
        taken |= own
    whole = {(each.shard, each.offset + byte) for each in tensors for byte in range(each.nbytes)}
    is_apart = all(each.nbytes for each in tensors) and len(whole) == sum(each.nbytes for each in tensors)
    assert not is_apart or taken == whole


def test_the_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "large.weights.h5"
    with h5py.File(model, "w", libver="earliest") as file:
        for number in range(4):
            file[f"layers/dense_{number}/vars/0"] = np.full((300, 300), 0.05, "f4")
    size, read = model.stat().st_size, 0
    read_into = LocalFile.read_into

    def counted(self: LocalFile, offset: int, view: Any) -> int:
        nonlocal read
        read += len(view)
        return read_into(self, offset, view)

    monkeypatch.setattr(LocalFile, "read_into", counted)
    for large, times in ((1, 1.1), (NONE, 2)):
        pruned(model, tmp_path / str(large), large, monkeypatch)
        assert times - 0.5 < read / size < times, large
        read = 0
