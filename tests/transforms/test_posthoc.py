"""Post-hoc averages against reference coefficients, against averages that are tracked step by step, and integrals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import wtool
from tests.models import Array
from wtool.transforms.posthoc import fitted, inner_product
from wtool.transforms.power import exponent_of

REFERENCE = json.loads((Path(__file__).parent / "posthoc_ema.json").read_text())
"""Made by another program; digits behind the tenth are missing from its coefficients."""


def snapshots(count: int, end: int, widths: tuple[float, ...] = (0.05, 0.1)) -> tuple[list[float], list[float]]:
    """Steps and exponents of snapshots of each width, evenly up to the end."""
    steps = [end * (number + 1) / count for number in range(count)]
    return steps * len(widths), [exponent_of(width) for width in widths for _ in steps]


@pytest.mark.parametrize("width", [0.05, 0.1, 0.15, 0.2])
def test_coefficients_of_the_reference(width: float) -> None:
    found = fitted(*snapshots(5, 10), 10, exponent_of(width))
    assert np.abs(found.coefficients - REFERENCE[f"coef out=10 std={width:g}"]).max() < 1e-9
    assert abs(found.coefficients.sum() - 1) < 1e-12


@pytest.mark.parametrize("number", range(10))
def test_a_tracked_average_is_its_own_snapshot(number: int) -> None:
    steps, exponents = snapshots(5, 10)
    found = fitted(steps, exponents, steps[number], exponents[number])
    assert list(found.coefficients) == [float(each == number) for each in range(10)]
    assert (found.error, found.magnification) == (0.0, 1.0)


def weighting(end: float, exponent: float, steps: int) -> Array:
    """How much each of the first steps counts in an average that is updated after each step up to its end."""
    found = np.zeros(steps)
    for step in range(1, int(end) + 1):
        beta = (1 - 1 / step) ** (exponent + 1)
        found *= beta
        found[step - 1] = 1 - beta
    return found


@pytest.mark.parametrize(
    ("width", "largest"), [(0.03, 1e-3), (0.07, 6e-5), (0.15, 1.6e-4), (0.25, 1e-2)], ids=["3%", "7%", "15%", "25%"]
)
def test_errors_on_random_walks(width: float, largest: float) -> None:
    """Of walks of 10,000 steps whose ends have the standard deviation 1, with 20 snapshots of each of two averages."""
    length = 10_000
    walks = np.cumsum(np.random.default_rng(5).normal(size=(100, length)) / 100, axis=1)
    steps, exponents = snapshots(20, length)
    wanted = exponent_of(width)
    ends = np.arange(length + 1) / length
    tracked = np.stack(
        [
            np.diff(np.minimum(ends * length / end, 1) ** (power + 1))
            for end, power in zip(steps, exponents, strict=True)
        ]
    )
    found = fitted(steps, exponents, length, wanted)
    errors = walks @ (found.coefficients @ tracked - np.diff(ends ** (wanted + 1)))
    assert largest / 3 < np.sqrt((errors**2).mean()) < largest


def test_updates_after_each_step_give_the_weighting_of_the_profile() -> None:
    for exponent in (0.0, 2.5, exponent_of(0.05)):
        ends = np.arange(201) / 200
        assert np.abs(weighting(200, exponent, 200) - np.diff(ends ** (exponent + 1))).max() < 1e-15


@pytest.mark.parametrize(
    ("first", "second"), [((3, 2), (5, 4)), ((5, 2), (3, 4)), ((4, 1.5), (4, 7)), ((1, 0), (9, 0))]
)
def test_inner_products_are_integrals(first: tuple[float, float], second: tuple[float, float]) -> None:
    points = (np.arange(2_000_000) + 0.5) / 2_000_000 * 10
    profiles = [(g + 1) / t * np.where(points <= t, points / t, 0) ** g * (points <= t) for t, g in (first, second)]
    integral = (profiles[0] * profiles[1]).sum() * 10 / 2_000_000
    assert abs(float(inner_product(first, second)) / integral - 1) < 1e-5


@pytest.mark.parametrize("width", [0.03, 0.07, 0.15, 0.25])
def test_the_error_is_that_of_the_weighting_of_the_steps(width: float) -> None:
    """With so many steps that a sum over them is an integral."""
    length = 20_000
    steps, exponents = snapshots(10, length)
    found = fitted(steps, exponents, length, exponent_of(width))
    ends = np.arange(length + 1) / length

    def own(end: float, power: float) -> Array:
        return np.diff(np.minimum(ends * length / end, 1) ** (power + 1))

    wanted = own(length, exponent_of(width))
    made = sum(share * own(end, power) for share, end, power in zip(found.coefficients, steps, exponents, strict=True))
    assert abs(np.linalg.norm(made - wanted) / np.linalg.norm(wanted) - found.error) < 2e-3


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(10**5, 10**6), st.floats(0.01, 0.3)), min_size=1, max_size=12, unique=True),
    st.integers(10**5, 2 * 10**5),
    st.floats(0.01, 0.3),
)
def test_any_snapshots_give_coefficients_that_add_up_to_one(
    told: list[tuple[int, float]], step: int, width: float
) -> None:
    exponents = [exponent_of(each) for _, each in told]
    assume(min(each for each, _ in told) * 2 > step)  # or no snapshot may be of a step that counts
    found = fitted([each for each, _ in told], exponents, step, exponent_of(width))
    assert abs(found.coefficients.sum() - 1) <= 1e-9 * found.magnification
    assert found.error >= 0


def test_snapshots_of_no_step_that_counts_are_refused() -> None:
    with pytest.raises(wtool.Usage, match="no snapshot is of steps that count in the average up to step 1e"):
        fitted([1, 2], [5.0, 10.0], 10**6, exponent_of(1e-3))
