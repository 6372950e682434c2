"""The order in which Keras lists the layers of a functional model.

Keras has an order of its own, by depth in the graph, and not that of the configuration. Which group of a file belongs
to which layer depends on this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from wtool.errors import Refused
from wtool.schema.inbound_nodes import CallKey, Ref, calls_of, layer_name, refs_of


def layer_order(config: Mapping[str, Any]) -> list[str] | None:
    """The names of a functional model's layers and operations in Keras's order, without those that it leaves out.

    Args:
        config: the model's settings, with `layers`, `input_layers` and `output_layers`.

    Returns:
        None where Keras could not build such a graph.
    """
    entries = config.get("layers")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        return None
    try:
        input_refs, output_refs = (list(refs_of(config.get(key))) for key in ("input_layers", "output_layers"))
        calls = _calls({layer_name(entry): entry for entry in entries}, output_refs)
    except Refused:
        return None
    inputs, outputs = ([ref.key[:2] for ref in refs] for refs in (input_refs, output_refs))
    named = (call for each in (inputs, outputs, *calls.values()) for call in each)
    if not outputs or any(call not in calls for call in named) or any(calls[call] for call in inputs):
        return None
    order = by_depth(calls, outputs)
    if order is None:
        return None
    met = set(order)
    return order + [name for name, _ in inputs if name not in met]  # Keras has them too; they hold nothing


def takers(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pairs of layers of a model, of which the second takes the output of the first and nothing else."""
    entries = [entry for entry in _list(config.get("layers")) if isinstance(entry, Mapping)]
    if "input_layers" not in config:
        yield from pairwise(entries)
        return
    named = {layer_name(entry): entry for entry in entries}
    try:
        calls = _calls(named, [])
    except Refused:
        return
    for (name, _), taken in calls.items():
        if len(taken) == 1 and taken[0][0] in named:
            yield named[taken[0][0]], named[name]


def by_depth(calls: Mapping[CallKey, Sequence[CallKey]], outputs: Sequence[CallKey]) -> list[str] | None:
    """Names from inputs to outputs by depth, and among equals as a walk from the outputs meets them.

    Source: `map_graph` of keras/src/ops/function.py; Keras 2 does the same.

    Args:
        calls: of which calls each call takes the outputs; it takes nothing if it is not there.
        outputs: whose outputs are the model's.

    Returns:
        None where a call depends on itself.
    """
    walked = walk_back(calls, outputs)
    if walked is None:
        return None
    order, met = walked
    depth: dict[CallKey, int] = {}
    deepest: dict[str, int] = {}
    for call in reversed(order):
        depth[call] = deepest[call[0]] = max(depth.get(call, 0), deepest.get(call[0], 0))
        for before in calls.get(call, ()):
            depth[before] = max(depth[call] + 1, depth.get(before, 0))
    return sorted(deepest, key=lambda name: (-deepest[name], met[name]))


def walk_back(
    calls: Mapping[CallKey, Sequence[CallKey]], outputs: Sequence[CallKey]
) -> tuple[list[CallKey], dict[str, int]] | None:
    """Calls from inputs to outputs, and when a walk from the outputs meets each layer first.

    Args:
        calls: of which calls each call takes the outputs; it takes nothing if it is not there.
        outputs: where the walk begins.

    Returns:
        None where a call depends on itself.
    """
    order: list[CallKey] = []
    entered: dict[CallKey, bool] = {}  # True once it is finished
    met: dict[str, int] = {}
    waiting = [(output, False) for output in reversed(outputs)]
    while waiting:
        call, leaving = waiting.pop()
        if leaving:
            entered[call] = True
            order.append(call)
        elif call not in entered:
            met.setdefault(call[0], len(met))
            entered[call] = False
            waiting.append((call, True))
            waiting += [(before, False) for before in reversed(calls.get(call, ()))]
        elif not entered[call]:
            return None
    return order, met


def _calls(entries: Mapping[str, Mapping[str, Any]], outputs: Sequence[Ref]) -> dict[CallKey, list[CallKey]]:
    """The calls whose outputs each call takes. A layer without inputs is there once."""
    noted = {key: [ref.key[:2] for ref in refs] for key, (_, refs) in calls_of(entries, outputs).items()}
    met = {name for name, _ in noted}
    return noted | {(name, 0): [] for name in entries if name not in met}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
