"""Which channels stay when a share of the channels is taken out: those that matter most, group by group or over all."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from wtool.dtypes import Array
from wtool.values import dataclass


@dataclass(frozen=True, eq=False)
class Scored:
    """The channels of a group.

    Attributes:
        scores: how much each channel matters, shape (n,), n > 0, without NaN.
        bound: for each channel whether it has to stay.
    """

    scores: Array
    bound: Array

    @property
    def size(self) -> int:
        """How many channels there are."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Choice:
    """How many channels are taken out.

    Attributes:
        sparsity: share of the channels to be taken out, 0 to 1.
        is_global: whether that is a share of all groups' channels together; else of those of each group.
        most: the largest share of a group's channels that is taken out.
        multiple: of which the number of channels that stay is a multiple.
    """

    sparsity: float
    is_global: bool = False
    most: float = 1.0
    multiple: int = 1

    def kept(self, groups: Sequence[Scored]) -> list[Array]:
        """Returns for each group which of its channels stay, bool, shape (n,).

        Of n channels, n - floor(n (1 - S)) are taken out, as Torch-Pruning does, with S read as the decimal number that
        it is written as. A group keeps its bound channels, and one channel at least. The number that stays is then
        rounded down to the multiple, or up where too few would stay; a group of fewer channels stays whole. Of equal
        scores, the channels that come first are taken out first.
        """
        least = [self._least(group) for group in groups]
        sizes = self._over_all(groups, least) if self.is_global else [self._staying(group.size) for group in groups]
        return [
            _highest(group, self._rounded(max(size, low), low, group.size))
            for group, size, low in zip(groups, sizes, least, strict=True)
        ]

    def _least(self, group: Scored) -> int:
        """How many channels of a group stay at least."""
        return max(1, int(np.count_nonzero(group.bound)), group.size - _floor(group.size * _exact(self.most)))

    def _staying(self, size: int) -> int:
        return _floor(size * (1 - _exact(self.sparsity)))

    def _over_all(self, groups: Sequence[Scored], least: Sequence[int]) -> list[int]:
        """How many channels of each group stay: the lowest of all groups go, as far as each group may lose channels."""
        sizes = [group.size for group in groups]
        able = [
            np.sort(group.scores[~group.bound], kind="stable")[: group.size - low]
            for group, low in zip(groups, least, strict=True)
        ]
        owners = np.repeat(np.arange(len(groups)), [len(each) for each in able])
        order = np.argsort(np.concatenate([np.empty(0), *able]), kind="stable")
        lost = np.bincount(owners[order[: sum(sizes) - self._staying(sum(sizes))]], minlength=len(groups))
        return [size - int(gone) for size, gone in zip(sizes, lost, strict=True)]

    def _rounded(self, size: int, least: int, most: int) -> int:
        down = size // self.multiple * self.multiple
        up = -(-least // self.multiple) * self.multiple
        return min(max(down, up), most)


def _highest(group: Scored, count: int) -> Array:
    """The bound channels, and the highest of the others, `count` together."""
    order = np.argsort(np.where(group.bound, np.inf, group.scores), kind="stable")
    kept = np.zeros(group.size, bool)
    kept[order[group.size - count :]] = True
    return kept


def _exact(share: float) -> Fraction:
    """0.9 as nine tenths: with the binary number beside it, a tenth of ten channels would be none."""
    return Fraction(repr(float(share)))


def _floor(number: Fraction) -> int:
    return number.numerator // number.denominator
