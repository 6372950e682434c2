"""What `wtool history` tells. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class HistoryInput:
    """An input of an operation.

    Attributes:
        name: of its file, without folders; `-` for a pipe.
        role: what it was to the operation, such as `model`, `initial`, `mask`, `averaged`; empty where nothing tells.
        hashes: content hash of each of its files; none for what came through a pipe and never was a file.
        steps: how it was made, oldest first, where it came through a pipe and brought its lineage along. The steps of
            the model itself are those before the operation.
    """

    name: str
    role: str
    hashes: tuple[str, ...]
    steps: tuple[HistoryStep, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """An operation in the history of a model.

    Attributes:
        operation: its name; None in a record of another tool that tells none.
        options: those that differ from the defaults, by the names of Python's arguments. A content hash stands for the
            path of a file. None where the record tells other things than options.
        reason: why the operation cannot be done again; None where it can.
        inputs: the files that took part.
        record: the record as it stands in the file, but for the bits of masks, of which the names of tensors are left.
    """

    operation: str | None
    options: dict[str, Any] | None
    reason: str | None
    inputs: tuple[HistoryInput, ...] = ()
    record: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class History:
    """How a model was made.

    Attributes:
        model: path.
        steps: what was done, oldest first; none for a model that no tool has recorded anything of.
        sealed: whether the model is, to the byte, what wtool wrote with the last record; None where nobody looked.
    """

    model: str
    steps: tuple[HistoryStep, ...]
    sealed: bool | None = None
