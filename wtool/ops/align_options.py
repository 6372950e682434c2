"""Options and result of `wtool.align`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from wtool.option import check_fields, option, told
from wtool.values import dataclass
from wtool.words import Path


@dataclass(frozen=True, kw_only=True)
class Align:
    """Put the channels of models in the order in which their weights are most like those of a reference.

    Hidden units, filters and attention heads of a network may change places, together with all that belongs to them,
    and the network computes the same. Two trainings that began from different initial values have learnt similar
    channels in another order, so that an average of their weights means nothing; an average with the aligned model may.
    The models need one architecture. The optimizer's state goes along with the weights.

    With W the weights of the reference, V those of the model and P a permutation of each group of channels, align looks
    for the largest sum over tensors of <W, P(V)>: first from the front of the graph to the back, then group by group in
    a random order, round by round, until nothing gets better. What it finds is a local optimum; `--restarts` makes more
    searches, which begin with the channels as they are, and keeps the best result.

    Examples:
        wtool align a.keras --to b.keras -o a-like-b.keras --verify
        wtool align runs/ --to runs/1.keras --restarts 10 -o aligned/
        wtool average a-like-b.keras b.keras
        >>> wtool.align("a.keras", to="b.keras", output="a-like-b.keras")  # doctest: +SKIP

    Source: Ainsworth, Hayase & Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries",
    arXiv:2209.04836, algorithm 1.
    """

    to: Path = field(metadata=told("The model whose channels the others are to be like.", metavar="REFERENCE"))
    restarts: int = option(
        1, "Searches, of which the best counts.", metavar="K", low=1, wrong="at least one search (--restarts 1)"
    )
    iterations: int = option(
        100, "Rounds of a search at most.", metavar="N", low=1, wrong="at least one round (--iterations 1)"
    )
    lock: Sequence[str] = option(
        (), "Channels of layers with paths like this stay where they are; repeatable.", metavar="GLOB"
    )
    verify: bool = option(False, "Run old and new model with Keras; tell the largest difference.")

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "lock", tuple(self.lock))

    def parameters(self) -> dict[str, Any]:
        """What the lineage says of the search."""
        found = {"restarts": self.restarts, "iterations": self.iterations}
        return {**found, "lock": list(self.lock)} if self.lock else found


@dataclass(frozen=True, slots=True)
class Reordered:
    """Channels that go together, and their new order.

    Attributes:
        layers: paths of the layers that make them.
        channels: how many there are.
        bound: how many of them have to stay where they are.
        moved: how many of them have another place now.
        order: for each new place the channel that came there; empty where none moved.
    """

    layers: tuple[str, ...]
    channels: int
    bound: int
    moved: int
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Aligned:
    """What was done to a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same inputs in the same way.
        seed: of the order in which groups of channels were visited.
        similarity: cosine between the weights of the reference and of the model that channels belong to, before and
            after; None where nothing was done.
        groups: name of each group of channels that may change places -> what became of it.
        difference: the largest one between outputs of the old and the new model on random input, and the largest of
            these outputs; None where they were not run.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    seed: int | None = None
    similarity: tuple[float, float] | None = None
    groups: dict[str, Reordered] = field(default_factory=dict)
    difference: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
