"""Means and variances of batches against NumPy's of all values at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.dtypes import Array
from wtool.training.recalibration import moments
from wtool.training.recalibration.moments import Moments


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 2), st.booleans(), st.sampled_from(["float16", "float32", "float64"]))
def test_any_batches_any_axis_any_mask(data: Any, axis: int, masked: bool, dtype: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=2)))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    if axis == 0:
        sizes = sizes[:1]  # the axis of the channels is that of the samples
    batches = [generator.normal(3, 2, (size, *shape)).astype(dtype) for size in sizes]
    masks = [generator.random(each.shape[:-1]) < 0.6 if masked else None for each in batches]
    channels = batches[0].shape[axis]
    found = Moments.of(channels)
    for batch, mask in zip(batches, masks, strict=True):
        found.add(batch, axis, mask)
    for channel in range(channels):
        own = np.concatenate([_shown(each, mask, axis, channel) for each, mask in zip(batches, masks, strict=True)])
        assert found.count[channel] == len(own)
        if len(own):
            np.testing.assert_allclose(found.mean[channel], own.mean(), rtol=1e-12)
            np.testing.assert_allclose(found.variance[channel], own.var(), rtol=1e-9, atol=1e-15)


def _shown(values: Array, mask: Array | None, axis: int, channel: int) -> Array:
    """The values of a channel that count, float64."""
    shown = np.ones(values.shape, bool) if mask is None else np.broadcast_to(mask[..., None], values.shape)
    chosen: Array = values.take(channel, axis)[shown.take(channel, axis)].astype(np.float64)
    return chosen


@pytest.mark.parametrize("block", [1, 7, 1 << 18])
def test_blocks_lose_no_digits_where_the_mean_is_large(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "BLOCK", block)
    values = 1e8 + np.random.default_rng(0).normal(size=(300, 2))
    found = Moments.of(2)
    for start in range(0, 300, 70):
        found.add(values[start : start + 70], -1)
    np.testing.assert_allclose(found.variance, values.var(0), rtol=1e-7)


def test_masked_nan_does_not_count() -> None:
    values = np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]])
    found = Moments.of(2)
    found.add(values, -1, np.array([1, 0, 1]))
    assert found.mean.tolist() == [2, 3]
    assert found.variance.tolist() == [1, 1]
    assert found.count.tolist() == [2, 2]
