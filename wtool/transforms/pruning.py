"""Pruning: weights in a range, or those that matter least, become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from wtool.choices import SCOPES
from wtool.errors import Usage
from wtool.option import check_fields, option
from wtool.transforms.criteria import CRITERIA, NAMES, SHORT

if TYPE_CHECKING:
    from wtool.transforms.change import Data, Prepared


@dataclass(frozen=True, slots=True)
class Prune:
    """Prune models: weights in a range, or the share that matters least, become zero.

    By range, all w with min_value <= w <= max_value, compared in the tensor's own dtype. By sparsity S, exactly
    round(S*n) of n weights: those with the lowest scores, ties by position; weights that are zero already come first,
    and are counted in.

    In the scope `tensor`, S is of each tensor; in the scope `global`, S is of all together, with one threshold. With a
    scale of the last layer, the output layer's kernel is pruned by itself, in the global scope as well.

    Examples:
        wtool prune trained.keras --sparsity .8
        wtool prune zoo/ -o pruned/ --sparsity .8 --scope global -j 2
        wtool prune trained.keras --min-value -0.01 --max-value 0.01 -o small.keras
        wtool prune trained.keras --sparsity .8 --criterion mi --initial init.keras
        >>> wtool.prune("trained.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP

    Raises:
        Usage: numbers out of range, or options that do not go together.

    Source: KeraStroke's Pruning (range); Frankle & Carbin, arXiv:1803.03635 (sparsity, the scale of the last layer);
    Zhou et al., arXiv:1905.01067 (criteria).
    """

    name: ClassVar[str] = "prune"
    of_initial: ClassVar[bool] = False
    empties_biases: ClassVar[bool] = False

    min_value: float | None = option(None, "With --max-value: what is in [A, B] is pruned.", metavar="A")
    max_value: float | None = option(None, "With --min-value: what is in [A, B] is pruned.", metavar="B")
    set_value: float = option(0.0, "What pruned ones become.", metavar="V")
    sparsity: float | None = option(
        None,
        "The share to prune, 0 to 1, by --criterion.",
        metavar="S",
        low=0,
        high=1,
        wrong="a sparsity of {} is not between 0 and 1",
    )
    criterion: str = option("large-final", "What makes a weight matter.", choices=NAMES, noun="criterion")
    scope: str = option("tensor", "S of each tensor, or of all together.", choices=SCOPES, noun="scope")
    last_layer_scale: float = option(1.0, "The output layer's kernel is pruned to S*F.", metavar="F")

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "criterion", SHORT.get(self.criterion, self.criterion))
        if self.sparsity is None:
            check_range(self.min_value, self.max_value)
            if (self.criterion, self.scope, self.last_layer_scale) != ("large-final", "tensor", 1.0):
                raise Usage("a criterion, a scope and a scale of the last layer go with a sparsity, not with a range")
        elif (self.min_value, self.max_value) != (None, None):
            raise Usage("a range and a sparsity contradict each other; choose one")
        elif not 0 <= self.last_layer_scale * self.sparsity <= 1:
            raise Usage(f"a last-layer scale of {self.last_layer_scale} makes its sparsity more than 1, or negative")

    @property
    def is_random(self) -> bool:
        """Only as the random control."""
        return self.criterion == "random"

    @property
    def reads_initial(self) -> bool:
        """Whether the criterion compares with the initial value."""
        return CRITERIA[self.criterion].reads_initial

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find what is pruned; see `lowest.prepare`."""
        from wtool.transforms import lowest

        return lowest.prepare(self, data, seed)


def check_range(low: float | None, high: float | None) -> None:
    """Raise Usage unless both ends are given, and in order."""
    if low is None or high is None:
        raise Usage("say what is pruned: --sparsity, or a range with both --min-value and --max-value")
    check_order(low, high)


def check_order(low: float, high: float) -> None:
    """Raise Usage unless the ends of a range are in order."""
    if not low <= high:
        raise Usage(f"the range from {low} to {high} is empty")
