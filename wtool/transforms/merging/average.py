"""The weighted mean, to the bit of `numpy.average`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from wtool.transforms.averaging import weighted_mean
from wtool.transforms.change import Blocks, Data, Site
from wtool.transforms.merging.method import Base, Combine, Prepared, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """The settings of an average: one coefficient for each model, the same for all tensors.

    Attributes:
        values: shape (models,); they need not add up to 1.
        seed: of no use to an average.
        has_base: an average has none.
        names: of the files, for messages; an average has no use for them.
        takes: the only option of an average.
    """

    values: NDArray[np.float64]
    seed: int = 0
    has_base: bool = False
    names: tuple[str, ...] = ()
    takes: frozenset[str] = frozenset({"coefficients"})

    @property
    def models(self) -> int:
        """How many models there are."""
        return len(self.values)

    def of_models(self, name: str, site: Site) -> NDArray[np.float64]:
        """The coefficients."""
        return self.values

    def number(self, name: str, site: Site) -> float:
        """An average takes no such option."""
        raise KeyError(name)

    def word(self, name: str) -> str:
        """An average takes no such option."""
        raise KeyError(name)

    def flag(self, name: str) -> bool:
        """An average takes no such option."""
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of the models: sum_i(c_i * m_i) / sum_i(c_i), where c_i is the coefficient of model i."""

    name: ClassVar[str] = "average"
    line: ClassVar[str] = "The weighted mean of the models."
    base: ClassVar[Base] = "unused"
    least: ClassVar[int] = 1
    most: ClassVar[int | None] = None
    takes: ClassVar[frozenset[str]] = frozenset({"coefficients"})
    is_random: ClassVar[bool] = False

    def prepare(self, data: Data, settings: Settings) -> Prepared:
        """Look at nothing: one pass is enough."""
        return Prepared({site.path: combining(site, settings.of_models("coefficients", site)) for site in data.sites})


def combining(site: Site, coefficients: NDArray[np.float64]) -> Combine:
    """Returns what averages the blocks of a tensor.

    Args:
        site: the tensor.
        coefficients: one for each block, shape (blocks,); they need not add up to 1.
    """
    return partial(_averaged, coefficients, site.size)


def _averaged(coefficients: NDArray[np.float64], size: int, blocks: Blocks, start: int) -> NDArray[np.float64]:
    return weighted_mean(blocks, coefficients, size)
