"""What a Keras layer is: one table with an entry for each class, and the questions that can be asked of it.

`table` has the entries, `entry` says what stands in one. The rules that entries name are in `specs` (which variables),
`variable_shapes`, `output_shapes` and `output_ranges`; `activations` has what is known of functions. Everybody else
asks the functions here.
"""

from wtool.schema.layers.entry import CHANNELS, Built, LayerClass, PartialShape, Range, Shape
from wtool.schema.layers.input_axes import input_axes
from wtool.schema.layers.names import (
    ORIGINALS,
    OWN_FUNCTION,
    built_in,
    class_and_settings,
    class_of,
    class_of_group,
    original,
    original_of,
    snake_case,
)
from wtool.schema.layers.output_dtypes import compute_dtype, output_dtype
from wtool.schema.layers.output_shapes import as_shape, channel_axis, reshaped_to
from wtool.schema.layers.output_units import output_unit_axes
from wtool.schema.layers.outputs import (
    cells_inside,
    count_of_outputs,
    layer_inside,
    output_range,
    output_shape,
    output_shapes,
)
from wtool.schema.layers.quantisation import QUANTISED, quantisation
from wtool.schema.layers.table import LINKED, ROTATING, TABLE, VARIANTS, entry_of
from wtool.schema.layers.variables import (
    CODES,
    MATRICES,
    STATISTICS,
    Variable,
    Variables,
    fitting,
    holds_kernel,
    is_of_keras1,
    role_of,
    variants,
)

__all__ = (
    "CHANNELS",
    "CODES",
    "LINKED",
    "MATRICES",
    "ORIGINALS",
    "OWN_FUNCTION",
    "QUANTISED",
    "ROTATING",
    "STATISTICS",
    "TABLE",
    "VARIANTS",
    "Built",
    "LayerClass",
    "PartialShape",
    "Range",
    "Shape",
    "Variable",
    "Variables",
    "as_shape",
    "built_in",
    "cells_inside",
    "channel_axis",
    "class_and_settings",
    "class_of",
    "class_of_group",
    "compute_dtype",
    "count_of_outputs",
    "entry_of",
    "fitting",
    "holds_kernel",
    "input_axes",
    "is_of_keras1",
    "layer_inside",
    "original",
    "original_of",
    "output_dtype",
    "output_range",
    "output_shape",
    "output_shapes",
    "output_unit_axes",
    "quantisation",
    "reshaped_to",
    "role_of",
    "snake_case",
    "variants",
)
