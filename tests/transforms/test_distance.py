"""The distance of two tensors, against plain formulae in NumPy on whole tensors."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.transforms.distance import BLOCK, Distance, are_the_same_bytes, distance, equal_blocks

Array = np.ndarray[Any, Any]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-40, 3.0, 65504.0]


def formula(a: Array, b: Array, rtol: float = 0.0, atol: float = 0.0) -> Distance:
    """What `Distance` says of two tensors, value by value."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    equal = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(all="ignore"):
        gaps = np.where(equal | np.isnan(x) | np.isnan(y), 0, np.abs(x - y))
        close = np.isclose(x, y, rtol, atol, equal_nan=True)
    finite = np.isfinite(x) & np.isfinite(y)
    x0, y0 = np.where(finite, x, 0), np.where(finite, y, 0)
    signed = ~np.isnan(x) & ~np.isnan(y)
    same_dtype = a.dtype == b.dtype
    hidden = sum(p.tobytes() != q.tobytes() and bool(e) for p, q, e in zip(a, b, equal, strict=True)) * same_dtype
    return Distance(
        count=a.size,
        finite=int(finite.sum()),
        changed=int((~equal).sum()),
        beyond=int((~close).sum()),
        largest=float(gaps.max()),
        place=int(gaps.argmax()) if gaps.any() else -1,
        squares=float(((x0 - y0) ** 2).sum()),
        squares_a=float((x0**2).sum()),
        squares_b=float((y0**2).sum()),
        product=float((x0 * y0).sum()),
        flips=int((signed & (np.sign(np.where(signed, x, 0)) * np.sign(np.where(signed, y, 0)) < 0)).sum()),
        zeros_gained=int(((x != 0) & (y == 0)).sum()),
        zeros_lost=int(((x == 0) & (y != 0)).sum()),
        nans_a=int(np.isnan(x).sum()),
        nans_b=int(np.isnan(y).sum()),
        hidden=hidden,
    )


def assert_alike(found: Distance, wanted: Distance) -> None:
    for name in Distance.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-9, nan_ok=True), name


DTYPES = [np.dtype(each) for each in ("float16", "float32", "float64")] + [np.dtype(ml_dtypes.bfloat16)]
values = st.one_of(st.sampled_from(SPECIAL), st.floats(width=16))
pairs = st.integers(1, 40).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.float64, size, elements=values), arrays.arrays(np.float64, size, elements=values)
    )
)


@given(pairs, st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_formulae_hold(drawn: tuple[Array, Array], one: Any, other: Any, tolerance: float) -> None:
    with np.errstate(all="ignore"):
        a, b = drawn[0].astype(one), drawn[1].astype(other)
    assert_alike(distance(a, b, 0, tolerance, tolerance / 2), formula(a, b, tolerance, tolerance / 2))


@given(pairs)
def test_the_numbers_are_symmetric(drawn: tuple[Array, Array]) -> None:
    there, back = distance(*drawn), distance(drawn[1], drawn[0])
    for name in ("changed", "largest", "place", "squares", "product", "flips", "hidden"):
        assert getattr(there, name) == getattr(back, name), name
    assert (there.zeros_gained, there.nans_a, there.squares_a) == (back.zeros_lost, back.nans_b, back.squares_b)


@given(pairs, st.integers(0, 40))
def test_parts_together_are_the_whole(drawn: tuple[Array, Array], cut: int) -> None:
    a, b = drawn
    parts = distance(a[:cut], b[:cut]).merged(distance(a[cut:], b[cut:], cut))
    assert_alike(parts, formula(a, b))


def test_large_blocks_are_cut() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=2 * BLOCK + 5).astype(np.float32)
    b = (a + 0.1 * rng.normal(size=a.size)).astype(np.float32)
    found = distance(a, b)
    assert_alike(found, formula(a, b))
    gap = a.astype(np.float64) - b.astype(np.float64)
    assert found.rms == pytest.approx(np.sqrt((gap**2).mean()))
    assert found.relative == pytest.approx(np.linalg.norm(gap) / np.linalg.norm(a.astype(np.float64)))
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-5)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_neighbours_among_large_integers_are_not_equal(dtype: str) -> None:
    a = np.array([2**62, 2**62 + 1, 5], dtype)
    b = np.array([2**62 + 1, 2**62, 5], dtype)
    found = distance(a, b)
    assert (found.changed, found.largest, found.place) == (2, 1.0, 0)


def test_opposite_ends_of_int64_do_not_wrap() -> None:
    low, high = np.array([-(2**63)], np.int64), np.array([2**63 - 1], np.int64)
    assert distance(low, high).largest == 2.0**64


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)))
def test_equal_blocks_have_their_norms(a: Array) -> None:
    found, wanted = equal_blocks(a), formula(a, a.copy())
    for name in (
        "count",
        "finite",
        "changed",
        "largest",
        "squares",
        "squares_a",
        "squares_b",
        "product",
        "nans_a",
        "nans_b",
    ):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name)), name


def test_the_same_bytes_need_one_dtype() -> None:
    a = np.array([1.0, np.nan, 0.0], np.float32)
    assert are_the_same_bytes(a, a.copy())
    assert not are_the_same_bytes(a, np.array([1.0, np.nan, -0.0], np.float32))
    assert not are_the_same_bytes(a, a.view(np.int32))
    assert are_the_same_bytes(np.arange(3, dtype=np.uint8), np.arange(3, dtype=np.uint8))


@pytest.mark.parametrize("size", [5, 2 * BLOCK])
def test_the_mean_square_is_over_pairs_of_finite_values(size: int) -> None:
    a, b = np.arange(size, dtype=np.float64), np.arange(size, dtype=np.float64)
    b[1] += 3
    a[2], b[3], b[4] = np.nan, np.inf, np.nan
    assert distance(a, b).rms == pytest.approx(np.sqrt(9 / (size - 3)))
    assert equal_blocks(a).merged(distance(a, b)).finite == 2 * size - 4


def test_what_zeros_have() -> None:
    zeros, ones = np.zeros(3), np.ones(3)
    assert distance(zeros, ones).relative == np.inf
    assert np.isnan(distance(zeros, ones).cosine)
    assert distance(zeros, zeros).relative == 0
