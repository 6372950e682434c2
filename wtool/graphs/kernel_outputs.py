"""Along which axes a kernel has outputs, and how a bias and sums of inputs fit to these."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.checkpoint.model import Tensor
from wtool.graphs.equations import equation_of
from wtool.schema.graph import Layer
from wtool.schema.layers import output_unit_axes


def outputs_of(layer: Layer, kernel: Tensor) -> tuple[int, ...]:
    """Returns the axes of a kernel along which each position is another output, in the order of the output."""
    acting = layer.acting
    name = kernel.layer.rpartition("/")[2]
    inner = kernel.layer != layer.path and acting is layer  # a projection of an attention layer, a recurrent cell
    kind = None if inner else acting.kind
    if inner and name in ("query", "key", "value", "gate", "attention_output"):
        kind = "EinsumDense"
    axes = output_unit_axes(kind, kernel.role, kernel.shape, {} if inner else acting.config, name)
    equation = equation_of(acting.config) if kind == "EinsumDense" and not inner else None
    return axes if equation is None else equation.in_order_of_output(axes)


def is_of_outputs(layer: Layer, outs: Sequence[int], rank: int) -> bool:
    """Whether the axes of a bias are the last ones of those along which a kernel has outputs.

    Args:
        layer: has the kernel and the bias.
        outs: axes of the kernel, in the order of the output.
        rank: of the bias.
    """
    acting = layer.acting
    equation = equation_of(acting.config) if acting.kind == "EinsumDense" else None
    return equation is None or equation.ends_with(outs, rank)


def adds_up(acting: Layer) -> bool:
    """Whether a layer multiplies several values of a channel by one weight and adds them up, as EinsumDense may."""
    equation = equation_of(acting.config) if acting.kind == "EinsumDense" else None
    return equation is not None and equation.adds_up
