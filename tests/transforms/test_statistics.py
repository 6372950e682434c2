"""Statistics of blocks, merged in any grouping, against NumPy's of all values together."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import Array
from wtool.transforms.statistics import Statistics, statistics

VALUES = st.floats(-1e3, 1e3, width=32) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])
BLOCKS = st.lists(st.lists(VALUES, max_size=9), min_size=1, max_size=5)


def check(found: Statistics, values: Array) -> None:
    finite = values[np.isfinite(values)]
    counts = (values.size, int(np.count_nonzero(values == 0)), values.size - finite.size, finite.size)
    assert (found.count, found.zeros, found.nonfinite, found.finite) == counts
    expected = [
        finite.sum(),
        *([call(finite) if finite.size else math.nan for call in (np.mean, np.std, np.min, np.max)]),
    ]
    np.testing.assert_allclose([found.sum, found.mean, found.std, found.min, found.max], expected, 1e-9, 1e-9)


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_blocks_together_are_the_whole(blocks: list[list[float]]) -> None:
    parts = [statistics(np.asarray(block, np.float32)) for block in blocks]
    whole = np.concatenate([np.asarray(block, np.float32) for block in blocks]).astype(np.float64)
    check(reduce(Statistics.merged, parts), whole)
    check(reduce(lambda left, right: right.merged(left), parts), whole)
    check(reduce(Statistics.merged, parts, Statistics()), whole)


def test_the_spread_is_that_around_the_common_mean() -> None:
    """Blocks with different means: the square of the distance counts, and it is weighted by both numbers of values."""
    left, right = np.asarray([1, 2, 3], np.float32), np.asarray([10, 14, 18, 22], np.float32)
    check(statistics(left).merged(statistics(right)), np.concatenate([left, right]).astype(np.float64))
    for other in (np.empty(0, np.float32), np.asarray([math.nan, math.inf], np.float32)):
        check(statistics(left).merged(statistics(other)), np.concatenate([left, other]).astype(np.float64))
        check(statistics(other).merged(statistics(left)), np.concatenate([left, other]).astype(np.float64))
