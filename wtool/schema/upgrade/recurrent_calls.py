"""Calls of recurrent layers: Keras 3 takes the initial states beside the sequences, and not in one list with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.schema.layers import entry_of
from wtool.schema.upgrade.context import Context, Place


def takes_states(kind: str | None) -> bool:
    """Whether a class is a recurrent layer of Keras's own."""
    entry = entry_of(kind) if kind is not None else None
    return entry is not None and entry.channels in ("recurrent", "convolving recurrent", "both ways", "own cell")


def with_states(
    first: Any, kwargs: Mapping[str, Any], place: Place, context: Context
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a recurrent layer's call for Keras 3.

    Args:
        first: the call's first argument: the sequences, or a list of the sequences and all states.
        kwargs: the other arguments.
        place: of the layer.
        context: takes the refusal of constants.
    """
    kept = {word: value for word, value in kwargs.items() if value is not None}
    if "constants" in kept:
        context.refuse(place, "constants", "it gives its cell constants at every step, which no layer of Keras 3 does")
    if not isinstance(first, list) or len(first) < 2:
        return [first], kept
    return [first[0]], {"initial_state": first[1:], **kept}
