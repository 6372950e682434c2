"""What comes of packing a model. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.run.action import Action
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Packed:
    """A model that was packed, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        before: bytes of the model's files.
        after: bytes of the result's files; None after a dry run, and for standard output.
        gzip: about how many bytes `gzip -9` would make of the model's files, which Keras could not load; None where
            nothing was done, and where arrays become plain.
        actions: path of each tensor -> what becomes of it.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    before: int = 0
    after: int | None = None
    gzip: int | None = None
    actions: dict[str, Action] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
