"""What a merging method is: something prepared from all tensors of the models, which then merges block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np

from wtool.transforms.change import Blocks, Data, Site

if TYPE_CHECKING:
    from numpy.typing import NDArray

Base = Literal["needed", "taken", "unused"]
"""Whether a method needs a base, works with and without one, or makes nothing of it."""

Combine = Callable[[Blocks, int], "NDArray[np.float64]"]
"""From flat blocks of the same positions to the merged values, shape (n,), float64, not rounded yet.

The block of the base is the first, if the method has one; those of the models follow in their order. The second
argument is the position of the blocks' first values in the tensor. A function may run in any thread, and any number of
times.
"""


class Settings(Protocol):
    """The numbers that the user gave a method, for each tensor and model.

    Attributes:
        models: how many models there are, without the base.
        seed: of the random numbers.
    """

    @property
    def models(self) -> int:
        """How many models there are, without the base."""

    @property
    def seed(self) -> int:
        """Of the random numbers."""

    def of_models(self, name: str, site: Site) -> NDArray[np.float64]:
        """The values of an option (`weight`, `density`) for a tensor, shape (models,)."""

    def number(self, name: str, site: Site) -> float:
        """The value of an option (`lambda`, `t`, `epsilon`) for a tensor."""

    def word(self, name: str) -> str:
        """The word or switch that was chosen for the whole merge (`scope`, `rescale`, `normalize`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A method that has seen all it must.

    Attributes:
        combines: path of each tensor -> what merges its blocks.
        whole: paths of tensors that are merged in one block, since no value can be told without the others.
        notes: what is worth knowing, one line each.
    """

    combines: Mapping[str, Combine]
    whole: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """A way to merge models.

    Attributes:
        name: on the command line and in lineages, `dare-ties`.
        line: what the method does, for the tables of the docs.
        base: whether it takes a base.
        least, most: how many models it takes besides the base; None for any number.
        takes: the names of the options that it has a use for.
        is_random: whether it draws random numbers.
    """

    name: ClassVar[str]
    line: ClassVar[str]
    base: ClassVar[Base]
    least: ClassVar[int]
    most: ClassVar[int | None]
    takes: ClassVar[frozenset[str]]
    is_random: ClassVar[bool]

    def prepare(self, data: Data, settings: Settings) -> Prepared:
        """Look at the tensors as far as the definition needs; `data` gives the blocks that `Combine` describes.

        Raises:
            Refused: values are not finite, or the method is not defined for them; with the tensor and what to change.
            Usage: a number is out of the method's range.
        """
