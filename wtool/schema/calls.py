"""Which layer of a functional model takes whose output, and the order of layers that Keras makes of it.

Keras lists the layers of such a model in an order of its own, and not in that of the configuration. Which group of a
file is which layer's depends on that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

Call = tuple[str, int]
"""The name of a layer, and the index of one of its calls."""


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
    inputs, outputs = (list(_tensors(config.get(key))) for key in ("input_layers", "output_layers"))
    calls = _calls({name_of(entry): entry for entry in entries}, outputs)
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
    named = {name_of(entry): entry for entry in entries}
    for (name, _), taken in _calls(named, []).items():
        if len(taken) == 1 and taken[0][0] in named:
            yield named[taken[0][0]], named[name]


def name_of(entry: Mapping[str, Any]) -> str:
    """What a layer is called in the graph of its model."""
    return str(entry.get("name") or _settings(entry).get("name") or "")


def by_depth(calls: Mapping[Call, Sequence[Call]], outputs: Sequence[Call]) -> list[str] | None:
    """Names from inputs to outputs by depth, and among equals as a walk from the outputs meets them.

    Source: `map_graph` of keras/src/ops/function.py; Keras 2 does the same.

    Args:
        calls: of which calls each call takes the outputs; it takes nothing if it is not there.
        outputs: whose outputs are the model's.

    Returns:
        None where a call depends on itself.
    """
    walked = _walk_back(calls, outputs)
    if walked is None:
        return None
    order, met = walked
    depth: dict[Call, int] = {}
    deepest: dict[str, int] = {}
    for call in reversed(order):
        depth[call] = deepest[call[0]] = max(depth.get(call, 0), deepest.get(call[0], 0))
        for before in calls.get(call, ()):
            depth[before] = max(depth[call] + 1, depth.get(before, 0))
    return sorted(deepest, key=lambda name: (-deepest[name], met[name]))


def _walk_back(
    calls: Mapping[Call, Sequence[Call]], outputs: Sequence[Call]
) -> tuple[list[Call], dict[str, int]] | None:
    """Calls from inputs to outputs, and when a walk from the outputs meets each layer first."""
    order: list[Call] = []
    entered: dict[Call, bool] = {}  # True once it is finished
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


def _settings(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = entry.get("config")
    return settings if isinstance(settings, Mapping) else {}


def _calls(entries: Mapping[str, Mapping[str, Any]], outputs: Sequence[Call]) -> dict[Call, list[Call]]:
    """What every call takes. A layer without inputs is there once."""
    nodes = {name: [_inputs(node) for node in _list(entry.get("inbound_nodes"))] for name, entry in entries.items()}
    first: dict[str, int] = {}
    for name, number in (*outputs, *(call for each in nodes.values() for taken in each for call in taken)):
        first[name] = min(number, first.get(name, number))
    # A model inside a model may count its own making as its first call.
    return {
        (name, number): taken
        for name, each in nodes.items()
        for number, taken in enumerate(each or [[]], first.get(name, 0) if "layers" in _settings(entries[name]) else 0)
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _inputs(node: Any) -> list[Call]:
    """The calls whose outputs a call takes, in the order in which Keras lists them."""
    if is_of_keras3(node):
        return list(_noted([node["args"], node["kwargs"]]))
    return list(_tensors(node))


def is_of_keras3(node: Any) -> bool:
    """Whether a call is noted as Keras 3 does; in Keras 2 a mapping is the structure of the call's first argument."""
    return isinstance(node, Mapping) and isinstance(node.get("args"), list) and isinstance(node.get("kwargs"), Mapping)


def _tensors(value: Any) -> Iterator[Call]:
    """Tensors as `["dense", 0, 0]`; in Keras 2 with a call's other arguments behind, among which may be more."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        call = _call(each)
        if call is not None:
            yield call
            waiting += each[:2:-1]
        elif isinstance(each, list):
            waiting += each[::-1]
        elif isinstance(each, Mapping):
            waiting += [each[key] for key in sorted(each, reverse=True)]


def _noted(value: Any) -> Iterator[Call]:
    """Tensors as Keras 3 notes them among a call's arguments."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each[::-1]
        elif isinstance(each, Mapping):
            call = _call(_settings(each).get("keras_history")) if each.get("class_name") == "__keras_tensor__" else None
            if call is not None:
                yield call
            else:
                waiting += [each[key] for key in sorted(each, reverse=True)]


def _call(value: Any) -> Call | None:
    if not isinstance(value, list) or len(value) < 3 or value[0] == "_CONSTANT_VALUE":
        return None
    name, number, output = value[:3]
    return (name, number) if isinstance(name, str) and type(number) is int and type(output) is int else None
