"""All merging methods by name: what each takes, and where its mathematics is.

This module imports none of the methods, and no NumPy, so that `wtool --help` waits for none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from wtool.choices import SCOPES

if TYPE_CHECKING:
    from wtool.transforms.change import Data
    from wtool.transforms.merging.method import Prepared, Settings

RESCALES = ("expected", "l1", "none")
"""How values that were kept at random make up for those that were not."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option of a method.

    Attributes:
        default: a number, a switch or a word; None where the option has to be given.
        per_model: each model may have a number of its own.
        low, high: the smallest and the largest number; None for no such end.
        choices: the words that it may be.
    """

    default: float | bool | str | None
    per_model: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether the option is a number, which may differ from tensor to tensor."""
        return not isinstance(self.default, (bool, str))

    @property
    def range(self) -> str:
        """The range in words: `between 0 and 1`."""
        if self.low is None:
            return "finite"
        return f"at least {self.low:g}" if self.high is None else f"between {self.low:g} and {self.high:g}"

    def admits(self, number: float) -> bool:
        """Returns whether a finite number is in the range."""
        return (self.low is None or self.low <= number) and (self.high is None or number <= self.high)


@dataclass(frozen=True, slots=True)
class Method:
    """What is known of a method before its mathematics is imported; see `method.Method`.

    Attributes:
        name: on the command line and in lineages, `dare-ties`.
        home: module in this package, and name there, of the function that prepares it.
        line: what the method does, for the tables of the docs.
        base: whether it takes a base.
        takes: its options by name.
        least, most: how many models it takes besides the base; None for any number.
        is_random: whether it draws random numbers.
        is_ordered: whether the order of the models matters.
    """

    name: str
    home: str
    line: str
    base: Literal["needed", "taken", "unused"]
    takes: Mapping[str, Parameter]
    least: int = 1
    most: int | None = None
    is_random: bool = False
    is_ordered: bool = False

    def prepare(self, data: Data, settings: Settings) -> Prepared:
        """Look at the tensors as far as the definition needs; see `method.Method`."""
        from wtool.transforms.merging.finite import guarded, looked_through

        module, _, name = self.home.partition(".")
        function = getattr(import_module(f"{__package__}.{module}"), name)
        return guarded(function(looked_through(data, settings), settings), data.sites, settings)


_WEIGHT = Parameter(1.0, per_model=True)
_DENSITY = Parameter(1.0, per_model=True, low=0, high=1)
_SHARE = Parameter(None, low=0, high=1)
_SCOPE = Parameter(SCOPES[0], choices=SCOPES)
_RESCALE = Parameter(RESCALES[0], choices=RESCALES)


def _task_vectors(normalize: bool, **more: Parameter) -> Mapping[str, Parameter]:
    common = {"weight": _WEIGHT, "lambda": Parameter(1.0), "normalize": Parameter(normalize)}
    return MappingProxyType(common | more)


_LISTED = (
    Method(
        "linear", "linear.linear", "The weighted mean of the models.", "unused",
        {"weight": _WEIGHT, "normalize": Parameter(default=True)},
    ),
    Method(
        "task-arithmetic", "task_vectors.task_arithmetic", "The base plus the weighted sum of the task vectors.",
        "needed", _task_vectors(normalize=False),
    ),
    Method(
        "ties", "task_vectors.ties", "Task vectors trimmed to their largest values, with one elected sign.", "needed",
        _task_vectors(normalize=True, density=_DENSITY, scope=_SCOPE),
    ),
)  # fmt: skip

METHODS: Mapping[str, Method] = MappingProxyType({each.name: each for each in _LISTED})
"""Name of each method -> what is known of it."""
