"""Options of `wtool.shrink`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from wtool.choices import CHANNEL_SCOPES, MEMBERS
from wtool.errors import Usage
from wtool.option import check_fields, option
from wtool.transforms.importance import CHANNEL_CRITERIA, NAMES
from wtool.values import dataclass
from wtool.words import Path


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """Take channels out of models: units of dense and recurrent layers, filters, attention heads.

    Without a sparsity, channels that do nothing are taken out, and the model computes what it did: those that nobody
    reads, as their weights are zero, and constant ones, which are added to the biases of the layers that read them.

    With a sparsity, the channels that matter least are taken out of the layer that makes them, of all that follows
    them (biases, normalisations, depthwise filters), and of the inputs of the layers that read them. Layers whose
    channels are added up, or share weights, lose the same channels. Layers keep their names, inputs and outputs of the
    model stay, and the optimizer's state goes along with the weights.

    `--as SHRUNK` takes out what was taken out of another model of the same architecture: of the initial checkpoint, for
    instance, to train the smaller model from there.

    Examples:
        wtool shrink pruned.keras -o smaller.keras --verify
        wtool shrink trained.keras --sparsity .5 -o half.keras --verify
        wtool shrink trained.keras --sparsity .3 --criterion l1 --scope global --round-to 8
        wtool shrink init.keras --as half.keras -o half-init.keras
        >>> wtool.shrink("trained.keras", sparsity=0.5, output="half.keras")  # doctest: +SKIP

    Source: Fang, Ma, Song, Mi & Wang, "DepGraph: Towards Any Structural Pruning", arXiv:2301.12900.
    """

    sparsity: float | None = option(
        None,
        "The share of the channels to take out, between 0 and 1.",
        metavar="S",
        above=0,
        below=1,
        wrong="a sparsity of channels is between 0 and 1, and not {:g}",
    )
    criterion: str = option("l2", "What makes a channel matter.", choices=NAMES, noun="criterion")
    members: str = option(
        "all", "Weights that tell: all that have the channels, or those that make them.", choices=MEMBERS, noun="choice"
    )
    scope: str = option("layer", "S is of each layer, or of all together.", choices=CHANNEL_SCOPES, noun="scope")
    max_layer_sparsity: float = option(
        1.0,
        "The largest share that a layer loses.",
        metavar="M",
        above=0,
        high=1,
        wrong="the largest share that a layer loses is above 0 and at most 1, and not {:g}",
    )
    round_to: int = option(
        1,
        "Layers keep a multiple of R channels.",
        metavar="R",
        low=1,
        wrong="round_to is a whole number from 1 up, and not {}",
    )
    include: Sequence[str] = option((), "Only layers with paths like this (block1/*); repeatable.", metavar="GLOB")
    exclude: Sequence[str] = option((), "No layers with paths like this; repeatable.", metavar="GLOB")
    like: Path | None = option(
        None, "Take the same channels out as were taken out of this model.", metavar="SHRUNK", words=("as",)
    )
    verify: bool = option(False, "Run both models with Keras; tell the largest difference, and the time of each.")

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("include", "exclude"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.like is not None:
            self._refuse("the model of --as tells which channels go", self.choosing())
        elif self.sparsity is None:
            self._refuse("without a sparsity, channels go that do nothing", self.choosing()[:-2])
        if self.members == "producer" and "kernel" not in CHANNEL_CRITERIA[self.criterion].kinds:
            raise Usage(f"what makes the channels plays no part in {self.criterion}: no members")

    def _refuse(self, why: str, names: Sequence[str]) -> None:
        """Refuse options that choose channels, where something else tells which ones go."""
        default = {each.name: each.default for each in fields(self)}
        given = [name for name in names if getattr(self, name) != default[name]]
        if given:
            words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise Usage(f"{why}: no {words}")

    @property
    def is_exact(self) -> bool:
        """Whether only channels go that do nothing, so that the model computes what it did."""
        return self.sparsity is None and self.like is None

    @staticmethod
    def choosing() -> tuple[str, ...]:
        """Names of the options that choose channels."""
        return (
            *("sparsity", "criterion", "members", "scope"),
            *("max_layer_sparsity", "round_to", "include", "exclude"),
        )

    @property
    def is_random(self) -> bool:
        """Whether random numbers are drawn."""
        return self.sparsity is not None and not CHANNEL_CRITERIA[self.criterion].kinds

    def parameters(self) -> dict[str, Any]:
        """What the lineage says of the choice."""
        if self.like is not None:
            return {}
        names = ("include", "exclude") if self.is_exact else self.choosing()
        found = {name: getattr(self, name) for name in names}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items() if v not in (None, ())}
