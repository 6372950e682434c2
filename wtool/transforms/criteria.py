"""Mask criteria: how much each weight matters, from its trained and its initial value; the lowest are pruned.

A criterion is one function with its names; what may be chosen, help and documentation follow. Its docstring is its
formula, of the trained value wf and the initial value wi. This module imports no NumPy, since `wtool prune --help`
reads the names.

Source: Zhou, Lan, Liu & Yosinski, "Deconstructing Lottery Tickets", arXiv:1905.01067, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.dtypes import Array

Score = TypeVar("Score", bound="Callable[..., Array]")


@dataclass(frozen=True, slots=True)
class Criterion:
    """What makes a weight matter.

    Attributes:
        short: its short name, as in the paper's figures; None where it has none.
        score: function of float64 arrays (final, initial), or of (final) alone where it does not read the initial ones.
        reads_initial: whether it compares with the initial value.
    """

    short: str | None
    score: Callable[..., Array]
    reads_initial: bool

    @property
    def formula(self) -> str:
        """The formula of the score, for the documentation."""
        return (self.score.__doc__ or "").rstrip(".")


CRITERIA: dict[str, Criterion] = {}
"""Name -> criterion."""


def criterion(name: str, short: str | None = None, *, reads_initial: bool = True) -> Callable[[Score], Score]:
    """Returns a decorator that registers a function as a criterion."""

    def registered(score: Score) -> Score:
        CRITERIA[name] = Criterion(short, score, reads_initial)
        return score

    return registered


@criterion("large-final", "lf", reads_initial=False)
def large_final(final: Array) -> Array:
    """abs(wf)."""
    return abs(final)


@criterion("large-init-large-final", "lilf")
def large_init_large_final(final: Array, initial: Array, alpha: float) -> Array:
    """min(a*abs(wf), abs(wi)), a = quantile(abs(wi)) / quantile(abs(wf))."""
    import numpy as np

    return np.asarray(np.minimum(alpha * abs(final), abs(initial)))


@criterion("magnitude-increase", "mi")
def magnitude_increase(final: Array, initial: Array) -> Array:
    """abs(wf) - abs(wi)."""
    return abs(final) - abs(initial)


@criterion("movement", "mov")
def movement(final: Array, initial: Array) -> Array:
    """abs(wf - wi)."""
    return abs(final - initial)


@criterion("large-final-same-sign", "lfss")
def large_final_same_sign(final: Array, initial: Array) -> Array:
    """max(0, wf*wi/abs(wi)); 0 where wi is 0."""
    import numpy as np

    return np.asarray(np.maximum(0.0, final * np.sign(initial)))


@criterion("large-init", "li")
def large_init(final: Array, initial: Array) -> Array:
    """abs(wi)."""
    return abs(initial)


@criterion("random", reads_initial=False)
def random(final: Array, numbers: Array) -> Array:
    """a random number: the control."""
    return numbers


SHORT = {each.short: name for name, each in CRITERIA.items() if each.short is not None}
"""Short name -> name."""

NAMES = (*CRITERIA, *SHORT)
"""All names that may be chosen."""
