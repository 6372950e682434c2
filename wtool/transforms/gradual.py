"""Schedules of pruning while a model trains: which share of the weights is zero at which step of the optimizer.

Names, numbers and their meaning are those of TensorFlow's toolkit for pruning (tfmot 0.8).
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Protocol

from wtool.errors import Usage
from wtool.transforms.schedules import polynomial
from wtool.values import dataclass


class PruningSchedule(Protocol):
    """When the masks of weights change, and which share of each tensor is zero then."""

    def sparsity(self, step: int) -> float:
        """Returns the share of a tensor that is zero from an update at this step on, 0 to 1."""

    def last_update(self, step: int) -> int | None:
        """Returns the latest step up to this one at which masks change; None if there is none yet."""

    def next_update(self, step: int) -> int | None:
        """Returns the first step behind this one at which masks change; None if there is none any more."""


class _Regular:
    """Updates at begin_step, begin_step + frequency, ... up to end_step, or without an end if that is -1."""

    __slots__ = ()

    begin_step: int
    end_step: int
    frequency: int

    def _check_steps(self) -> None:
        for name in ("begin_step", "end_step", "frequency"):
            if not isinstance(getattr(self, name), Integral):
                raise Usage(f"{name} is a whole number of steps, and not {getattr(self, name)!r:.60}")
        if self.begin_step < 0:
            raise Usage(f"pruning cannot begin at step {self.begin_step}")
        if self.end_step != -1 and self.end_step < self.begin_step:
            raise Usage(f"pruning cannot end at step {self.end_step}, before it begins at step {self.begin_step}")
        if self.frequency < 1:
            raise Usage(f"a frequency of {self.frequency} is no number of steps between updates")

    def last_update(self, step: int) -> int | None:
        """Returns the latest step up to this one at which masks change; None if there is none yet."""
        step = step if self.end_step == -1 else min(step, self.end_step)
        return None if step < self.begin_step else step - (step - self.begin_step) % self.frequency

    def next_update(self, step: int) -> int | None:
        """Returns the first step behind this one at which masks change; None if there is none any more."""
        last = self.last_update(step)
        found = self.begin_step if last is None else last + self.frequency
        return found if self.end_step == -1 or found <= self.end_step else None


@dataclass(frozen=True, slots=True)
class PolynomialDecay(_Regular):
    """A sparsity that rises fast and then ever more slowly, from `begin_step` to `end_step`.

    At step t it is final + (initial - final) * (1 - p)**power, p = (t - begin) / (end - begin). Masks change at
    `begin_step` and every `frequency` steps up to `end_step`; the final sparsity is reached if one of these steps is
    `end_step`.

    Args:
        initial_sparsity: the share of each tensor that is zero from `begin_step` on, 0 to 1.
        final_sparsity: the share at `end_step`, and from then on.
        begin_step, end_step: steps of the optimizer.
        power: exponent of the decay; 1 is a straight line.
        frequency: number of steps between updates of the masks.

    Raises:
        Usage: numbers out of range.

    Source: Zhu & Gupta, To prune, or not to prune, arXiv:1710.01878.
    """

    initial_sparsity: float
    final_sparsity: float
    begin_step: int
    end_step: int
    power: float = 3
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_sparsity("initial", self.initial_sparsity)
        _check_sparsity("final", self.final_sparsity)
        self._check_steps()
        if self.end_step < 0:
            raise Usage("a polynomial decay has to end; name the step")
        if self.power <= 0:
            raise Usage(f"a power of {self.power} is no decay")

    def sparsity(self, step: int) -> float:
        """Returns the share of a tensor that is zero from an update at this step on."""
        return polynomial(self.final_sparsity, self._progress(step), self.initial_sparsity, self.power)

    def _progress(self, step: int) -> float:
        if step >= self.end_step:
            return 1.0
        return max(0.0, (step - self.begin_step) / (self.end_step - self.begin_step))


@dataclass(frozen=True, slots=True)
class ConstantSparsity(_Regular):
    """The same sparsity from `begin_step` on; which weights are zero changes every `frequency` steps.

    Args:
        target_sparsity: the share of each tensor that is zero, 0 to 1.
        begin_step: the step of the optimizer at which pruning begins.
        end_step: the last step at which masks may change; -1 for no end.
        frequency: number of steps between updates of the masks.

    Raises:
        Usage: numbers out of range.
    """

    target_sparsity: float
    begin_step: int
    end_step: int = -1
    frequency: int = 100

    def __post_init__(self) -> None:
        _check_sparsity("target", self.target_sparsity)
        self._check_steps()

    def sparsity(self, step: int) -> float:
        """Returns the share of a tensor that is zero from an update at this step on: always the target."""
        return self.target_sparsity


def _check_sparsity(what: str, value: Any) -> None:
    is_number = isinstance(value, Real)
    if not is_number or not 0 <= value <= 1:
        raise Usage(f"the {what} sparsity of {value!r:.60} is not between 0 and 1")
