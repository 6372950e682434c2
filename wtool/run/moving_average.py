"""What comes of a moving average of weights. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.run.action import Action
from wtool.run.input_model import InputModel
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class MovingAverage:
    """A model that `ema` made, or would make.

    Attributes:
        model: path of the model whose optimizer's averages were taken; of several snapshots the newest.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same inputs in the same way.
        selected: how many values have averages.
        rewritten: how many of them differ from the model's own.
        zeros: how many of them are zero now.
        inputs: the snapshots with their coefficients, oldest first. Empty for averages of an optimizer.
        error: how far the weighting of training steps is from the one that was asked for: the norm of the difference,
            relative to the norm of the weighting that was asked for. None for averages of an optimizer.
        actions: path of each tensor -> what became of it.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    selected: int = 0
    rewritten: int = 0
    zeros: int = 0
    inputs: tuple[InputModel, ...] = ()
    error: float | None = None
    actions: dict[str, Action] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
