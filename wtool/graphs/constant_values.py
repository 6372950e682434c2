"""What a layer makes of channels that always have the same value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.schema.layers.activations import activation_name
from wtool.transforms.activations import activated

Read = Callable[[str], "Array | None"]
"""From the name of a variable of the layer to its values in float64; None where the layer has none of that name."""

_AS_THEY_ARE = ("Identity", "Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout")


def behind_layer(name: str, channels: str, config: Mapping[str, Any], values: Array, axis: int, read: Read) -> Array:
    """Returns the constant channels of the output of a layer that hands on the channels of its input.

    Args:
        name: of the class, as the table of layers has it.
        channels: how it treats channels.
        config: its settings.
        values: of the channels in the layer's output, if it did nothing to values; NaN where they are not constant.
        axis: of the channels in the output, with the batch.
        read: gives its weights.

    Returns:
        an array of the same shape, NaN where a channel is not constant, or nobody knows.
    """
    match channels:
        case "activation":
            return activated(activation_name(config.get("activation")), values)
        case "each value":
            return _each_value(name, config, values)
        case "slopes":
            return np.where(values >= 0, values, values * _slopes(read("alpha"), axis - 1))
        case "rescaling":
            scale, offset = config.get("scale", 1.0), config.get("offset", 0.0)
            return values * float(scale) + float(offset)
        case "batch normalization":
            return _normalised(config, values, read)
        case "space":
            return _in_space(name, config, values)
        case "linked" | "linked slopes" | "global pooling" | "flatten" | "reshape" | "permute" | "repeat":
            return values
    return np.full(values.shape, np.nan)


def _slopes(alpha: Array | None, axis: int) -> Array:
    """The slope of each channel along an axis of the slopes; NaN where a channel has several."""
    if alpha is None or not 0 <= axis < alpha.ndim:
        return np.full(1, np.nan)
    others = tuple(each for each in range(alpha.ndim) if each != axis)
    return np.where(alpha.min(axis=others) == alpha.max(axis=others), alpha.min(axis=others), np.nan)


def _each_value(name: str, config: Mapping[str, Any], values: Array) -> Array:
    if name in _AS_THEY_ARE or name.startswith("SpatialDropout"):
        return values
    if name == "ReLU":
        slope, start = float(config.get("negative_slope") or 0), float(config.get("threshold") or 0)
        above = values if config.get("max_value") is None else np.minimum(values, float(config["max_value"]))
        return np.where(values >= start, above, slope * (values - start))
    if name == "LeakyReLU":
        slope = config.get("negative_slope", config.get("alpha"))
        return np.where(values >= 0, values, values * (np.nan if slope is None else float(slope)))
    if name == "ELU":
        return np.where(values >= 0, values, float(config.get("alpha", 1.0)) * np.expm1(np.minimum(values, 0)))
    return np.full(values.shape, np.nan)


def _normalised(config: Mapping[str, Any], values: Array, read: Read) -> Array:
    mean, variance, gamma, beta = (read(each) for each in ("moving_mean", "moving_variance", "gamma", "beta"))
    if mean is None or variance is None or mean.shape != values.shape or config.get("renorm"):
        return np.full(values.shape, np.nan)
    scale = 1 / np.sqrt(variance + float(config.get("epsilon", 1e-3)))
    made = (values - mean) * scale * (1 if gamma is None else gamma) + (0 if beta is None else beta)
    return np.asarray(made)


def _in_space(name: str, config: Mapping[str, Any], values: Array) -> Array:
    pads = name.startswith("ZeroPadding") or (name.startswith("Average") and config.get("padding") == "same")
    return np.where(values == 0, values, np.nan) if pads else values


def alike(several: Sequence[Array]) -> Array:
    """Returns the constant channels of tensors that are concatenated along another axis: those alike in all of them."""
    stack = np.stack(np.broadcast_arrays(*several))
    return np.where((stack == stack[0]).all(0), stack[0], np.nan)


def combined(name: str, several: Sequence[Array]) -> Array:
    """Returns the constant channels of a sum, product and the like of tensors; NaN where one is not constant."""
    stack = np.stack(several)
    match name:
        case "Add":
            return np.asarray(stack.sum(0))
        case "Subtract":
            return np.asarray(stack[0] - stack[1])
        case "Average":
            return np.asarray(stack.mean(0))
        case "Maximum":
            return np.asarray(stack.max(0))
        case "Minimum":
            return np.asarray(stack.min(0))
        case "Multiply":
            return np.where((stack == 0).any(0), 0.0, stack.prod(0))
    return np.full(stack.shape[1:], np.nan)


def pads_nothing(channels: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer adds nothing around its inputs, so that its output is the same everywhere if its input is."""
    if channels == "transposed convolution":
        return False
    if channels not in ("convolution", "depthwise", "separable", "convolving recurrent"):
        return True
    size = config.get("kernel_size")
    sizes = size if isinstance(size, list) else [size]
    return config.get("padding", "valid") == "valid" or all(each == 1 for each in sizes)
