"""What a merging method gets and gives: numbers for each tensor, and functions that merge block by block.

A method is a function from `Data`, whose blocks are those that `Combine` describes, and `Settings` to `Prepared`.
`registry.Method` tells what is known of it beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wtool.transforms.change import Blocks, Site

if TYPE_CHECKING:
    from numpy.typing import NDArray

Combine = Callable[[Blocks, int], "NDArray[np.float64]"]
"""From flat blocks of the same positions to the merged values, shape (n,), float64, not rounded yet.

The block of the base is the first, if there is a base; those of the models follow in their order. The second argument
is the position of the blocks' first values in the tensor. A function may run in any thread, and any number of times.
"""


class Settings(Protocol):
    """The numbers that the user gave a method, for each tensor and model."""

    @property
    def models(self) -> int:
        """How many models there are, without the base."""

    @property
    def takes(self) -> Collection[str]:
        """The names of the options that there are."""

    @property
    def seed(self) -> int:
        """Of the random numbers."""

    @property
    def has_base(self) -> bool:
        """Whether the first block is that of a base."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the files for messages, in the order of the blocks; empty where nobody knows them."""

    def of_models(self, name: str, site: Site) -> NDArray[np.float64]:
        """The values of an option (`weight`, `density`) for a tensor, shape (models,)."""

    def number(self, name: str, site: Site) -> float:
        """The value of an option (`lambda`, `t`, `epsilon`) for a tensor."""

    def word(self, name: str) -> str:
        """The word that was chosen for the whole merge (`scope`, `rescale`)."""

    def flag(self, name: str) -> bool:
        """Whether a switch is on for the whole merge (`normalize`, `rows`)."""


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
