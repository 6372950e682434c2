"""Sums that tell how alike models are, against NumPy on whole arrays."""

from __future__ import annotations

from functools import reduce
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.transforms.averaging import CACHE_BLOCK
from wtool.transforms.likeness import Sums, cosines, mean_of_pairs, norm_of_mean, of_models, sums_of


def models(count: int, size: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=size)
    return [(shared + rng.normal(scale=0.5, size=size)).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_without_a_base(count: int) -> None:
    blocks = models(count, 2 * CACHE_BLOCK + 17)
    sums = sums_of(blocks, has_base=False)
    wide = [block.astype(np.float64) for block in blocks]
    norms = [np.linalg.norm(each) for each in wide]
    pairs = list(combinations(range(count), 2))
    angles = [wide[a] @ wide[b] / norms[a] / norms[b] for a, b in pairs]
    assert mean_of_pairs(cosines(sums.products)) == (pytest.approx(np.mean(angles), rel=1e-12) if pairs else None)
    disagreeing = [np.mean(np.sign(wide[a]) != np.sign(wide[b])) for a, b in pairs]
    assert sums.opposed / max(1, sums.pairs) == pytest.approx(np.mean(disagreeing) if pairs else 0)
    shares = np.arange(1.0, count + 1) / np.arange(1.0, count + 1).sum()
    mean = np.average(wide, axis=0, weights=shares)
    assert norm_of_mean(sums.products, shares) == pytest.approx(np.linalg.norm(mean) / (shares @ norms), rel=1e-12)
    assert sums.size == blocks[0].size
    assert not sums.nonfinite.any()


def test_with_a_base() -> None:
    *blocks, base = models(4, 5000)
    sums = sums_of([*blocks, base], has_base=True)
    wide = [block.astype(np.float64) for block in (*blocks, base)]
    differences = np.array([each - wide[-1] for each in wide[:-1]])
    assert sums.products[:3, :3] == pytest.approx(differences @ differences.T, rel=1e-12)
    assert of_models(sums.products) == pytest.approx(np.array(wide) @ np.array(wide).T, rel=1e-12)
    signs = np.sign(differences)
    assert sums.opposed == sum((signs[a] * signs[b] < 0).sum() for a, b in combinations(range(3), 2))
    assert sums.pairs == 3 * 5000


def test_differences_of_a_bit_are_not_lost() -> None:
    """Differences are taken before they are multiplied, so their cosine is right even where they are of one bit."""
    base = np.linspace(1, 2, 1000, dtype=np.float32)[:-1]
    up = np.nextafter(base, np.float32(9))
    sums = sums_of([up, np.nextafter(base, np.float32(-9)), base], has_base=True)
    assert mean_of_pairs(cosines(sums.products[:2, :2])) == pytest.approx(-1, abs=1e-3)
    assert sums.opposed == sums.pairs == 999


def test_independent_models_keep_a_share_of_their_norm() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 4, 9):
        sums = sums_of(list(rng.normal(size=(count, 100_000))), has_base=False)
        assert norm_of_mean(sums.products, np.full(count, 1 / count)) == pytest.approx(count**-0.5, rel=0.02)
        assert sums.opposed / sums.pairs == pytest.approx(0.5, abs=0.01)


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    first, second = models(2, 100)
    first[3], first[4], second[5] = np.nan, np.inf, -np.inf
    sums = sums_of([first, second], has_base=False)
    assert sums.nonfinite.tolist() == [2, 1]
    assert sums.nonzero.tolist() == [98, 99]
    assert np.isfinite(sums.products).all()


def test_zeros_have_no_cosine() -> None:
    sums = sums_of([np.zeros(10), np.ones(10)], has_base=False)
    assert sums.nonzero.tolist() == [0, 10]
    assert mean_of_pairs(cosines(sums.products)) is None
    assert sums.pairs == 0
    zeros = sums_of([np.zeros(10), np.zeros(10)], has_base=False)
    assert norm_of_mean(zeros.products, np.array([0.5, 0.5])) is None


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.booleans())
def test_sums_of_parts_add_up(sizes: list[int], has_base: bool) -> None:
    blocks = models(3, sum(sizes))
    starts = np.cumsum([0, *sizes])
    parts = [sums_of([block[start:stop] for block in blocks], has_base) for start, stop in pairwise(starts)]
    total, whole = reduce(Sums.__add__, parts), sums_of(blocks, has_base)
    assert total.products == pytest.approx(whole.products, rel=1e-12)
    assert (total.opposed, total.pairs, total.size) == (whole.opposed, whole.pairs, whole.size)
