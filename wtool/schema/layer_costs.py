"""The multiply-adds of one call of a layer, whatever stands around the layer that multiplies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtool.schema.graph import OPERATION, Call
from wtool.schema.keras3_operations import MODULES
from wtool.schema.layers import (
    LayerClass,
    PartialShape,
    cells_inside,
    entry_of,
    layer_inside,
    multiply_adds,
    output_shape,
)
from wtool.schema.operations import PRODUCTLESS, TENSORFLOW, function_of

Inputs = Sequence["PartialShape | None"]

QUERY_VALUE_KEY = ({0, "query"}, {1, "value"}, {2, "key"})
"""By which positions and names a call of an attention layer takes its tensors."""

PRODUCTS = frozenset(
    """
    AssociativeScan CDist Cond Conv ConvTranspose Corrcoef Correlate Cross DepthwiseConv Dot DotProductAttention Einsum
    FFT FFT2 ForiLoop IFFT2 IRFFT ISTFT Inner Kron Map Outer RFFT STFT Scan SeparableConv Switch Tensordot Vdot
    VectorizedMap WhileLoop
    """.split()  # noqa: SIM905
)
"""Operations of Keras 3 that multiply values of tensors with each other and add up, or run somebody's function; besides
them, Matmul and the operations of linear algebra do."""


ODD = "its settings are not what Keras writes"
AUTHORS = "what it multiplies is in its author's code"


class Untold(Exception):
    """Why the multiply-adds of a call cannot be told."""


def multiply_adds_of(call: Call, inputs: Inputs, output: PartialShape | None) -> int:
    """Returns the multiply-adds of a call, for a batch of one.

    Args:
        call: of a layer that is no model, or of an operation.
        inputs: shapes of what the call takes, with the batch.
        output: shape of its first output.

    Raises:
        Untold: a size, or what the layer does, is not known.
    """
    layer = call.layer
    if layer.kind == OPERATION:
        return _of_operation(layer.entry, inputs, output)
    if layer.kind in TENSORFLOW:
        return _of_function(function_of(layer.config), inputs, output)
    return _of_class(layer.kind, layer.config, _arranged(call, inputs), output)


def _arranged(call: Call, inputs: Inputs) -> Inputs:
    """The shapes that an attention layer takes as query, value and key, which a call may name in any order."""
    entry = entry_of(call.layer.kind) if call.layer.kind else None
    if entry is None or entry.channels != "attention":
        return inputs
    found = []
    for words in QUERY_VALUE_KEY:
        found += [shape for ref, shape in zip(call.inputs, inputs, strict=True) if ref.word in words]
    return found


def _of_class(kind: str | None, config: Mapping[str, Any], inputs: Inputs, output: PartialShape | None) -> int:
    entry = entry_of(kind) if kind is not None else None
    if entry is None:
        raise Untold(AUTHORS)
    if entry.wraps:
        return _of_wrapper(entry, config, inputs, output)
    rule = entry.multiply_adds
    if entry.variables is None:
        raise Untold(AUTHORS)
    if rule is None:
        raise Untold("wtool does not know what this class multiplies")
    if rule is multiply_adds.nothing:
        return 0
    known = [shape for shape in inputs if shape is not None]
    if output is None or len(known) < len(inputs):
        raise Untold("the shape of its input or output is not told")
    if entry.rank is not None and len(known[0]) != entry.rank:
        raise Untold(f"its input has {len(known[0])} axes with the batch, and the class takes {entry.rank}")
    try:
        found = rule(config, known, output)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise Untold(ODD) from None
    if found is None:
        raise Untold("a size of its input or output is not told")
    return found


def _of_wrapper(entry: LayerClass, config: Mapping[str, Any], inputs: Inputs, output: PartialShape | None) -> int:
    first = inputs[0] if inputs else None
    if first is None:
        raise Untold("the shape of its input is not told")
    match entry.wraps:
        case "layer" | "masked":
            return _of_inside(config.get("layer"), first, output)
        case "each step" if len(first) > 2:
            each = None if output is None else (output[0], *output[2:])
            return _steps(first) * _of_inside(config.get("layer"), (first[0], *first[2:]), each)
        case "both ways":
            other = config.get("backward_layer") or config.get("layer")
            return sum(_of_inside(each, first, None) for each in (config.get("layer"), other))
        case "cell" if len(first) > 2:
            return _steps(first) * _of_cells(config.get("cell"), (first[0], *first[2:]))
    raise Untold(ODD)


def _of_inside(value: Any, shape: PartialShape, output: PartialShape | None) -> int:
    """The multiply-adds of the layer inside a wrapper, from the shapes of its input and its output."""
    kind, config = layer_inside(value)
    if config is None:
        raise Untold(ODD)
    return _of_class(kind, config, [shape], output_shape(kind, config, [shape]) or output)


def _of_cells(value: Any, shape: PartialShape) -> int:
    """The multiply-adds of one step of a recurrent cell, or of cells of which each takes the state of the last one."""
    cells = cells_inside(value)
    if not cells:
        raise Untold(ODD)
    found = 0
    for kind, config in cells:
        output = shape[0], config.get("units")
        found += _of_class(kind, config, [shape], output)
        shape = output
    return found


def _steps(shape: PartialShape) -> int:
    if shape[1] is None:
        raise Untold("the number of steps in its input is not told")
    return shape[1]


def _of_operation(entry: Mapping[str, Any], inputs: Inputs, output: PartialShape | None) -> int:
    name = str(entry.get("class_name"))
    if name == "Matmul":
        return _of_matrices(inputs, output)
    if name in PRODUCTS or name not in MODULES or MODULES[name].endswith("linalg"):
        raise Untold("wtool does not know what this operation multiplies")
    return 0


def _of_function(name: str, inputs: Inputs, output: PartialShape | None) -> int:
    if name == "matmul":
        return _of_matrices(inputs, output)
    if name not in PRODUCTLESS:
        raise Untold("wtool does not know what this operation multiplies")
    return 0


def _of_matrices(inputs: Inputs, output: PartialShape | None) -> int:
    first = inputs[0] if len(inputs) == 2 else None
    found = None if output is None or not first else multiply_adds.product(*output[1:], first[-1])
    if found is None:
        raise Untold("a size of its input or output is not told")
    return found
