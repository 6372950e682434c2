"""The value at a rank, against a sort: whether it is found in buckets or by a partition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.transforms import ranking
from wtool.transforms.ranking import BUCKETED, ranked

SPREAD = {
    "normal": lambda rng, size: np.abs(rng.standard_normal(size)),
    "signed": lambda rng, size: rng.standard_normal(size),
    "many ties": lambda rng, size: rng.integers(0, 5, size) / 8,
    "one value": lambda rng, size: np.full(size, rng.standard_normal() ** 2),
    "every scale": lambda rng, size: 2.0 ** rng.uniform(-149, 127, size),
    "zeros and infinities": lambda rng, size: rng.choice([0.0, 1e-45, 1.0, np.inf], size),
    "zeros with a sign": lambda rng, size: rng.choice([-0.0, 0.0, 1.0], size),
}
"""From a generator and a size to values."""


@given(
    kind=st.sampled_from(sorted(SPREAD)),
    dtype=st.sampled_from(["f4", "f8"]),
    size=st.one_of(st.integers(1, 40), st.integers(BUCKETED - 2, BUCKETED + 2), st.just(3 * BUCKETED)),
    place=st.floats(0, 1),
    seed=st.integers(0, 1 << 16),
)
def test_a_rank_is_that_of_sorted_values(kind: str, dtype: str, size: int, place: float, seed: int) -> None:
    values: Any = SPREAD[kind](np.random.default_rng(seed), size).astype(dtype)
    rank = 1 + round(place * (size - 1))
    wanted = np.sort(values)[rank - 1]
    assert ranked(values.copy(), rank) == (wanted, (values < wanted).sum(), (values == wanted).sum())


def test_many_magnitudes_are_not_partitioned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.abs(np.random.default_rng(0).standard_normal(100_000)).astype(np.float32)
    sizes: list[int] = []
    monkeypatch.setattr(ranking.np, "count_nonzero", lambda found: sizes.append(len(found)) or found.sum())
    ranked(values, 80_000)
    assert max(sizes) < 5_000
