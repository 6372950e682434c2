"""An entry of the table of layers: everything that wtool knows of one class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Any, Literal, get_args

from wtool.values import dataclass

Shape = tuple[int, ...]
"""The shape of a stored array."""

PartialShape = tuple["int | None", ...]
"""The shape of a tensor with its batch, or a pattern for shapes; None where a size is not known, or any will do."""

Settings = Mapping[str, Any]
"""A layer's configuration, as Keras writes it."""

Flags = Mapping[str, Any]
"""What decides which variables a layer has: settings, and how it is quantised."""

Range = tuple[float, float]
"""The smallest and the largest value that a tensor can hold."""


@dataclass(frozen=True, slots=True)
class Built:
    """A layer whose variables are there: what their shapes depend on.

    Attributes:
        name: of the layer, for messages.
        config: its settings.
        input_shape: as recorded when it was built; None where the configuration does not tell.
        shapes: of the stored variables, by name.
    """

    name: str
    config: Settings
    input_shape: PartialShape | None
    shapes: Mapping[str, Shape]


VariablesRule = Callable[[Flags], str]
VariableShapes = Callable[[Built], Mapping[str, PartialShape]]
OutputShape = Callable[[PartialShape, Settings, Sequence[PartialShape]], "PartialShape | None"]
MultiplyAdds = Callable[[Settings, Sequence[PartialShape], PartialShape], "int | None"]
OutputRange = Callable[[Settings, Sequence["Range | None"]], "Range | None"]

Channels = Literal[
    "each value",  # the output holds the channels of the input, each value alone
    "activation",  # as its function does
    "rescaling",  # each value alone, unless it has numbers of their own for the channels
    "slopes",  # each value alone, with a slope for each channel
    "linked",  # twice the channels: those of the input, and their counterparts
    "linked slopes",  # the same, with slopes for each channel
    "merge",  # several inputs, position by position
    "concatenate",  # several inputs, one behind the other
    "dense",  # a kernel (inputs, outputs) mixes the last axis
    "einsum",  # a kernel mixes the axes that an equation names
    "convolution",  # a kernel (window, inputs, outputs) mixes the channels
    "transposed convolution",  # a kernel (window, outputs, inputs) mixes the channels
    "depthwise",  # a kernel (window, inputs, multiplier): each channel alone gives some of the outputs
    "separable",  # a depthwise kernel, then one that mixes the channels
    "recurrent",  # a kernel (inputs, gates) mixes the last axis, step by step
    "convolving recurrent",  # the same with a convolution
    "both ways",  # the recurrent layer inside, in both directions
    "own cell",  # the recurrent cell inside
    "each step",  # the layer inside, at every step
    "attention",  # projections of query, value and key mix their last axes
    "batch normalization",  # numbers of their own for each channel
    "normalization",  # each value by the others along some axes
    "space",  # the axes between batch and channels, each channel alone
    "global pooling",  # the same; the axes in between go
    "flatten",
    "reshape",
    "permute",
    "repeat",
    "together",  # all channels work together, or may
]
"""How a layer treats the channels of its input; whoever edits graphs acts on the name."""

CHANNELS: tuple[str, ...] = get_args(Channels)

Wraps = Literal["", "layer", "each step", "both ways", "masked", "cell", "cells"]
"""What a wrapper does with what its settings hold: the layer inside, the layer inside at every step, a recurrent layer
in both directions, a layer under masks; a recurrent cell, a list of cells."""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer that a layer makes without saying so in its configuration.

    Attributes:
        attribute: of the layer above, that holds it.
        class_name: of the part.
        name: what Keras calls the part; empty for the class's usual name.
    """

    attribute: str
    class_name: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class LayerClass:
    """What wtool knows of a class of layers.

    Attributes:
        name: of the class; that of another package has it in front: `wtool>LKPReLU`.
        variables: its variables in the notation of `variables`, or the rule that tells them from the flags; None where
            only its author knows.
        flags: which ones that rule asks for.
        lora: the variables that LoRA adds, in the same notation.
        variable_shapes: the rule for the shapes of its variables.
        output_shape: the rule for the shape of its first output; None where nobody knows.
        rank: of its input, if the class takes no other, with the batch.
        multiply_adds: the rule for the multiplications by weights, and of inputs with each other, that a call makes for
            a batch of one; None where nobody knows, and for wrappers, which do what is inside.
        output_range: the rule for the range of its first output; None where there is none.
        keeps_axes: whether each axis of the output is that of the inputs at the same place.
        channels: how it treats the channels of its input.
        ends_in_activation: whether the setting `activation` is what it does last, to each of its outputs.
        rotates: whether `wtool.layers` has an Auto-Rotating variant.
        parts: the layers that it makes by itself.
        wraps: what it does with the layers in its settings.
        aliases: other names of the class, in files of some Keras or in the public interface.
        python_name: what Python calls the class, where that is not its usual name.
    """

    name: str
    _: KW_ONLY
    variables: VariablesRule | str | None = ""
    flags: tuple[str, ...] = ()
    lora: str = ""
    variable_shapes: VariableShapes | None = None
    output_shape: OutputShape | None = None
    rank: int | None = None
    multiply_adds: MultiplyAdds | None = None
    output_range: OutputRange | None = None
    keeps_axes: bool = False
    channels: Channels = "together"
    ends_in_activation: bool = False
    rotates: bool = False
    parts: tuple[Part, ...] = ()
    wraps: Wraps = ""
    aliases: tuple[str, ...] = ()
    python_name: str = ""
