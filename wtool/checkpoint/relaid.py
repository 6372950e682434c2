"""Variables of an upgraded model whose values are computed from old ones."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.schema.upgrade.upgraded import ArrayChange
from wtool.transforms.relaying import FUNCTIONS


def relaid_values(base: Checkpoint, array: ArrayChange, read: Sequence[Tensor]) -> Array:
    """Returns the values that a change of arrays gives.

    Args:
        base: the old model, open.
        array: says which function is applied, and with which further arguments.
        read: tensors of the old model, in the order in which the function takes them: the weights that the change
            names, or slots of the optimizer that follow these weights.
    """
    values: Array = FUNCTIONS[array.function](*(base.read(tensor) for tensor in read), **array.arguments)
    return values
