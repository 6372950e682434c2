"""int8 codes: the formula on whole arrays, however rows are cut into blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wtool.transforms.quantising import arranged, coded_again, codes_for, largest_magnitudes

VALUES = st.floats(-(2.0**100), 2.0**100, width=32)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Any, tuple[int, ...], list[Any]]:
    """A matrix, the axes along which values share a scale, and the matrix in blocks of rows."""
    shape = draw(array_shapes(min_dims=1, max_dims=4, max_side=5))
    values = draw(arrays(np.float32, shape, elements=VALUES))
    axes = draw(st.sets(st.integers(0, len(shape) - 1)))
    cuts = sorted(draw(st.sets(st.integers(1, shape[0] - 1)))) if shape[0] > 1 else []
    return values, tuple(sorted(axes)), np.split(values, cuts)


def by_formula(values: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    scales = np.float32(127) / (np.abs(values).max(axis=axes, keepdims=True) + np.float32(1e-7))
    return np.clip(np.rint(values * scales), -127, 127).astype(np.int8), scales


@given(matrices())
def test_codes_and_scales_follow_the_formula_in_any_blocks(made: tuple[Any, tuple[int, ...], list[Any]]) -> None:
    values, axes, blocks = made
    codes, scales = by_formula(values, axes)
    found = codes_for(largest_magnitudes(blocks, axes))
    assert np.array_equal(found.scales, scales)
    starts = np.cumsum([0, *(len(block) for block in blocks)])
    pieces = [found.of(block, int(start)) for block, start in zip(blocks, starts, strict=False)]
    assert np.array_equal(np.concatenate(pieces), codes)
    standing = found.values(codes, 0, values.dtype)
    assert np.array_equal(standing, codes / scales)


@given(matrices())
def test_codes_of_codes_need_no_second_look(made: tuple[Any, tuple[int, ...], list[Any]]) -> None:
    values, axes, blocks = made
    first, scales = by_formula(values, axes)
    codes, again = by_formula((first / scales).astype(np.float32), axes)
    magnitudes = largest_magnitudes(blocks, axes)
    found = coded_again(codes_for(magnitudes), magnitudes)
    assert np.array_equal(found.scales, again)
    assert np.array_equal(found.of(values), codes)


def test_ties_go_to_the_even_code_and_zeros_have_a_scale() -> None:
    values = np.array([[127.0, 0.5, 1.5, -2.5], [0, 0, 0, 0]], np.float32)
    codes = codes_for(largest_magnitudes([values], (1,)))
    assert codes.of(values).tolist() == [[127, 0, 2, -2], [0, 0, 0, 0]]
    assert codes.scales[:, 0].tolist() == [1.0, float(np.float32(127) / np.float32(1e-7))]


@pytest.mark.parametrize(("order", "shape"), [((0, 1, 2), (2, 1, 3)), ((2, 0, 1), (3, 1, 2, 1)), ((2, 1, 0), (3, 2))])
def test_scales_are_arranged_as_the_output_is(order: tuple[int, ...], shape: tuple[int, ...]) -> None:
    scales = np.arange(6).reshape(2, 1, 3)
    assert np.array_equal(arranged(scales, order, shape), np.transpose(scales, order).reshape(shape))
