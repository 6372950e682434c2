"""Pruning: weights in a range, or those that matter least, become zero."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from wtool.choices import BUDGETS, SCOPES
from wtool.errors import Usage
from wtool.option import check_fields, option
from wtool.transforms.criteria import CRITERIA, NAMES, SHORT
from wtool.transforms.schedules import SCHEDULES, read_step, sparsity_at
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.transforms.change import Data, Prepared


@dataclass(frozen=True, slots=True)
class Prune:
    """Prune models: weights in a range, or the share that matters least, become zero.

    By range, all w with min_value <= w <= max_value, compared in the tensor's own dtype. By sparsity S, exactly
    round(S*n) of n weights: those with the lowest scores, ties by position; weights that are zero already come first,
    and are counted in.

    A budget says how the sparsity is spread over tensors: `uniform`, S of each; `global`, S of all together, with one
    threshold; `lamp`, the same with scores that no tensor is emptied by; `erk`, less of small tensors; `uniform+`, none
    of a first convolution and at most 80 % of the last layer. The scopes `tensor` and `global` are other names of the
    first two. With a scale of the last layer, the output layer's kernel is pruned by itself, whatever the budget.

    By a pattern N:M, N of each M values along the axis of inputs are kept. By blocks RxC, blocks of R inputs and C
    outputs are pruned as a whole. With a schedule, S is what its last step reaches.

    Examples:
        wtool prune trained.keras --sparsity .8
        wtool prune zoo/ -o pruned/ --sparsity .8 --scope global -j 2
        wtool prune trained.keras --min-value -0.01 --max-value 0.01 -o small.keras
        wtool prune trained.keras --sparsity .8 --criterion mi --initial init.keras
        wtool prune trained.keras --sparsity .9 --budget erk
        wtool prune trained.keras --pattern 2:4
        wtool prune trained.keras --sparsity .8 --block 4x4
        wtool prune trained.keras --schedule polynomial --step 3/10 --sparsity .9
        >>> wtool.prune("trained.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP

    Raises:
        Usage: numbers out of range, or options that do not go together.

    Source: KeraStroke's Pruning (range); Frankle & Carbin, arXiv:1803.03635 (sparsity, the scale of the last layer);
    Zhou et al., arXiv:1905.01067 (criteria); Evci et al., arXiv:1911.11134 (`erk`); Gale et al., arXiv:1902.09574
    (`uniform+`); Lee et al., arXiv:2010.07611 (`lamp`); Mishra et al., arXiv:2104.08378 (patterns); Zhu & Gupta,
    arXiv:1710.01878 (the polynomial schedule).
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
    scope: str | None = option(
        None, "S of each tensor (the default), or of all together, as with --budget.", choices=SCOPES, noun="scope"
    )
    last_layer_scale: float = option(1.0, "The output layer's kernel is pruned to S*F.", metavar="F")
    budget: str | None = option(None, "How the sparsity is spread over tensors.", choices=BUDGETS, noun="budget")
    pattern: str | None = option(None, "Keep N of each M inputs of an output, such as 2:4.", metavar="N:M")
    block: str | None = option(None, "Prune blocks of R inputs and C outputs, such as 4x4.", metavar="RxC")
    schedule: str | None = option(
        None, "How the sparsity grows to S, with --step.", choices=tuple(SCHEDULES), noun="schedule"
    )
    step: str | None = option(None, "The step of the schedule, such as 3/10.", metavar="I/N")

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "criterion", SHORT.get(self.criterion, self.criterion))
        if self.sparsity is not None:
            self._check_sparsity(self.sparsity)
        else:
            self._check_other_way()
        if self.pattern is None:
            scope, budget = _in_the_old_words(self.scope, self.budget)
            object.__setattr__(self, "scope", scope)
            object.__setattr__(self, "budget", budget)

    def _check_sparsity(self, sparsity: float) -> None:
        """Raise Usage unless all options go with a sparsity, and with each other."""
        if (self.min_value, self.max_value) != (None, None):
            raise Usage("a range and a sparsity contradict each other; choose one")
        if self.pattern is not None:
            raise Usage("a pattern says what its sparsity is; it and --sparsity contradict each other; choose one")
        if not 0 <= self.last_layer_scale * sparsity <= 1:
            raise Usage(f"a last-layer scale of {self.last_layer_scale} makes its sparsity more than 1, or negative")
        if (self.schedule is None) != (self.step is None):
            raise Usage("a schedule needs a step and a step needs a schedule: --schedule polynomial --step 3/10")
        if self.budget == "lamp" and (self.criterion != "large-final" or self.block is not None):
            raise Usage("a budget of lamp compares single weights by magnitude; no other criterion, and no blocks")
        if self.budget == "uniform+" and self.last_layer_scale != 1:
            raise Usage("a budget of uniform+ says how much of the last layer stays; --last-layer-scale says otherwise")
        if self.block is not None:
            read_block(self.block)
        _ = self.share  # says what is wrong with the schedule

    def _check_other_way(self) -> None:
        """Raise Usage unless there is a pattern or a range, and no option that goes with a sparsity."""
        if self.pattern is None:
            check_range(self.min_value, self.max_value)
        elif (self.min_value, self.max_value) != (None, None):
            raise Usage("a range and a pattern contradict each other; choose one")
        else:
            read_pattern(self.pattern)
        way, more = ("range", self.criterion != "large-final") if self.pattern is None else ("pattern", False)
        of_sparsity = (self.budget, self.block, self.schedule, self.step)
        if more or self.scope not in (None, "tensor") or self.last_layer_scale != 1 or any(of_sparsity):
            also = "a criterion, " if way == "range" else ""
            raise Usage(
                f"{also}a scope, a budget, blocks, a schedule and a scale of the last layer go with a sparsity, "
                f"not with a {way}"
            )

    @property
    def share(self) -> float:
        """The sparsity that is reached now: that of the schedule's step where there is one."""
        assert self.sparsity is not None
        if self.schedule is None or self.step is None:
            return self.sparsity
        return sparsity_at(self.schedule, self.sparsity, *read_step(self.step))

    @property
    def spread(self) -> str:
        """How the sparsity is spread over tensors, whatever word said so: one of `BUDGETS`."""
        return self.budget or _OF_SCOPES[self.scope or "tensor"]

    @property
    def reads_axes(self) -> bool:
        """Whether it makes a difference where inputs and outputs stand in a tensor."""
        return (self.budget, self.pattern, self.block) != (None, None, None)

    @property
    def ranks(self) -> bool:
        """All but a range and a pattern do."""
        return self.sparsity is not None

    @property
    def is_random(self) -> bool:
        """Only as the random control."""
        return self.criterion == "random"

    @property
    def reads_initial(self) -> bool:
        """Whether the criterion compares with the initial value."""
        return CRITERIA[self.criterion].reads_initial

    def prepare(self, data: Data, seed: int, earlier: int) -> Prepared:
        """Find what is pruned; see `lowest.prepare`, `patterns.prepare` and `blocks.prepare`."""
        if self.pattern is not None:
            from wtool.transforms.patterns import prepare
        elif self.block is not None:
            from wtool.transforms.blocks import prepare
        else:
            from wtool.transforms.lowest import prepare
        return prepare(self, data, seed)


_OF_SCOPES = {"tensor": "uniform", "global": "global"}
"""Scope -> the budget that it is another name of."""

MOST = 64
"""The longest pattern, and the longest side of a block: what is read together stays small."""


def _in_the_old_words(scope: str | None, budget: str | None) -> tuple[str | None, str | None]:
    """Returns the scope and no budget where a scope says it all, so that both words give the same record.

    Raises:
        Usage: the two contradict each other.
    """
    if scope is not None and budget is not None and _OF_SCOPES[scope] != budget:
        raise Usage(f"a scope of {scope} and a budget of {budget} contradict each other; choose one")
    same = {named: each for each, named in _OF_SCOPES.items()}
    if budget is None or budget in same:
        return scope or same[budget or "uniform"], None
    return None, budget


def read_pattern(text: str) -> tuple[int, int]:
    """Returns how many values are kept, and of how many, as a text like `2:4` says.

    Raises:
        Usage: it says something else, or keeps none or all.
    """
    found = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", text)
    kept, length = map(int, found.groups()) if found else (0, 0)
    if not 0 < kept < length <= MOST:
        raise Usage(f"a pattern of {text} is none; --pattern 2:4 keeps 2 of each 4 inputs, of at most {MOST}")
    return kept, length


def read_block(text: str) -> tuple[int, int]:
    """Returns how many inputs and outputs a block has, as a text like `4x1` says.

    Raises:
        Usage: it says something else, or more than blocks may have.
    """
    found = re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", text)
    inputs, outputs = map(int, found.groups()) if found else (0, 0)
    if not (0 < inputs <= MOST and 0 < outputs <= MOST):
        raise Usage(f"blocks of {text} are none; --block 4x1 has 4 inputs of one output, of at most {MOST} each")
    return inputs, outputs


def check_range(low: float | None, high: float | None) -> None:
    """Raise Usage unless both ends are given, and in order."""
    if low is None or high is None:
        raise Usage("say what is pruned: --sparsity, --pattern, or a range with both --min-value and --max-value")
    check_order(low, high)


def check_order(low: float, high: float) -> None:
    """Raise Usage unless the ends of a range are in order."""
    if not low <= high:
        raise Usage(f"the range from {low} to {high} is empty")
