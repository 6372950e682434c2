"""Power-function averages: widths and exponents against published values, coefficients against the running average."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.errors import Usage
from wtool.transforms.power import NARROWEST, WIDEST, exponent_of, power_coefficients, sigma_rel_of

PUBLISHED = {0.05: 16.9721986, 0.10: 6.9372039, 0.15: 3.5578688, 0.20: 1.8262138}
"""Relative width -> exponent, as the reference code of arXiv:2312.02696 gives it."""


@pytest.mark.parametrize(("sigma_rel", "exponent"), PUBLISHED.items())
def test_published_exponents(sigma_rel: float, exponent: float) -> None:
    assert exponent_of(sigma_rel) == pytest.approx(exponent, abs=5e-8)
    assert sigma_rel_of(exponent) == pytest.approx(sigma_rel, abs=5e-9)


@given(st.floats(NARROWEST, WIDEST))
def test_an_exponent_is_the_largest_root_of_the_cubic(sigma_rel: float) -> None:
    exponent = exponent_of(sigma_rel)
    assert sigma_rel_of(exponent) == pytest.approx(sigma_rel, rel=1e-12)
    square = sigma_rel**-2
    largest = max(root.real for root in np.roots([1, 7, 16 - square, 12 - square]))
    assert exponent == pytest.approx(largest, rel=1e-6, abs=1e-6)


def test_the_width_is_that_of_the_profile() -> None:
    """The standard deviation of p(t) on [0, 1], as a sum over a fine grid."""
    times = (np.arange(1_000_000) + 0.5) / 1_000_000
    for exponent in (-0.3, 0.0, 1.8, 17.0):
        profile = (exponent + 1) * times**exponent / len(times)
        mean = (profile * times).sum()
        assert sigma_rel_of(exponent) == pytest.approx(math.sqrt((profile * (times - mean) ** 2).sum()), rel=1e-4)


@pytest.mark.parametrize("sigma_rel", [0, -0.1, 0.3003, math.nan, math.inf, 1e-7, 1e-200])
def test_widths_that_no_profile_has(sigma_rel: float) -> None:
    with pytest.raises(Usage, match=r"is not between 1e-06 and 0\.3003"):
        exponent_of(sigma_rel)


@pytest.mark.parametrize("exponent", [-1, -2.5, math.nan, math.inf])
def test_exponents_without_a_profile(exponent: float) -> None:
    for function in (sigma_rel_of, lambda each: power_coefficients([1, 2], each)):
        with pytest.raises(Usage, match="is not above -1"):
            function(exponent)


@given(st.lists(st.integers(1, 1_000_000), min_size=1, max_size=20, unique=True), st.floats(-0.99, 200))
def test_coefficients_are_differences_of_powers(times: list[int], exponent: float) -> None:
    times = sorted(times)
    found = power_coefficients(times, exponent)
    powers = [0.0, *((time / times[-1]) ** (exponent + 1) for time in times)]
    assert found == pytest.approx(np.diff(powers), rel=1e-6, abs=1e-13)
    assert found.sum() == pytest.approx(1)


def test_the_exponent_0_weighs_each_step_the_same() -> None:
    times = [10, 30, 35, 100]
    assert power_coefficients(times, 0) == pytest.approx(np.array([10, 20, 5, 65]) / 100, rel=1e-15)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 6.9372039])
def test_coefficients_are_those_of_the_running_average(exponent: float) -> None:
    """The average that a training tracks: at each step t it keeps the share (1 - 1/t)^(g+1) of what it was."""
    shares = np.zeros(0)
    for step in range(1, 51):
        kept = (1 - 1 / step) ** (exponent + 1)
        shares = np.append(kept * shares, 1 - kept)
    assert power_coefficients(range(1, 51), exponent) == pytest.approx(shares, rel=1e-12)


def test_coefficients_do_not_cancel() -> None:
    """Two neighbouring steps late in a training: the difference of the powers, to first order and exactly."""
    found = power_coefficients([10**9 + 7, 10**9 + 8], 0)[1]
    assert found == pytest.approx(1 / (10**9 + 8), rel=1e-12)


@pytest.mark.parametrize("times", [[1, 1], [2, 1], [0, 1], [-1, 1], [1, math.nan], [1, math.inf]])
def test_times_that_do_not_grow(times: list[float]) -> None:
    with pytest.raises(Usage, match="do not grow from above 0"):
        power_coefficients(times, 1)
