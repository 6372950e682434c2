"""What layers are swapped to, and which: the options of a swap. It imports no NumPy: the command line reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields
from math import inf, isfinite
from typing import Any

from wtool.choices import FILLS
from wtool.errors import Usage
from wtool.option import Checked, check_fields, option, told
from wtool.schema.layers import VARIANTS
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Swap:
    """Swap layers of models for Auto-Rotating or linked ones, and back.

    A swap to `linked`, `autorot` or `plain` takes every layer that has such a variant; the name of one of wtool's
    layers takes only those that become it. Without `layers`, all hidden layers are taken.

    Examples:
        wtool swap model.keras --to linked
        wtool swap model.keras --to LKReLU --layers 'block1*' --verify
        wtool swap model.keras --to autorot --xmin-lim 0 --xmax-lim 1
        wtool swap model-swap.keras --to plain -o model.keras
        >>> wtool.swap("model.keras", to="linked", layers=["block1/*"], verify=True)  # doctest: +SKIP

    Raises:
        Usage: unknown names, or numbers that are out of range or of other layers.
    """

    to: str = field(metadata=told(f"{', '.join(VARIANTS)}.", metavar="VARIANT", choices=VARIANTS, noun="variant"))
    layers: Sequence[str] = option((), "Only layers with paths like this; names output layers, too.", metavar="GLOB")
    fill: str = option("zero", "Linked: weights of the new half.", choices=FILLS, noun="fill")
    xmin_lim: float | None = option(None, "AutoRot: inputs are from A, where no layer before tells.", metavar="A")
    xmax_lim: float | None = option(None, "AutoRot: inputs are up to B, where no layer before tells.", metavar="B")
    L: float | None = option(
        None,
        "AutoRot: where the dynamic region ends; else by activation.",
        metavar="L",
        above=0,
        high=inf,
        wrong="L is a finite number above 0, and not {:g}",
    )
    auto_rot: bool = option(True, "AutoRot: switched on or off.")

    def __post_init__(self) -> None:
        check_fields(self)
        low, high, L = self.xmin_lim, self.xmax_lim, self.L
        if not all(isfinite(each) for each in (L, low, high) if each is not None):
            raise Usage("limits and L are finite numbers")
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.to.lower().startswith("autorot") and (L, low, high, self.auto_rot) != (None, None, None, True):
            raise Usage("limits, L and switching off are of Auto-Rotating layers only")
        if (low is None) != (high is None) or (low is not None and high is not None and low >= high):
            raise Usage("xmin_lim and xmax_lim go together, the smaller one first")

    @property
    def is_random(self) -> bool:
        """Whether random numbers are drawn."""
        return self.fill == "initializer"

    def parameters(self) -> dict[str, Any]:
        """What lineage says of it."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v not in (None, ())}


@dataclass(frozen=True, slots=True)
class Verification(Checked):
    """Whether a swap is tried out."""

    verify: bool = option(False, "Run old and new model with Keras; tell the largest difference.")
