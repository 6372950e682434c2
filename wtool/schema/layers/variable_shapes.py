"""The shapes that a layer's settings demand of its variables: one rule for each family of classes."""

from __future__ import annotations

from collections.abc import Mapping

from wtool.errors import Refused
from wtool.schema.layers.entry import Built, PartialShape, Settings, VariableShapes

Shapes = Mapping[str, PartialShape]


def dense(built: Built) -> Shapes:
    """Dense: a kernel (inputs, units)."""
    units = count(built, "units")
    return {"kernel": (built.input_shape[-1] if built.input_shape else None, units), "bias": (units,)}


def embedding(built: Built) -> Shapes:
    """Embedding: a table (words, values)."""
    return {"embeddings": (count(built, "input_dim"), count(built, "output_dim"))}


def recurrent_cell(gates: int) -> VariableShapes:
    """Returns the rule for a cell with so many gates: kernels (inputs or units, gates * units).

    A GRU whose reset gate stands behind its recurrent kernel has two rows of biases.
    """

    def rule(built: Built) -> Shapes:
        units = count(built, "units")
        if units is None:
            return {}
        wide = units * gates
        bias: PartialShape = (wide,)
        reset_after = built.config.get("reset_after")
        two_rows = reset_after or (reset_after is None and len(built.shapes.get("bias", ())) == 2)
        if gates == 3 and two_rows:
            bias = (2, wide)
        return {"kernel": (None, wide), "recurrent_kernel": (units, wide), "bias": bias}

    return rule


def convolving_cell(built: Built) -> Shapes:
    """ConvLSTM's cell: kernels (window, inputs or filters, 4 * filters)."""
    window = _window(built.config, len(built.shapes.get("kernel", ())) - 2)
    filters = count(built, "filters")
    wide = 4 * filters if filters is not None else None
    return {"kernel": (*window, None, wide), "recurrent_kernel": (*window, filters, wide), "bias": (wide,)}


def alike(built: Built) -> Shapes:
    """Normalizing layers: all variables but the count have one shape."""
    first = next((shape for name, shape in built.shapes.items() if name != "count"), ())
    return {name: first for name in built.shapes if name != "count"}


def convolution(rank: int) -> VariableShapes:
    """Returns the rule for a convolution over `rank` axes: a kernel (window, inputs of a group, filters)."""

    def rule(built: Built) -> Shapes:
        if "nb_filter" in built.config:  # of Keras 1, whose kernels have their axes elsewhere
            return {}
        filters, groups = count(built, "filters"), count(built, "groups", 1) or 1
        channels = _channels(built, rank)
        inner = channels // groups if channels is not None else None
        return {"kernel": (*_window(built.config, rank), inner, filters), "bias": (filters,)}

    return rule


def transposed(rank: int) -> VariableShapes:
    """Returns the rule for a transposed convolution: a kernel (window, filters, inputs)."""

    def rule(built: Built) -> Shapes:
        filters = count(built, "filters")
        return {"kernel": (*_window(built.config, rank), filters, _channels(built, rank)), "bias": (filters,)}

    return rule


def depthwise(rank: int) -> VariableShapes:
    """Returns the rule for a depthwise convolution: a kernel (window, inputs, multiplier)."""

    def rule(built: Built) -> Shapes:
        channels, multiplier = _channels(built, rank), count(built, "depth_multiplier", 1)
        wide = channels * multiplier if channels is not None and multiplier is not None else None
        kernel: PartialShape = (*_window(built.config, rank), channels, multiplier)
        return {"kernel": kernel, "depthwise_kernel": kernel, "bias": (wide,)}

    return rule


def separable(rank: int) -> VariableShapes:
    """Returns the rule for a separable convolution: a depthwise kernel, then one of window 1."""

    def rule(built: Built) -> Shapes:
        filters, multiplier = count(built, "filters"), count(built, "depth_multiplier", 1)
        return {
            "depthwise_kernel": (*_window(built.config, rank), _channels(built, rank), multiplier),
            "pointwise_kernel": (*(1,) * rank, None, filters),
            "bias": (filters,),
        }

    return rule


def count(built: Built, setting: str, default: int | None = None) -> int | None:
    """Returns a setting that is a whole number; None where it is not set.

    Raises:
        Refused: the setting is no number.
    """
    value = built.config.get(setting, default)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Refused(f"the configuration of {built.name} has {setting} = {value!r:.60}, which is no number")


def _window(config: Settings, rank: int) -> PartialShape:
    size = config.get("kernel_size")
    if isinstance(size, int) and not isinstance(size, bool):
        return (size,) * rank
    if isinstance(size, list) and len(size) == rank and all(type(n) is int for n in size):
        return tuple(size)
    return (None,) * rank


def _channels(built: Built, rank: int) -> int | None:
    shape = built.input_shape
    if shape is None or len(shape) != rank + 2:
        return None
    return shape[1] if built.config.get("data_format") == "channels_first" else shape[-1]
