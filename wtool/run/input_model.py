"""A model that went into the result of an operation on several models."""

from __future__ import annotations

from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class InputModel:
    """A model that went into a result.

    Attributes:
        path: of the model, `-` for standard input.
        role: what the model was to the operation: `averaged`, or of a merge `base` or `model`.
        coefficient: how much the model counts; the coefficients of a result add up to 1. None in merges.
    """

    path: str
    role: str
    coefficient: float | None = None
