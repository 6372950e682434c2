"""Where the output units of a layer stand in its kernels: along which axes each position belongs to another output."""

from __future__ import annotations

from typing import Any

from wtool.schema.layers.entry import Settings, Shape
from wtool.schema.layers.table import entry_of

_KERNELS = ("W_", "U_")
"""How names of kernels begin in the recurrent layers of Keras 1."""


def output_unit_axes(class_name: str | None, role: str, shape: Shape, settings: Settings, name: str) -> tuple[int, ...]:
    """Returns the axes of a variable along which each position is an output unit of its layer.

    A unit is what one number of the output is calculated with: a column of a dense kernel, a filter of a convolution, a
    gate of a unit of a recurrent layer, an input channel and multiplier of a depthwise kernel, a head and a place in it
    of a projection. Of a table of embeddings it is the vector of a token. In PyTorch's layout, units are mostly along
    axis 0.

    Args:
        class_name: of the layer, that of wtool's own with or without the package; None where nothing tells.
        role: the variable's name in the layer, `kernel`.
        shape: of the variable.
        settings: of the layer; empty where nothing tells.
        name: of the layer, which tells the projections of an attention layer apart.

    Returns:
        axes in ascending order; () for a variable that has no axis of units, such as a bias or a gamma.
    """
    rank = len(shape)
    if rank < 2 or not (role.endswith(("kernel", "embeddings")) or role.startswith(_KERNELS)):
        return ()
    if role == "embeddings":
        return (0,)
    entry = None if class_name is None else entry_of(class_name) or entry_of(f"wtool>{class_name}")
    channels = "together" if entry is None else entry.channels
    if role == "depthwise_kernel" or (channels == "depthwise" and role == "kernel"):
        return (rank - 2, rank - 1)
    if channels == "transposed convolution" and role == "kernel":
        return (rank - 2,)
    if channels == "einsum" and role == "kernel":
        return _of_equation(settings.get("equation"), rank) or _of_projection(name, rank)
    if entry is not None and entry.name.startswith("LocallyConnected"):
        return (0, 2) if rank == 3 else tuple(range(rank // 2, rank))
    return (rank - 1,)


def _of_equation(equation: Any, rank: int) -> tuple[int, ...]:
    """The axes of the kernel whose letters the output has as well; () where the equation says nothing."""
    if not isinstance(equation, str):
        return ()
    inputs, _, output = equation.replace(" ", "").partition("->")
    _, _, kernel = inputs.partition(",")
    return tuple(axis for axis, letter in enumerate(kernel) if letter in output) if len(kernel) == rank else ()


def names_projection(name: str) -> bool:
    """Returns whether a layer is called as a projection of an attention layer."""
    return name in ("query", "key", "value", "gate", "attention_output")


def _of_projection(name: str, rank: int) -> tuple[int, ...]:
    """Of the projections of an attention layer: those of the output sum over heads, all others make heads."""
    if name == "attention_output" and rank > 2:
        return tuple(range(2, rank))
    return tuple(range(1, rank)) if names_projection(name) and name != "attention_output" else (rank - 1,)
