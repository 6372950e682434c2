"""Blocks of a tensor with other positions are what the whole new tensor has there, by NumPy's own indexing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.checkpoint.model import Tensor
from wtool.graphs.axis_blocks import changed_array, changed_block
from wtool.graphs.layer_changes import COPY, INPUT, ONE, ZERO, AxisEdit
from wtool.graphs.values import Filling

Array = np.ndarray[Any, Any]


def held(values: Array) -> tuple[Any, Tensor]:
    """A checkpoint that holds one tensor."""
    tensor = Tensor("a/kernel", "kernel", "a", None, True, values.shape, values.dtype.name, "", 0, values.nbytes)
    reads: list[int] = []

    def read_range(_: Tensor, start: int, stop: int) -> Array:
        reads.append(stop - start)
        return values.reshape(-1)[start:stop].copy()

    def read_into(_: Tensor, start: int, into: Array) -> None:
        into[:] = read_range(tensor, start, start + len(into))

    return SimpleNamespace(read_range=read_range, read_into=read_into, reads=reads), tensor


def whole(values: Array, edits: list[AxisEdit], fill: str) -> Array:
    """The new tensor by its definition: old values at new positions, and new ones filled, one edit after the other."""
    for edit in edits:
        values = values.take([j if j >= 0 else ~j for j in edit.source.tolist()], axis=edit.axis)
        moved = np.moveaxis(values, edit.axis, 0)  # a view
        for position, j in enumerate(edit.source.tolist()):
            chosen = fill if edit.fill == INPUT else edit.fill
            if j < 0 and chosen != COPY:
                moved[position] = -moved[position] if chosen == "mirror" else {ZERO: 0, ONE: 1, "zero": 0}[chosen]
    return values


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, list[AxisEdit], str, int]:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    longer = draw(st.sampled_from([1, 1, 1024]))  # a row may be so long that it is read by itself
    shape[-1] *= longer
    edits = []
    sizes = list(shape)
    for _ in range(draw(st.integers(0, 3))):
        axis = draw(st.integers(0, len(shape) - 1))
        position = st.integers(-sizes[axis], sizes[axis] - 1)
        source = draw(st.lists(position, min_size=1, max_size=7)) * (longer if axis == len(shape) - 1 else 1)
        sizes[axis] = len(source)
        edits.append(AxisEdit("kernel", axis, np.array(source), draw(st.sampled_from([COPY, ZERO, ONE, INPUT]))))
    values = (np.arange(np.prod(shape)) % 2000 + 1).reshape(shape).astype(draw(st.sampled_from(["float32", "float16"])))
    return values, edits, draw(st.sampled_from(["zero", "mirror"])), draw(st.integers(1, 40)) * longer


@settings(max_examples=150, deadline=None)
@given(cases())
def test_blocks_are_those_of_the_whole(case: tuple[Array, list[AxisEdit], str, int]) -> None:
    values, edits, fill, size = case
    base, tensor = held(values)
    expected = whole(values.copy(), edits, fill)
    fresh = changed_array(base, tensor, edits, Filling(fill))
    assert (fresh.shape, fresh.dtype) == (expected.shape, expected.dtype.name)
    assert fresh.block is not None
    for start in range(0, expected.size, size):
        stop = min(start + size, expected.size)
        found = fresh.block(start, stop)
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.reshape(-1)[start:stop].tobytes()


def test_a_block_reads_no_more_than_its_rows() -> None:
    base, tensor = held(np.arange(6000, dtype="f4").reshape(1000, 6))
    twice = AxisEdit("kernel", 0, np.concatenate([np.arange(1000), ~np.arange(1000)]), INPUT)
    found = changed_block(base, tensor, [twice], Filling("mirror"), 6 * 1200, 6 * 1210)
    assert found.tolist() == [-each for each in range(1200, 1260)]
    assert sum(base.reads) == 60
    far = AxisEdit("kernel", 0, np.array([0, 999, 500, 501]), COPY)
    base.reads.clear()
    changed_block(base, tensor, [far], Filling("zero"), 0, 24)
    assert base.reads == [6, 6, 12]


def test_rows_that_one_number_fills_are_not_read() -> None:
    base, tensor = held(np.arange(6000, dtype="f4").reshape(1000, 6))
    twice = AxisEdit("kernel", 0, np.concatenate([np.arange(1000), ~np.arange(1000)]), INPUT)
    found = changed_block(base, tensor, [twice], Filling("zero"), 6 * 990, 6 * 1010)
    assert found.tolist() == [*range(5940, 6000), *[0] * 60]
    assert base.reads == [60]


def test_fresh_initial_values_are_drawn_whole() -> None:
    base, tensor = held(np.ones((4, 4), "f4"))
    edit = AxisEdit("kernel", 0, np.array([0, 1, 2, 3, ~0]), INPUT)
    assert changed_array(base, tensor, [edit], Filling("initializer")).block is None


@pytest.mark.parametrize("fill", [COPY, ZERO, ONE])
def test_an_edit_of_its_own_filling_asks_nobody(fill: str) -> None:
    base, tensor = held(np.ones((4, 4), "f4"))
    edit = AxisEdit("kernel", 0, np.array([0, 1, 2, 3, ~0]), fill)
    assert changed_array(base, tensor, [edit], Filling("initializer")).block is not None
