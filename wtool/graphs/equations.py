"""Equations of EinsumDense: which letters stand for axes of the input, of the kernel and of the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Equation:
    """The three terms of `taken,kernel->made`: one letter for each axis.

    Attributes:
        taken: of the input.
        kernel: of the kernel.
        made: of the output.
    """

    taken: str
    kernel: str
    made: str

    @property
    def adds_up(self) -> bool:
        """Whether the output is a sum over axes of the input that the kernel does not have."""
        return any(letter not in self.kernel and letter not in self.made for letter in self.taken)

    def in_order_of_output(self, axes: Sequence[int]) -> tuple[int, ...]:
        """Returns axes of the kernel that the output has as well, in the order of the output."""
        return tuple(sorted(axes, key=lambda axis: self.made.index(self.kernel[axis])))

    def ends_with(self, axes: Sequence[int], rank: int) -> bool:
        """Whether the last axes of the output are the last ones of some axes of the kernel.

        Args:
            axes: of the kernel.
            rank: how many of the output's axes.
        """
        return "".join(self.kernel[axis] for axis in axes).endswith(self.made[len(self.made) - rank :])


def equation_of(config: Mapping[str, Any]) -> Equation | None:
    """Returns the equation in the settings of a layer; None where there is none that has three terms."""
    equation = config.get("equation")
    parts = equation.replace("->", ",").replace(" ", "").split(",") if isinstance(equation, str) else []
    return Equation(*parts) if len(parts) == 3 else None
