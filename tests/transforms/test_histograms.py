"""Histograms that merge, against NumPy's with the same edges."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.transforms.histograms import BINS, FINEST, Histogram, histogram

FINITE = st.floats(allow_nan=False, allow_infinity=False)
USUAL = st.floats(-1e3, 1e3, allow_subnormal=False)


def told(found: Histogram) -> tuple[int, int, list[int]]:
    return found.exponent, found.first, found.counts.tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(USUAL | FINITE, min_size=1, max_size=60), st.data())
def test_blocks_make_no_difference(values: list[float], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    blocks = np.split(np.array(values), cuts)
    parts = [histogram(block) for block in data.draw(st.permutations(blocks))]
    assert told(reduce(Histogram.merged, parts, Histogram())) == told(histogram(np.array(values)))


@settings(max_examples=200, deadline=None)
@given(st.lists(USUAL, min_size=1, max_size=60))
def test_counts_are_those_of_numpy(values: list[float]) -> None:
    found = histogram(np.array(values))
    edges = np.ldexp(np.arange(found.first, found.first + found.counts.size + 1, dtype=np.float64), found.exponent)
    last = values if max(values) < edges[-1] else []  # the last bin of NumPy has its right edge, too
    assert last == values
    assert found.counts.tolist() == np.histogram(values, edges)[0].tolist()
    assert found.counts.size <= BINS
    assert found.counts[0]
    assert found.counts[-1]


@pytest.mark.parametrize("seed", range(3))
def test_bins_are_narrow(seed: int) -> None:
    values = np.random.default_rng(seed).normal(3, 0.7, 100_000)
    found = histogram(values)
    assert BINS / 2 <= found.counts.size <= BINS
    assert found.counts.sum() == 100_000


def test_one_value_and_none() -> None:
    found = histogram(np.full(7, -0.5))
    assert told(found) == (0 - FINEST, -(1 << FINEST) // 2, [7])
    assert told(histogram(np.zeros(0)).merged(found)) == told(found)
    assert told(Histogram().merged(Histogram()))[2] == []
