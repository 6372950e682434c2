"""Keras's initializers, from their configuration alone: equal in distribution, without Keras."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.values import dataclass

Draw = Callable[[np.random.Generator, int], Array]

TRUNCATED = 0.87962566103423978
"""Standard deviation of a standard normal that is cut at two standard deviations."""


@dataclass(frozen=True, slots=True)
class Initializer:
    """How fresh values of a tensor are made.

    Attributes:
        deviation: standard deviation of a value.
        draw: from a generator and a count to as many independent values, float64; None where they
            depend on each other.
        whole: from a generator to all values of the tensor at once, flat.
    """

    deviation: float
    draw: Draw | None = None
    whole: Callable[[np.random.Generator], Array] | None = None


def normal(mean: float, deviation: float) -> Initializer:
    """Gaussian."""
    return Initializer(deviation, lambda generator, count: mean + deviation * generator.standard_normal(count))


def truncated_normal(mean: float, deviation: float) -> Initializer:
    """Gaussian, drawn again where it is more than two `deviation`s from the mean."""

    def draw(generator: np.random.Generator, count: int) -> Array:
        values = generator.standard_normal(count)
        while len(far := np.flatnonzero(np.abs(values) > 2)):
            values[far] = generator.standard_normal(len(far))
        return mean + deviation * values

    return Initializer(deviation * TRUNCATED, draw)


def uniform(low: float, high: float) -> Initializer:
    """Uniform in [low, high)."""
    return Initializer((high - low) / math.sqrt(12), lambda generator, count: generator.uniform(low, high, count))


def constant(value: float) -> Initializer:
    """Always the same."""
    return Initializer(0.0, lambda generator, count: np.full(count, value))


def variance_scaling(scale: float, mode: str, distribution: str, fans: tuple[float, float]) -> Initializer:
    """Variance scale / n, n being the number of inputs, outputs, or their mean.

    Args:
        scale: at least 0.
        mode: `fan_in`, `fan_out` or `fan_avg`.
        distribution: `truncated_normal` (or `normal`, its older name), `untruncated_normal` or `uniform`.
        fans: number of inputs and of outputs.

    Source: Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998; keras.initializers.VarianceScaling.
    """
    count = {"fan_in": fans[0], "fan_out": fans[1]}.get(mode, sum(fans) / 2)
    deviation = math.sqrt(scale / max(1.0, count))
    if distribution in ("truncated_normal", "normal"):
        return truncated_normal(0.0, deviation / TRUNCATED)
    if distribution == "untruncated_normal":
        return normal(0.0, deviation)
    return uniform(-math.sqrt(3) * deviation, math.sqrt(3) * deviation)


def orthogonal(gain: float, shape: Sequence[int]) -> Initializer:
    """A random matrix (all dimensions but the last are rows) with orthonormal columns, or rows if these are fewer.

    Source: Saxe et al. 2014; keras.initializers.Orthogonal.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]

    def whole(generator: np.random.Generator) -> Array:
        square, triangular = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        square *= np.sign(np.diagonal(triangular))
        return gain * (square.T if rows < columns else square).reshape(-1)

    return Initializer(abs(gain) / math.sqrt(max(rows, columns)), whole=whole)


def identity(gain: float, shape: Sequence[int]) -> Initializer:
    """`gain` on the diagonal of a matrix, and zero elsewhere."""
    size = math.prod(shape)
    deviation = abs(gain) * math.sqrt(min(shape) / size) * math.sqrt(1 - min(shape) / size)
    return Initializer(deviation, whole=lambda generator: gain * np.eye(shape[0], shape[1]).reshape(-1))


_SCALED = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
    "LecunNormal": (1.0, "fan_in", "truncated_normal"),
}
_PLAIN = (
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal", "Identity", "Zeros", "Ones",
    "Constant",
)  # fmt: skip
_KINDS = {name.lower(): name for name in (*_SCALED, *_PLAIN)} | {
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "zero": "Zeros",
    "one": "Ones",
    "orthogonalinitializer": "Orthogonal",
    "identityinitializer": "Identity",
}
"""Name without capitals and underscores, of any Keras version -> kind."""


def from_config(entry: Any, shape: Sequence[int]) -> Initializer | None:
    """The initializer that a layer's configuration names, for a tensor of this shape.

    Args:
        entry: `{"class_name": "GlorotUniform", "config": {...}}`, or a name alone (`"glorot_uniform"`), of any Keras.
        shape: of the tensor.

    Returns:
        None for what is not one of Keras's own, or does not fit the shape.

    Raises:
        Refused: its settings are not numbers that Keras takes.
    """
    name: Any = entry
    config: Any = {}
    package: Any = None
    if isinstance(entry, Mapping):
        name, config, package = entry.get("class_name"), entry.get("config"), entry.get("registered_name")
    if not isinstance(name, str) or not isinstance(config, Mapping) or package not in (None, name):
        return None
    kind = _KINDS.get(name.replace("_", "").lower())
    if kind is None:
        return None
    try:
        return _made(kind, config, tuple(shape))
    except (ValueError, ArithmeticError, IndexError) as error:
        raise Refused(
            f"the initializer {name} of the configuration has settings that make no numbers: {error}"
        ) from None


def _made(kind: str, config: Mapping[str, Any], shape: tuple[int, ...]) -> Initializer | None:
    match kind:
        case "Zeros" | "Ones" | "Constant":
            default = {"Zeros": 0.0, "Ones": 1.0}.get(kind)
            return constant(_number(config, "value", 0.0) if default is None else default)
        case "RandomNormal":
            return normal(_number(config, "mean", 0.0), _positive(config, "stddev", 0.05))
        case "TruncatedNormal":
            return truncated_normal(_number(config, "mean", 0.0), _positive(config, "stddev", 0.05))
        case "RandomUniform":
            low, high = _number(config, "minval", -0.05), _number(config, "maxval", 0.05)
            if not 0 <= high - low < math.inf:
                raise ValueError(f"minval = {low:g} and maxval = {high:g}")
            return uniform(low, high)
        case "Orthogonal":
            return orthogonal(_number(config, "gain", 1.0), shape) if len(shape) > 1 else None
        case "Identity":
            return identity(_number(config, "gain", 1.0), shape) if len(shape) == 2 and min(shape) > 0 else None
    scale, mode, distribution = _SCALED.get(kind, (1.0, "fan_in", "truncated_normal"))
    if kind == "VarianceScaling":
        scale = _positive(config, "scale", scale)
        mode, distribution = str(config.get("mode", mode)), str(config.get("distribution", distribution))
    return variance_scaling(scale, mode, distribution.lower(), fans(shape, config))


def fans(shape: Sequence[int], config: Mapping[str, Any]) -> tuple[float, float]:
    """Number of inputs and outputs of a kernel: of the last two dimensions, times all others (the receptive field)."""
    inputs, outputs = config.get("input_axes"), config.get("output_axes")
    if isinstance(inputs, list) and isinstance(outputs, list):
        if not all(type(axis) is int for axis in (*inputs, *outputs)):
            raise ValueError("axes that are no whole numbers")
        return math.prod(shape[axis] for axis in inputs), math.prod(shape[axis] for axis in outputs)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} = {value!r:.40}")
    return float(value)


def _positive(config: Mapping[str, Any], name: str, default: float) -> float:
    value = _number(config, name, default)
    if value < 0:
        raise ValueError(f"{name} = {value:g}")
    return value
