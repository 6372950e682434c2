"""Calls of recurrent layers: Keras 3 takes the initial states beside the sequences, and not in one list with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wtool.schema.inbound_nodes import layer_settings
from wtool.schema.layers import class_of, entry_of

_STATES = {"LSTMCell": 2, "GRUCell": 1, "SimpleRNNCell": 1}
"""Class of a cell -> how many states it has."""


def takes_states(kind: str | None) -> bool:
    """Whether a class is a recurrent layer of Keras's own."""
    entry = entry_of(kind) if kind is not None else None
    return entry is not None and entry.channels in ("recurrent", "convolving recurrent", "both ways", "own cell")


def with_states(entry: Mapping[str, Any], first: Any, kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a recurrent layer's call for Keras 3.

    Args:
        entry: of the layer.
        first: the call's first argument: the sequences, or a list of the sequences and all states.
        kwargs: the other arguments.
    """
    if not isinstance(first, list) or len(first) < 2:
        return [first], dict(kwargs)
    return [first[0]], {**kwargs, "initial_state": _by_cells(entry, first[1:])}


def _by_cells(entry: Mapping[str, Any], states: list[Any]) -> list[Any]:
    """Returns states in a list for each of several cells; of a layer that has one cell, as they are."""
    counts = list(_counts(layer_settings(entry).get("cell")))
    if not counts or sum(counts) != len(states):
        return states
    return [states[sum(counts[:at]) : sum(counts[: at + 1])] for at in range(len(counts))]


def _counts(cell: Any) -> Iterator[int]:
    """Yields how many states each of several cells has; nothing where a layer has one cell."""
    cells: Any = cell if isinstance(cell, list) else None
    if isinstance(cell, Mapping) and cell.get("class_name") == "StackedRNNCells":
        cells = layer_settings(cell).get("cells")
    for each in cells if isinstance(cells, Sequence) else ():
        yield _STATES.get(class_of(each) or "", 1)
