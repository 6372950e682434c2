"""What a layer gives: the shape and the range of its output, of wrappers by what is inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from wtool.errors import Refused
from wtool.schema.layers import output_shapes as shapes
from wtool.schema.layers.entry import LayerClass, PartialShape, Range, Settings
from wtool.schema.layers.names import class_of
from wtool.schema.layers.output_ranges import hull
from wtool.schema.layers.table import entry_of

UNCOUNTED = frozenset(
    """
    CutMix Functional GRUCell InputLayer LSTMCell Lambda MaxNumBoundingBoxes MixUp Model Pipeline Sequential
    SimpleRNNCell SlicingOpLambda TFOpLambda TensorFlowOpLayer
    """.split()  # noqa: SIM905
)
"""Layers whose number of outputs follows from what they are given or hold, or that give structures."""


def output_shape(
    class_name: str | None, config: Settings, inputs: Sequence[PartialShape | None]
) -> PartialShape | None:
    """The shape of a layer's first output; None where it cannot be known.

    Args:
        class_name: as `class_of` tells.
        config: settings of the layer.
        inputs: shapes of all inputs.
    """
    entry = entry_of(class_name) if class_name is not None else None
    if entry is None:
        return None
    if entry.name == "Lambda":
        return _stored(config, inputs)
    if list(inputs) == [None] and entry.rank is not None:
        inputs = [(None,) * entry.rank]
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) < len(inputs):
        return None
    rule = partial(_of_wrapper, entry) if entry.wraps else entry.output_shape
    if rule is None:
        return None
    try:
        found = rule(known[0], config, known)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # a setting is not what Keras writes there
    return None if found is None else shapes.as_shape(found)


def output_shapes(
    class_name: str | None, config: Settings, inputs: Sequence[PartialShape | None]
) -> list[PartialShape | None]:
    """The shapes of all outputs of a layer: recurrent layers may give their states, too; None for those not known.

    Args:
        class_name: as `class_of` tells.
        config: settings of the layer.
        inputs: shapes of all inputs.
    """
    first = output_shape(class_name, config, inputs)
    if class_name == "Bidirectional":
        inner_class, inner = layer_inside(config.get("layer"))
        one = first if inner is None else output_shape(inner_class, inner, inputs)
        ways = [one, one] if config.get("merge_mode", "concat") is None else [first]
        states = [] if inner is None else _states(inner_class, inner, one, inputs)
        return [*ways, *states, *states]
    return [first, *_states(class_name, config, first, inputs)]


def count_of_outputs(class_name: str | None, config: Settings) -> int | None:
    """How many outputs a layer gives in Keras 3; None where the class or the code of its author alone tells.

    Attention gives its scores as a second output where the call asks for them, which is not counted here.

    Args:
        class_name: as `class_of` tells.
        config: settings of the layer.
    """
    entry = entry_of(class_name) if class_name is not None else None
    if entry is None or ">" in entry.name or entry.name in UNCOUNTED:
        return None
    if entry.wraps in ("layer", "each step", "masked"):
        inner_class, inner = layer_inside(config.get("layer"))
        return None if inner is None else count_of_outputs(inner_class, inner)
    if entry.wraps in ("cell", "cells"):
        return None if entry.wraps == "cells" or config.get("return_state") else 1
    return len(output_shapes(entry.name, config, []))


def _states(
    class_name: str | None, config: Settings, output: PartialShape | None, inputs: Sequence[PartialShape | None]
) -> list[PartialShape | None]:
    """The shapes of the states that a recurrent layer gives behind its output."""
    if not config.get("return_state"):
        return []
    count = 2 if class_name == "LSTM" or str(class_name).startswith("ConvLSTM") else 1
    if output is not None and config.get("return_sequences"):
        output = (output[0], *output[2:])
    return [output] * count if class_name != "RNN" else []


def _stored(config: Settings, inputs: Sequence[PartialShape | None]) -> PartialShape | None:
    """The output shape that a Lambda was given, without the batch; a single number in Keras 2 is a list of one."""
    told = config.get("output_shape")
    shape = (told,) if type(told) is int else shapes.as_shape(told)
    if shape is None or config.get("output_shape_type", "raw") != "raw":
        return None
    first = next((each for each in inputs if each is not None), None)
    return (first[0] if first else None, *shape)


def _of_wrapper(
    entry: LayerClass, shape: PartialShape, config: Settings, known: Sequence[PartialShape]
) -> PartialShape | None:
    if entry.wraps == "cell":
        cells = cells_inside(config.get("cell"))
        return shapes.recurrent(shape, {**config, "units": cells[-1][1].get("units")}, known) if cells else None
    class_name, inner = layer_inside(config.get("layer"))
    if inner is None:
        return None
    match entry.wraps:
        case "layer" | "masked":
            return output_shape(class_name, inner, [shape])
        case "each step":
            each = output_shape(class_name, inner, [(shape[0], *shape[2:])])
            return None if each is None else (each[0], shape[1], *each[1:])
        case "both ways":
            one = shapes.recurrent(shape, inner, known)
            if one is None or config.get("merge_mode", "concat") != "concat" or type(one[-1]) is not int:
                return one
            return (*one[:-1], 2 * one[-1])
    return None


def output_range(class_name: str | None, config: Settings, inputs: Sequence[Range | None]) -> Range | None:
    """The range of a layer's first output at inference; None where it is not known, or has no bounds.

    Args:
        class_name: as `class_of` tells.
        config: settings of the layer.
        inputs: ranges of all inputs.
    """
    entry = entry_of(class_name) if class_name is not None else None
    if entry is None:
        return None
    if entry.wraps in ("layer", "each step"):
        return _range_inside(config.get("layer"), inputs)
    if entry.wraps == "both ways":
        if config.get("merge_mode", "concat") not in ("concat", "ave", None):
            return None  # sums and products of both
        both = [config.get("layer"), config.get("backward_layer") or config.get("layer")]
        return hull([_range_inside(each, inputs) for each in both])
    return None if entry.output_range is None else entry.output_range(config, inputs)


def _range_inside(value: Any, inputs: Sequence[Range | None]) -> Range | None:
    class_name, config = layer_inside(value)
    return None if config is None else output_range(class_name, config, inputs)


def layer_inside(value: Any) -> tuple[str | None, Settings | None]:
    """Returns the class and the settings of what a wrapper holds; None where the entry is no layer's."""
    with suppress(Refused):
        if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
            return class_of(value), value["config"]
    return None, None


def cells_inside(value: Any) -> list[tuple[str | None, Settings]]:
    """Returns the class and the settings of the cell that an RNN holds, or of each cell of a stack; [] for others."""
    kind, config = layer_inside(value)
    listed = config.get("cells") if kind == "StackedRNNCells" and config is not None else value
    cells = [layer_inside(each) for each in (listed if isinstance(listed, list) else [value])]
    found = [(kind, config) for kind, config in cells if config is not None and kind != "StackedRNNCells"]
    return found if len(found) == len(cells) else []
