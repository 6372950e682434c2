"""All merging methods by name: what each takes, and where its mathematics is.

This module imports none of the methods, and no NumPy, so that `wtool --help` waits for none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from wtool.choices import SCOPES
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.transforms.change import Data
    from wtool.transforms.merging.method import Prepared
    from wtool.transforms.merging.settings import Settings

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
        is_whole: the number is a count.
    """

    default: float | bool | str | None
    per_model: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    is_whole: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the option is a number, which may differ from tensor to tensor."""
        return not isinstance(self.default, (bool, str))

    @property
    def range(self) -> str:
        """The range in words: `between 0 and 1`."""
        if self.is_whole:
            return f"a whole number between {self.low:g} and {self.high:g}"
        if self.low is None:
            return "finite"
        return f"at least {self.low:g}" if self.high is None else f"between {self.low:g} and {self.high:g}"

    def admits(self, number: float) -> bool:
        """Returns whether a finite number is in the range."""
        if self.is_whole and number != int(number):
            return False
        return (self.low is None or self.low <= number) and (self.high is None or number <= self.high)


@dataclass(frozen=True, slots=True)
class Method:
    """A way to merge models: what is known of it before its mathematics is imported.

    Attributes:
        name: on the command line and in lineages, `dare-ties`.
        home: module in this package, and name there, of the function that prepares it.
        line: what the method does, for the tables of the docs.
        base: whether it needs a base, works with and without one, or makes nothing of it.
        takes: its options by name.
        least, most: how many models it takes besides the base; None for any number.
        is_random: whether it draws random numbers.
        is_interpolation: the result lies between two operands, and `t` says where: statistics do too.
    """

    name: str
    home: str
    line: str
    base: Literal["needed", "taken", "unused"]
    takes: Mapping[str, Parameter]
    least: int = 1
    most: int | None = None
    is_random: bool = False
    is_interpolation: bool = False

    def prepare(self, data: Data, settings: Settings) -> Prepared:
        """Look at the tensors as far as the definition needs.

        Args:
            data: the tensors, with the blocks that `method.Combine` describes.
            settings: the numbers that the user gave.

        Raises:
            Refused: values are not finite, or the method is not defined for them; with the tensor and what to change.
            Usage: a number is out of the method's range.
        """
        from wtool.transforms.merging.finite import guarded, looked_through

        module, _, name = self.home.partition(".")
        function = getattr(import_module(f"{__package__}.{module}"), name)
        return guarded(function(looked_through(data, settings), settings), data.sites, settings)


_WEIGHT = Parameter(1.0, per_model=True)
_DENSITY = Parameter(1.0, per_model=True, low=0, high=1)
_EPSILON = Parameter(0.15, low=0, high=0.5)
_GAMMA = Parameter(0.01, low=0, high=1)
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
    Method(
        "dare-linear", "task_vectors.dare_linear", "The weighted sum of task vectors from which values drop at random.",
        "needed", _task_vectors(normalize=False, density=_DENSITY, rescale=_RESCALE), is_random=True,
    ),
    Method(
        "dare-ties", "task_vectors.dare_ties", "Task vectors from which values drop at random, with one elected sign.",
        "needed", _task_vectors(normalize=False, density=_DENSITY, rescale=_RESCALE), is_random=True,
    ),
    Method(
        "della", "task_vectors.della", "Task vectors whose small values drop more often, with one elected sign.",
        "needed",
        _task_vectors(normalize=True, density=_DENSITY, epsilon=_EPSILON, rescale=_RESCALE), is_random=True,
    ),
    Method(
        "della-linear", "task_vectors.della_linear",
        "The weighted sum of task vectors whose small values drop more often.",
        "needed",
        _task_vectors(normalize=False, density=_DENSITY, epsilon=_EPSILON, rescale=_RESCALE), is_random=True,
    ),
    Method(
        "breadcrumbs", "task_vectors.breadcrumbs", "The weighted sum of task vectors without largest and small values.",
        "needed", _task_vectors(normalize=False, density=_DENSITY, gamma=_GAMMA, scope=_SCOPE),
    ),
    Method(
        "breadcrumbs-ties", "task_vectors.breadcrumbs_ties",
        "Task vectors without largest and small values, with one elected sign.",
        "needed",
        _task_vectors(normalize=False, density=_DENSITY, gamma=_GAMMA, scope=_SCOPE),
    ),
    Method(
        "sce", "sce.sce", "The values that differ most between the models, weighted by their size.", "needed",
        {"select_topk": Parameter(1.0, low=0, high=1)}, least=2,
    ),
    Method(
        "model-stock", "model_stock.model_stock", "Between the base and the models' mean, by the angles between them.",
        "needed", {"filter_wise": Parameter(default=False)}, least=2,
    ),
    Method(
        "slerp", "spheres.slerp", "On the arc from the base to a model.", "needed", {"t": _SHARE}, most=1,
        is_interpolation=True,
    ),
    Method(
        "nuslerp", "spheres.nuslerp", "On the arc between two models, or between their task vectors.", "taken",
        {"weight": _WEIGHT, "rows": Parameter(default=False)}, least=2, most=2,
    ),
    Method(
        "multislerp", "spheres.multislerp", "The mean direction of the models, with their mean length.", "taken",
        {"weight": _WEIGHT, "normalize": Parameter(default=True)},
    ),
    Method(
        "karcher", "spheres.karcher", "The point that is nearest to all models on the sphere of directions.", "unused",
        {"max_iterations": Parameter(10.0, low=0, high=10_000, is_whole=True), "tolerance": Parameter(1e-5, low=0)},
    ),
    Method(
        "nearswap", "nearswap.nearswap", "The base, with a model's values where both are near each other.", "needed",
        {"t": Parameter(None, low=0)}, most=1,
    ),
    Method(
        "wise-ft", "linear.wise_ft", "On the line from the base to a model.", "needed",
        {"t": Parameter(0.5, low=0, high=1)}, most=1, is_interpolation=True,
    ),
)  # fmt: skip

METHODS: Mapping[str, Method] = MappingProxyType({each.name: each for each in _LISTED})
"""Name of each method -> what is known of it."""
