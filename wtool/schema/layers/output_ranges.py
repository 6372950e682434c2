"""The range of what a layer gives, at inference: one rule for each family of classes, from the ranges of its inputs.

A rule takes the settings and the ranges of all inputs, each None where it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

from wtool.schema.layers.activations import RANGES, activation_name, states_are_bounded
from wtool.schema.layers.entry import Range, Settings

Ranges = Sequence["Range | None"]

ZERO: Range = (0.0, 0.0)

_CONVEX = ("nearest", "bilinear", "area", "gaussian")
"""Interpolations whose weights are positive and sum up to 1. The others, bicubic, Lanczos and Mitchell-Netravali, have
negative weights, so that they shoot beyond what they interpolate."""


def hull(ranges: Ranges) -> Range | None:
    """Returns the smallest range that holds all of these; None where one is not known, or there is none."""
    known = [each for each in ranges if each is not None]
    if len(known) < len(ranges) or not known:
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def activated(config: Settings, _: Ranges) -> Range | None:
    """Layers that end in an activation: its range."""
    return RANGES.get(activation_name(config.get("activation")))


def passed(_: Settings, inputs: Ranges) -> Range | None:
    """Layers that move values, leave some out, or average them."""
    return inputs[0] if inputs else None


def with_zero(_: Settings, inputs: Ranges) -> Range | None:
    """Layers that put zeros in."""
    return hull([*inputs[:1], ZERO])


def joined(_: Settings, inputs: Ranges) -> Range | None:
    """Layers whose outputs lie between those of their inputs."""
    return hull(inputs)


def enlarged(config: Settings, inputs: Ranges) -> Range | None:
    """UpSampling: of the neighbouring values, as far as the interpolation stays between them."""
    return passed(config, inputs) if config.get("interpolation", "nearest") in _CONVEX else None


def rectified(config: Settings, _: Ranges) -> Range | None:
    """ReLU with a largest value, and without a slope below zero."""
    if config.get("max_value") is None or config.get("negative_slope"):
        return None
    return 0.0, float(config["max_value"])


def shares(_: Settings, __: Ranges) -> Range | None:
    """Softmax: positive values whose sum is 1."""
    return RANGES["softmax"]


def unit(_: Settings, __: Ranges) -> Range | None:
    """UnitNormalization: coordinates of a vector of length 1."""
    return -1.0, 1.0


def simple_recurrent(config: Settings, _: Ranges) -> Range | None:
    """SimpleRNN: h' = activation(W x + U h + b); 0 where a mask leaves out the first steps."""
    return hull([RANGES.get(activation_name(config.get("activation", "tanh"))), ZERO])


def long_short_term(config: Settings, _: Ranges) -> Range | None:
    """LSTM: h' = gate * activation(c), in the activation's range where the gate is between 0 and 1."""
    return _gated(config)


def gated_recurrent(config: Settings, inputs: Ranges) -> Range | None:
    """GRU: h' = gate * h + (1 - gate) * activation(...), so the state that it starts from counts as well."""
    return hull([_gated(config), *inputs[1:]])


def _gated(config: Settings) -> Range | None:
    activation = activation_name(config.get("activation", "tanh"))
    gate = activation_name(config.get("recurrent_activation", config.get("inner_activation", "sigmoid")))
    return hull([RANGES[activation], ZERO]) if states_are_bounded(activation, [gate]) else None
