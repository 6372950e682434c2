"""Schedules of pruning against the values and the update steps of tfmot 0.8.1."""

from __future__ import annotations

from typing import Any

import pytest

from wtool.errors import Usage
from wtool.transforms.gradual import ConstantSparsity, PolynomialDecay

TFMOT = {
    0: 0.2,
    100: 0.2,
    200: 0.3626,
    350: 0.546875,
    600: 0.725,
    850: 0.790625,
    1000: 0.7994,
    1100: 0.8,
    1200: 0.8,
}
"""Step -> sparsity that PolynomialDecay(.2, .8, 100, 1100) of tfmot gives, which calculates in single precision."""


@pytest.mark.parametrize("step", TFMOT)
def test_polynomial_decay_is_that_of_tfmot(step: int) -> None:
    found = PolynomialDecay(0.2, 0.8, 100, 1100).sparsity(step)
    assert found == pytest.approx(TFMOT[step], abs=1e-12)


def test_a_decay_of_power_1_is_a_straight_line() -> None:
    schedule = PolynomialDecay(0.0, 1.0, begin_step=10, end_step=20, power=1, frequency=1)
    assert [schedule.sparsity(step) for step in (5, 10, 15, 20)] == [0.0, 0.0, 0.5, 1.0]


def test_a_decay_of_no_steps_is_over_when_it_begins() -> None:
    assert PolynomialDecay(0.2, 0.8, 5, 5).sparsity(5) == 0.8


def updates_of_tfmot(begin: int, end: int, frequency: int, steps: int) -> list[int]:
    """The steps at which tfmot's `_should_prune_in_step` is true."""
    return [
        step for step in range(steps) if step >= begin and (step <= end or end < 0) and (step - begin) % frequency == 0
    ]


@pytest.mark.parametrize("begin", [0, 1, 7])
@pytest.mark.parametrize("end", [-1, 7, 19, 22])
@pytest.mark.parametrize("frequency", [1, 3, 100])
def test_masks_change_at_the_steps_of_tfmot(begin: int, end: int, frequency: int) -> None:
    schedule = ConstantSparsity(0.5, begin, end, frequency)
    expected = updates_of_tfmot(begin, end, frequency, 200)
    for step in range(40):
        before = [each for each in expected if each <= step]
        behind = [each for each in expected if each > step]
        assert schedule.last_update(step) == (before[-1] if before else None)
        assert schedule.next_update(step) == (behind[0] if behind else None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantSparsity(1.5, 0), "target sparsity of 1.5"),
        (lambda: ConstantSparsity(0.5, -1), "begin at step -1"),
        (lambda: ConstantSparsity(0.5, 10, 9), "end at step 9"),
        (lambda: ConstantSparsity(0.5, 0, frequency=0), "frequency of 0"),
        (lambda: PolynomialDecay(-0.1, 0.5, 0, 10), "initial sparsity of -0.1"),
        (lambda: PolynomialDecay(0.0, 0.5, 0, -1), "has to end"),
        (lambda: PolynomialDecay(0.0, 0.5, 0, 10, power=0), "power of 0"),
        (lambda: PolynomialDecay(float("nan"), 0.5, 0, 10), "sparsity of nan"),
        (lambda: ConstantSparsity("half", 0), "target sparsity of 'half'"),  # type: ignore[arg-type]
        (lambda: ConstantSparsity(0.5, 2000 / 32), "begin_step is a whole number of steps, and not 62.5"),  # type: ignore[arg-type]
        (lambda: PolynomialDecay(0.0, 0.5, 0, None), "end_step is a whole number of steps"),  # type: ignore[arg-type]
    ],
)
def test_numbers_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(Usage, match=message):
        make()
