"""Which layer alone takes the output of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wtool.graphs.units import units_of
from wtool.schema.graph import Call, Model
from wtool.schema.inbound_nodes import Key
from wtool.schema.layers import PartialShape, entry_of
from wtool.schema.layers.activations import activation_name

_SUMS = ("dense", "convolution", "separable", "einsum")
"""Treatments of channels by which an output is a sum over inputs times weights, the same sum everywhere."""


def users_of(model: Model) -> Mapping[Key, list[Call | None]]:
    """Returns for each tensor of a model the calls that take the tensor; None for each output of the model."""
    found: dict[Key, list[Call | None]] = {}
    for call in model.calls:
        for ref in call.inputs:
            found.setdefault(ref.key, []).append(call)
    for ref in model.outputs:
        found.setdefault(ref.key, []).append(None)
    return found


def normalization_behind(
    call: Call, users: Sequence[Call | None], shape: PartialShape | None, inputs: Sequence[PartialShape | None]
) -> str | None:
    """Returns the path of the batch normalisation that alone takes the output of a call, along the output's channels.

    Args:
        call: of a layer.
        users: who takes its output, as `users_of` tells.
        shape: of the output.
        inputs: the shapes of what the call takes.

    Returns:
        None where there is none, and where the layer is no sum of its inputs times weights.
    """
    behind = users[0].layer if len(users) == 1 and users[0] is not None else None
    entry, own = entry_of(call.layer.acting.kind or ""), call.layer.acting
    if behind is None or entry is None or entry.channels not in _SUMS or shape is None:
        return None
    taker = entry_of(behind.kind or "")
    if taker is None or taker.channels != "batch normalization":
        return None
    if activation_name(own.config.get("activation")) != "linear":
        return None
    axis = behind.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    along = {place for units in units_of(call.layer, inputs, reorder=False) for _, place in units.outputs}
    # A layer with a single channel makes none that wtool knows: the normalisation has one number, whatever its axis is.
    return behind.path if type(axis) is int and along <= {axis % len(shape)} else None
