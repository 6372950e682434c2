"""The loop over tensors: which bytes are read together, and that every value is in one block."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import BLOBS, arrays
from wtool.checkpoint.model import Tensor
from wtool.dtypes import dtype_of
from wtool.errors import Refused
from wtool.run import pipeline, readers, threads
from wtool.run.pipeline import Edit

DTYPES = ["float16", "float32", "float64"]


def tensor(path: str, shape: tuple[int, ...], dtype: str, offset: int = 0, shard: int = 0) -> Tensor:
    return Tensor(
        path, "kernel", path, None, None, shape, dtype, path, offset, prod(shape) * dtype_of(dtype).itemsize, shard
    )


def nothing(blocks: Sequence[Any], start: int, stop: int) -> None:
    """Leaves everything as it is."""


EDITS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=3), st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.booleans()),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(EDITS, st.integers(8, 300))
def test_batches_hold_every_value_once_and_no_more_than_the_limit(edits: list[Any], limit: int) -> None:
    made = []
    for number, (shape, dtype, read, is_whole) in enumerate(edits):
        target = tensor(f"{number}", tuple(shape), dtype)
        made.append(Edit(target, (tensor(f"{number}", tuple(shape), read),), nothing, is_whole))
    found: dict[str, list[tuple[int, int]]] = {edit.target.path: [] for edit in made}
    for batch in pipeline._batches(made, limit):
        widths = [max(dtype_of(each.edit.target.dtype).itemsize, dtype_of(each.edit.inputs[0].dtype).itemsize)
                  for each in batch if each.edit.inputs[0] is not None]  # fmt: skip
        size = sum(piece.count * width for piece, width in zip(batch, widths, strict=True))
        assert size <= limit or any(piece.edit.is_whole for piece in batch)
        for piece in batch:
            assert piece.count > 0
            assert piece.nbytes == piece.work == piece.count * widths[batch.index(piece)]
            found[piece.edit.target.path].append((piece.start, piece.stop))
    for edit in made:
        count, ranges = prod(edit.target.shape), found[edit.target.path]
        edges = [0, *(stop for _, stop in ranges)]
        assert ranges == list(pairwise(edges))
        assert edges[-1] == count
        assert not edit.is_whole or len(ranges) == (count > 0)


def test_many_small_tensors_do_not_fill_a_batch_with_gaps() -> None:
    """Up to 4096 bytes between two tensors are read along: they count as if they were."""
    edits = [Edit(each, (each,), nothing) for each in (tensor(f"{n}", (1,), "float32", 4000 * n) for n in range(25))]
    batches = list(pipeline._batches(edits, 10 * readers.NEAR))
    assert [len(batch) for batch in batches] == [10, 10, 5]


def test_work_counts_what_is_read() -> None:
    own = tensor("a", (10,), "float32")
    for inputs, work in (((), 40), ((own,), 40), ((own, own, own), 120), ((own, None, own), 80), ((None,), 40)):
        (batch,) = pipeline._batches([Edit(own, inputs, nothing)], 1000)
        assert [piece.work for piece in batch] == [work]


@pytest.mark.parametrize(("offset", "shard", "is_one"), [(0, 0, True), (39, 0, True), (40, 0, False), (0, 1, False)])
def test_two_edits_of_the_same_bytes_are_refused(offset: int, shard: int, is_one: bool) -> None:
    edits = [Edit(each, (each,), nothing)
             for each in (tensor("a", (10,), "float32"), tensor("b", (10,), "float32", offset, shard))]  # fmt: skip
    if is_one:
        with pytest.raises(Refused, match="a and b are one array in the file"):
            pipeline._refuse_shared(edits)
    else:
        pipeline._refuse_shared(edits)


@pytest.mark.parametrize("batch", [64, 1 << 20])
@pytest.mark.parametrize("alone", [0, 1 << 20], ids=["threads", "no threads"])
def test_a_scan_reads_what_h5py_reads(batch: int, alone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SMALLEST_BATCH", 64)
    monkeypatch.setattr(pipeline, "LARGEST_BATCH", batch)
    monkeypatch.setattr(threads, "ALONE", alone)
    told: list[tuple[int, int]] = []
    with wtool.open_checkpoint(str(BLOBS[0])) as checkpoint:
        edits = [Edit(each, (each,), lambda blocks, start, stop: blocks[0].copy()) for each in checkpoint.tensors]
        parts: dict[str, list[Any]] = {}
        places = []
        for each, start, block in pipeline.scan([checkpoint], edits, lambda done, total: told.append((done, total))):
            assert start == sum(map(len, parts.get(each.stored, [])))
            parts.setdefault(each.stored, []).append(block)
            places.append(each.offset)
        total = sum(each.nbytes for each in checkpoint.tensors)
    expected = arrays(BLOBS[0])
    assert parts.keys() <= expected.keys()
    for name, blocks in parts.items():
        assert np.concatenate(blocks).tobytes() == expected[name].tobytes()
    assert places == sorted(places)
    assert told == sorted(set(told))
    assert told[-1] == (total, total)
    assert len(readers._spare) <= readers.MOST_SPARE


@pytest.mark.parametrize("batch", [64, 100])
def test_pieces_of_a_tensor_are_written_where_they_belong(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SMALLEST_BATCH", batch)
    monkeypatch.setattr(pipeline, "LARGEST_BATCH", batch)
    wtool.average(BLOBS[:2], optimizer="keep", output=tmp_path / "mean.keras")
    first, second, mean = (arrays(path) for path in (*BLOBS[:2], tmp_path / "mean.keras"))
    weights = [name for name in mean if "optimizer" not in name and mean[name].dtype == np.float32]
    assert max(mean[name].nbytes for name in weights) > 2 * batch
    for name in weights:
        wanted = (first[name].astype(np.float64) + second[name]) / 2
        assert mean[name].tobytes() == wanted.astype(np.float32).tobytes(), name
