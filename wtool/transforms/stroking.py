"""Stroke and NeuroPlast: some weights are drawn anew, so that a model that has settled moves again."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from wtool.errors import Usage
from wtool.option import check_fields, option
from wtool.transforms.pruning import check_order
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.transforms.change import Data, Prepared

LOW_BOUND = partial(option, -0.05, "New values are drawn from L...", metavar="L")
HIGH_BOUND = partial(option, 0.05, "... to H, uniformly.", metavar="H")
SET_VALUE = partial(option, None, "The new value, instead of random ones.", metavar="V")
CUTOFF = partial(option, None, "From the N+1-th time on, nothing happens to a model.", metavar="N")
"""Options of both transforms; a field belongs to one class, so each makes its own."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """Give a random share of the weights new values: uniform between two bounds, or one value.

    Exactly round(R*n) distinct ones of a tensor's n values, every such choice being as likely as any other, become
    uniform in [low_bound, high_bound], or `set_value`. The k-th stroke of a model uses R = volatility_ratio *
    decay**(k-1), never above 1; how often a file was stroked before, its lineage tells. A negative cutoff is none.

    Examples:
        wtool stroke trained.keras --volatility-ratio .1
        wtool stroke trained.keras --in-place --decay .9 --cutoff 20
        >>> wtool.stroke("trained.keras", volatility_ratio=0.1, seed=1)  # doctest: +SKIP

    Raises:
        Usage: numbers out of range.

    Source: KeraStroke's Stroke, which draws positions with repetition and ignores a set value of 0.
    """

    name: ClassVar[str] = "stroke"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False
    is_random: ClassVar[bool] = True
    reads_initial: ClassVar[bool] = False
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    volatility_ratio: float = option(
        0.05,
        "The share of each tensor, 0 to 1.",
        metavar="R",
        low=0,
        high=1,
        wrong="a volatility ratio of {} is not between 0 and 1",
    )
    low_bound: float = LOW_BOUND()
    high_bound: float = HIGH_BOUND()
    set_value: float | None = SET_VALUE()
    decay: float | None = option(
        None,
        "The k-th stroke of a model takes R*D^(k-1), at most 1.",
        metavar="D",
        low=0,
        wrong="a decay of {} is not a number from 0 up",
    )
    cutoff: int | None = CUTOFF()

    def __post_init__(self) -> None:
        check_fields(self)
        check_bounds(self.low_bound, self.high_bound)

    def ratio(self, earlier: int) -> float:
        """The share that the next stroke takes, after `earlier` ones."""
        if self.decay is None:
            return self.volatility_ratio
        try:
            return min(1.0, self.volatility_ratio * self.decay**earlier)
        except OverflowError:
            return 1.0

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Choose the positions; see `redrawing.stroke`."""
        from wtool.transforms import redrawing

        return redrawing.stroke(self, data, seed, earlier)


@dataclass(frozen=True, slots=True)
class NeuroPlast:
    """Give weights near zero new values: uniform between two bounds, or one value.

    All w with min_value <= w <= max_value, both ends included and compared in the tensor's own dtype, become uniform in
    [low_bound, high_bound], or `set_value`. A negative cutoff is none.

    Examples:
        wtool neuroplast trained.keras
        wtool neuroplast trained.keras --min-value -0.001 --max-value 0.001 --low-bound -0.1 --high-bound 0.1
        >>> wtool.neuroplast("trained.keras", min_value=-0.001, max_value=0.001)  # doctest: +SKIP

    Raises:
        Usage: numbers out of range.

    Source: KeraStroke's NeuroPlast, which ignores a set value of 0.
    """

    name: ClassVar[str] = "neuroplast"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False
    reads_initial: ClassVar[bool] = False
    reads_axes: ClassVar[bool] = False
    ranks: ClassVar[bool] = False

    min_value: float = option(-0.01, "With --max-value: which.", metavar="A")
    max_value: float = option(0.01, "With --min-value: which.", metavar="B")
    low_bound: float = LOW_BOUND()
    high_bound: float = HIGH_BOUND()
    set_value: float | None = SET_VALUE()
    cutoff: int | None = CUTOFF()

    def __post_init__(self) -> None:
        check_fields(self)
        check_order(self.min_value, self.max_value)
        check_bounds(self.low_bound, self.high_bound)

    @property
    def is_random(self) -> bool:
        """Unless the new value is given."""
        return self.set_value is None

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Nothing has to be known before; see `redrawing.neuroplast`."""
        from wtool.transforms import redrawing

        return redrawing.neuroplast(self, data, seed, earlier)


def check_bounds(low: float, high: float) -> None:
    """Raise Usage unless the bounds are finite, and in order."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise Usage(f"nothing can be drawn from {low} to {high}")


def is_over(cutoff: int | None, earlier: int) -> bool:
    """Whether a model has had its share; a negative cutoff is none, as is the -1 of KeraStroke."""
    return cutoff is not None and 0 <= cutoff <= earlier


def over(name: str, earlier: int, cutoff: int | None) -> str:
    """What is said of a model that has had its share."""
    return f"its lineage tells of {earlier} earlier {name} operations and the cutoff is {cutoff}: nothing changes"
