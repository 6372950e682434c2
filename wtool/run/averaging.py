"""An average as an operation on checkpoints: a merge with a coefficient for each, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.run.merging import Merging, Recipe, Words
from wtool.run.plan import Operand, Plan
from wtool.transforms.averaging import COEFFICIENTS, normalised
from wtool.transforms.change import Data
from wtool.transforms.merging import average
from wtool.values import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDS = Words(
    "averaged",
    "average",
    "the newest",
    "older checkpoints",
    "--allow-nonfinite averages them as well",
    "only one checkpoint: its average is itself",
)


@dataclass(frozen=True, eq=False)
class Averaging:
    """An average of checkpoints, and how.

    Attributes:
        method: name of the coefficients in `transforms.averaging.COEFFICIENTS`.
        value: what the method takes besides the number of checkpoints; None where it takes nothing.
        include, exclude: average only tensors with paths like these, and none like those.
        optimizer: what becomes of it.
        allow_nonfinite: average NaN and infinities instead of refusing them.
        bn: what becomes of the statistics of batch normalisation: `average`, `pool` or `newest`.
        recalibrates: these statistics are taken anew from data afterwards.
        differing: paths of tensors that are kept although the checkpoints disagree; known after the run only.
    """

    method: str
    value: Any = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    optimizer: str = "follow"
    allow_nonfinite: bool = False
    bn: str = "average"
    recalibrates: bool = False
    differing: dict[str, None] = field(default_factory=dict)

    def coefficients(self, count: int) -> NDArray[np.float64]:
        """The coefficient of each of `count` checkpoints, oldest first, shape (count,), float64."""
        return COEFFICIENTS[self.method](count, *([] if self.value is None else [self.value]))

    def parameters(self, base: Checkpoint) -> int:
        """Returns how many numbers of a checkpoint are averaged."""
        return sum(prod(each.shape) for each in self._merging(COEFFICIENTS["equal"](1)).merged(base))

    def plan(self, checkpoints: Sequence[Checkpoint]) -> Plan:
        """What will be done to the newest of open checkpoints, which come oldest first."""
        coefficients = self.coefficients(len(checkpoints))
        pairs = zip(checkpoints, normalised(coefficients), strict=True)
        operands = [Operand(each, {"coefficient": share}, "averaged") for each, share in pairs]
        return self._merging(coefficients).plan(operands, len(operands) - 1, self._record())

    def _merging(self, coefficients: NDArray[np.float64]) -> Merging:
        return Merging(
            partial(_recipe, coefficients),
            WORDS,
            bn=self.bn,
            recalibrates=self.recalibrates,
            include=self.include,
            exclude=self.exclude,
            optimizer=self.optimizer,
            allow_nonfinite=self.allow_nonfinite,
            differing=self.differing,
        )

    def kept_but_different(self) -> list[str]:
        """A note on what had to be kept although the checkpoints disagree; right only after the run."""
        return WORDS.kept_but_different(self.differing)

    def _record(self) -> Record:
        parameters = {} if self.value is None else {self.method: self.value}
        chosen = {"coefficients": self.method, **parameters, "optimizer": self.optimizer}
        if self.allow_nonfinite:  # or a run that refuses such values would take the result for its own
            chosen["allow_nonfinite"] = True
        if self.bn != "average":
            chosen["bn"] = self.bn
        globs = (("include", self.include), ("exclude", self.exclude))
        return Record("average", chosen | {name: list(patterns) for name, patterns in globs if patterns})


def _recipe(coefficients: NDArray[np.float64], data: Data) -> Recipe:
    return Recipe(average.prepare(data, coefficients), lambda site: coefficients)
