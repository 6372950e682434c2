"""The result of a swap."""

from __future__ import annotations

from dataclasses import field

from wtool.run.action import Action
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Swapped:
    """What was done to a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        seed: of the random numbers; None where none were drawn.
        layers: path of each layer that became another, or is new -> what became of it.
        tensors: path of each tensor that changed, or is new -> what became of it.
        rho: path of each rotated layer -> smallest, median and largest factor of its outputs.
        parameters: how many values all weights together have, before and after; None where nothing was done.
        same: whether the new model computes what the old one did; None where nothing was done.
        difference: the largest one between outputs of the old and the new model on random input, and the largest of
            these outputs; None where they were not run.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    seed: int | None = None
    layers: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Action] = field(default_factory=dict, repr=False)
    rho: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    parameters: tuple[int, int] | None = None
    same: bool | None = None
    difference: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
