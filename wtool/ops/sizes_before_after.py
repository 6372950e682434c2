"""How large a model is before and after channels were taken out: parameters, bytes and multiply-adds, by layer."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused
from wtool.graphs.values import Values, new_shape, weights_by_layer
from wtool.ops.shrunk import ShrunkLayer
from wtool.schema.costs import costs_of
from wtool.values import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a model is before and after; see `Shrunk`."""

    layers: dict[str, ShrunkLayer]
    parameters: Pair
    bytes: Pair
    multiply_adds: Pair | None


def sizes_of(base: Checkpoint, config: dict[str, Any], values: Values) -> Sizes:
    """Returns how large a model is before and after; a weight that is stored twice counts once.

    Args:
        base: the model before.
        config: the architecture after.
        values: what becomes of the weights.
    """
    parameters = {path: _parameters(own, values) for path, own in weights_by_layer(base).items()}
    weights = [tensor for tensor in base.weights if tensor.copy_of is None]
    before, after = _multiply_adds(base.config or {}), _multiply_adds(config)
    adds = {path: _both(before[path], after.get(path)) for path in before if path}
    paths = dict.fromkeys([*parameters, *(path for path, pair in adds.items() if pair not in (None, (0, 0)))])
    return Sizes(
        {path: ShrunkLayer(parameters.get(path, (0, 0)), adds.get(path)) for path in paths},
        _parameters(weights, values),
        (sum(each.nbytes for each in weights), sum(_bytes(each, values) for each in weights)),
        _both(before.get(""), after.get("")),
    )


def _parameters(weights: list[Tensor], values: Values) -> Pair:
    own = [tensor for tensor in weights if tensor.copy_of is None]
    new = (new_shape(each, values.edits.get(each.path, ())) for each in own)
    return sum(prod(each.shape) for each in own), sum(map(prod, new))


def _bytes(tensor: Tensor, values: Values) -> int:
    return tensor.nbytes // max(1, prod(tensor.shape)) * prod(new_shape(tensor, values.edits.get(tensor.path, ())))


def _multiply_adds(config: dict[str, Any]) -> Mapping[str, int | None]:
    """Path of each layer -> its multiply-adds, and those of the model at ""; empty where nothing tells them."""
    try:
        costs = costs_of(config)
    except Refused:
        return {}
    return {"": costs.multiply_adds, **{layer.path: layer.multiply_adds for layer in costs.layers}}


def _both(before: int | None, after: int | None) -> Pair | None:
    return None if before is None or after is None else (before, after)
