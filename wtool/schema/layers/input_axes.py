"""Where the inputs of a layer stand in its kernels: along which axes each position belongs to another input."""

from __future__ import annotations

from wtool.schema.layers.entry import Settings, Shape
from wtool.schema.layers.output_units import names_projection, output_unit_axes
from wtool.schema.layers.table import entry_of


def input_axes(class_name: str | None, role: str, shape: Shape, settings: Settings, name: str) -> tuple[int, ...]:
    """Returns the axes of a variable along which an output unit of its layer sums over the channels of its input.

    Of a convolution that is one axis: those of the window are neither axes of inputs nor of output units. A depthwise
    kernel has none, since each of its outputs sees one channel. Of a table of embeddings it is the axis of the vectors.
    In a layer of its author's own class, it is the axis before the last one, which counts as that of output units.

    Args:
        class_name, role, shape, settings, name: see `output_unit_axes`.

    Returns:
        axes in ascending order; () for a variable that has none, such as a bias or a gamma, and for a kernel of an
        EinsumDense whose equation nobody tells, unless it is a matrix.
    """
    units = output_unit_axes(class_name, role, shape, settings, name)
    rank = len(shape)
    entry = None if class_name is None else entry_of(class_name) or entry_of(f"wtool>{class_name}")
    channels = "together" if entry is None else entry.channels
    if not units or role == "depthwise_kernel" or (channels == "depthwise" and role == "kernel"):
        return ()
    if channels == "einsum" and rank > 2 and not settings.get("equation") and not names_projection(name):
        return ()
    if (
        role == "embeddings"
        or channels == "einsum"
        or (entry is not None and entry.name.startswith("LocallyConnected"))
    ):
        return tuple(axis for axis in range(rank) if axis not in units)
    if channels == "transposed convolution" and role == "kernel":
        return (rank - 1,)
    return (rank - 2,)
