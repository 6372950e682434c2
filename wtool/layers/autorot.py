"""Auto-Rotating layers: pre-activations scaled so that the data fill the activation's dynamic region, and no more.

With f(x) the parent's pre-activation and xQ a point just outside the data, the output is activation(rho * f(x)) with
rho = L / (|f(xQ)| + eps). Source: "Auto-Rotating Perceptrons", arXiv:1910.02483, and its package arpkeras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras
from keras import ops

from wtool.layers.linked import PACKAGE

LEVELS = {"tanh": 2.0, "sigmoid": 4.0, "arctan": 7.0}
"""Activation -> where its dynamic region ends, by the paper's authors."""

_OWN = ("xmin_lim", "xmax_lim", "L", "xQ_scalar", "eps", "AutoRot")
_DEFAULTS = {"xQ_scalar": "auto", "eps": 1e-5, "AutoRot": True}


class AutoRotating:
    """What all Auto-Rotating layers have in common; it stands before a Keras layer with kernel and activation.

    Args:
        arguments: the parent's first ones, then `xmin_lim`, `xmax_lim`, `L`, `xQ_scalar`, `eps`, `AutoRot`.
        xmin_lim, xmax_lim: between which the layer's inputs are.
        L: |rho * f(xQ)|, above 0; `auto` takes it from the activation (see `LEVELS`).
        xQ_scalar: every entry of xQ; `auto` is 2 * xmax_lim - xmin_lim.
        eps: keeps rho finite where f(xQ) is 0.
        AutoRot: False makes it the parent.
        options: the parent's others, by keyword.

    Raises:
        TypeError: limits or L are missing, or given twice.
        ValueError: `auto` for an activation without an entry.
    """

    first: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        names = (*self.first, *_OWN)
        if len(arguments) > len(names) or any(name in options for name in names[: len(arguments)]):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)} and keywords; one is there twice")
        given = {**_DEFAULTS, **dict(zip(names, arguments, strict=False)), **options}
        if missing := [name for name in names if name not in given]:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        own = {name: given.pop(name) for name in _OWN}
        rotated = keras.activations.get(given.pop("activation", None))
        super().__init__(**given)
        self.rotated_activation = rotated
        self.xmin_lim, self.xmax_lim, self.L = own["xmin_lim"], own["xmax_lim"], own["L"]
        self.xQ_scalar, self.eps, self.AutoRot = own["xQ_scalar"], own["eps"], own["AutoRot"]
        self.level  # noqa: B018 - says at once if there is none

    @property
    def level(self) -> float:
        """L, or that of the activation."""
        if self.L != "auto":
            return float(self.L)
        name = getattr(self.rotated_activation, "__name__", str(self.rotated_activation))
        if name not in LEVELS:
            raise ValueError(f"no L is known for {name} (only for {', '.join(LEVELS)}): give a number")
        return LEVELS[name]

    @property
    def limit(self) -> float:
        """Every entry of xQ."""
        return float(2 * self.xmax_lim - self.xmin_lim if self.xQ_scalar == "auto" else self.xQ_scalar)

    def call(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """activation(rho * f(x)); in float32 at least, so that a dead unit under float16 gives no NaN."""
        plain = super().call(inputs, *arguments, **options)  # type: ignore[misc]
        if not self.AutoRot:
            return self.rotated_activation(plain)
        dtype = self.compute_dtype if self.compute_dtype == "float64" else "float32"  # type: ignore[attr-defined]
        at_limit = self.at_limit(inputs, dtype)
        rho = self.level / (ops.abs(at_limit) + self.eps)
        return ops.cast(self.rotated_activation(rho * ops.cast(plain, dtype)), plain.dtype)

    def at_limit(self, inputs: Any, dtype: str) -> Any:
        """f(xQ), of a shape that broadcasts: the parent's, for a constant input of batch 1."""
        constant = ops.zeros_like(inputs[:1]) + ops.cast(self.limit, inputs.dtype)
        return ops.cast(super().call(constant), dtype)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        config = super().get_config()  # type: ignore[misc]
        activation = keras.activations.serialize(self.rotated_activation)
        return {**config, "activation": activation, **{name: getattr(self, name) for name in _OWN}}


class _Summed(AutoRotating):
    """Layers for which f(xQ) is a sum over the kernel, unless they pad."""

    def at_limit(self, inputs: Any, dtype: str) -> Any:
        """xQ times the sum of each output's kernel, plus its bias."""
        if getattr(self, "padding", "valid") != "valid":
            return super().at_limit(inputs, dtype)
        sums = self.limit * self.kernel_sums(lambda weight: ops.cast(weight, dtype))
        bias = getattr(self, "bias", None)
        if bias is not None:
            sums = sums + ops.cast(bias, dtype)
        rank = len(inputs.shape) - 2
        if getattr(self, "data_format", "channels_last") == "channels_first":
            return ops.reshape(sums, (1, -1, *([1] * rank)))
        return sums

    def kernel_sums(self, cast: Callable[[Any], Any]) -> Any:
        """The sum of the weights of each output, shape (outputs,)."""
        kernel = cast(self.kernel)  # type: ignore[attr-defined]
        return ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 1)))


class _Depthwise(_Summed):
    def kernel_sums(self, cast: Callable[[Any], Any]) -> Any:
        """Each channel and multiplier has a kernel of its own."""
        kernel = cast(self.kernel)  # type: ignore[attr-defined]
        return ops.reshape(ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 2))), (-1,))


class _Separable(_Summed):
    def kernel_sums(self, cast: Callable[[Any], Any]) -> Any:
        """Depthwise sums, mixed by the pointwise kernel."""
        depthwise, pointwise = cast(self.depthwise_kernel), cast(self.pointwise_kernel)  # type: ignore[attr-defined]
        sums = ops.reshape(ops.sum(depthwise, axis=tuple(range(len(depthwise.shape) - 2))), (1, -1))
        return ops.reshape(ops.matmul(sums, ops.reshape(pointwise, pointwise.shape[-2:])), (-1,))


def _layer(kind: type[AutoRotating], parent: str, first: tuple[str, ...]) -> Any:
    name = f"AutoRot{parent}"
    base = getattr(keras.layers, parent)
    body = {
        "first": first,
        "__module__": __name__,
        "__doc__": f"Auto-Rotating `keras.layers.{parent}`: see `AutoRotating`.",
    }
    return keras.saving.register_keras_serializable(PACKAGE)(type(name, (kind, base), body))


_CONV = ("filters", "kernel_size")
AutoRotDense = _layer(_Summed, "Dense", ("units",))
AutoRotConv1D = _layer(_Summed, "Conv1D", _CONV)
AutoRotConv2D = _layer(_Summed, "Conv2D", _CONV)
AutoRotConv3D = _layer(_Summed, "Conv3D", _CONV)
AutoRotConv1DTranspose = _layer(AutoRotating, "Conv1DTranspose", _CONV)
AutoRotConv2DTranspose = _layer(AutoRotating, "Conv2DTranspose", _CONV)
AutoRotConv3DTranspose = _layer(AutoRotating, "Conv3DTranspose", _CONV)
AutoRotSeparableConv1D = _layer(_Separable, "SeparableConv1D", _CONV)
AutoRotSeparableConv2D = _layer(_Separable, "SeparableConv2D", _CONV)
AutoRotDepthwiseConv1D = _layer(_Depthwise, "DepthwiseConv1D", ("kernel_size",))
AutoRotDepthwiseConv2D = _layer(_Depthwise, "DepthwiseConv2D", ("kernel_size",))
AutoRotSeparableConv = AutoRotSeparableConv2D
