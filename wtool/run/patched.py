"""What comes of patching a model. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.run.action import Action
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Patched:
    """A model that was patched, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        taken: paths of the tensors that are other ones now: patched, taken from another model, or set.
        left: path of each tensor that was wanted from another model and was not taken -> the reason.
        actions: path of each tensor -> what became of it.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    taken: tuple[str, ...] = ()
    left: dict[str, str] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
