"""What `wtool replay` tells. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Replayed:
    """A model that was made again from the records of its lineage.

    Attributes:
        model: path.
        same: whether every byte of the new model is that of the model.
        operations: what was done again, oldest first.
        inputs: name of each input that the records tell -> path of the file that was found for it.
        output: path of the new model; None where nobody asked to keep it.
        differences: in what the new model differs, one line each; none where every byte is the same.
        notes: what is worth knowing, one line each.
    """

    model: str
    same: bool
    operations: tuple[str, ...]
    inputs: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
