"""A model that failed, as one of the results of a batch."""

from __future__ import annotations

from wtool.errors import WtoolError
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Failed:
    """A model that could not be transformed, and why."""

    model: str
    error: WtoolError
