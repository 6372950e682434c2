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
from wtool.ranges import LEVELS, beyond


class Rotating:
    """What all Auto-Rotating layers are told; it stands before a Keras layer.

    Args:
        arguments: the parent's first ones, then `xmin_lim`, `xmax_lim`, `L`, `xQ_scalar`, `eps`, `AutoRot`.
        xmin_lim, xmax_lim: between which the layer's inputs are.
        L: |rho * f(xQ)|, above 0; `auto` takes it from the activation (see `wtool.ranges`).
        xQ_scalar: every entry of xQ; `auto` is 2 * xmax_lim - xmin_lim.
        eps: keeps rho finite where f(xQ) is 0.
        AutoRot: False makes it the parent.
        options: the parent's others, by keyword.

    Raises:
        TypeError: limits or L are missing, or given twice.
        ValueError: `auto` for an activation without an entry.
    """

    first: ClassVar[tuple[str, ...]] = ()
    own: ClassVar[tuple[str, ...]] = ("xmin_lim", "xmax_lim", "L", "xQ_scalar", "eps", "AutoRot")
    defaults: ClassVar[dict[str, Any]] = {"xQ_scalar": "auto", "eps": 1e-5, "AutoRot": True}

    xmin_lim: float
    xmax_lim: float
    L: Any
    xQ_scalar: Any
    eps: float
    AutoRot: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:
        names = (*self.first, *self.own)
        if len(arguments) > len(names) or any(name in options for name in names[: len(arguments)]):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)} and keywords; one is there twice")
        given = {**self.defaults, **dict(zip(names, arguments, strict=False)), **options}
        if missing := [name for name in names if name not in given]:
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        own = {name: given.pop(name) for name in self.own}
        super().__init__(**given)
        for name, value in own.items():
            setattr(self, name, value)

    @property
    def limit(self) -> float:
        """Every entry of xQ."""
        return beyond(self.xmin_lim, self.xmax_lim) if self.xQ_scalar == "auto" else float(self.xQ_scalar)

    @property
    def precise(self) -> str:
        """The dtype of rho: float32 at least, so that a dead unit under float16 gives no NaN."""
        return self.compute_dtype if self.compute_dtype == "float64" else "float32"  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.own}}  # type: ignore[misc]


def name_of(activation: Any) -> str:
    """What an activation is called."""
    return getattr(activation, "__name__", str(activation))


def level(given: Any, activation: Any) -> float:
    """L as given, or that of the activation."""
    if given != "auto":
        return float(given)
    name = name_of(activation)
    if name not in LEVELS:
        raise ValueError(f"no L is known for {name} (only for {', '.join(LEVELS)}): give a number")
    return LEVELS[name]


class AutoRotating(Rotating):
    """It stands before a Keras layer with kernel and activation: see `Rotating`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        rotated = keras.activations.get(options.pop("activation", None))
        super().__init__(*arguments, **options)
        self.rotated_activation = rotated
        self.level  # noqa: B018 - says at once if there is none

    @property
    def level(self) -> float:
        """L, or that of the activation."""
        return level(self.L, self.rotated_activation)

    def call(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """activation(rho * f(x))."""
        plain = super().call(inputs, *arguments, **options)  # type: ignore[misc]
        if not self.AutoRot:
            return self.rotated_activation(plain)
        dtype = self.precise
        at_limit = self.at_limit(inputs, dtype)
        rho = self.level / (ops.abs(at_limit) + self.eps)
        return ops.cast(self.rotated_activation(rho * ops.cast(plain, dtype)), plain.dtype)

    def at_limit(self, inputs: Any, dtype: str) -> Any:
        """f(xQ), of a shape that broadcasts: the parent's, for a constant input of batch 1."""
        constant = ops.zeros_like(inputs[:1]) + ops.cast(self.limit, inputs.dtype)
        return ops.cast(super().call(constant), dtype)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**super().get_config(), "activation": keras.activations.serialize(self.rotated_activation)}


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


def rotating(kind: type[Rotating], parent: str, first: tuple[str, ...], **more: Any) -> Any:
    """A registered Auto-Rotating class with a layer of Keras as its parent."""
    name = f"AutoRot{parent}"
    base = getattr(keras.layers, parent)
    body = {
        "first": first,
        **more,
        "__module__": kind.__module__,
        "__doc__": f"Auto-Rotating `keras.layers.{parent}`: see `Rotating`.",
    }
    return keras.saving.register_keras_serializable(PACKAGE)(type(name, (kind, base), body))


_CONV = ("filters", "kernel_size")
AutoRotDense = rotating(_Summed, "Dense", ("units",))
AutoRotConv1D = rotating(_Summed, "Conv1D", _CONV)
AutoRotConv2D = rotating(_Summed, "Conv2D", _CONV)
AutoRotConv3D = rotating(_Summed, "Conv3D", _CONV)
AutoRotConv1DTranspose = rotating(AutoRotating, "Conv1DTranspose", _CONV)
AutoRotConv2DTranspose = rotating(AutoRotating, "Conv2DTranspose", _CONV)
AutoRotConv3DTranspose = rotating(AutoRotating, "Conv3DTranspose", _CONV)
AutoRotSeparableConv1D = rotating(_Separable, "SeparableConv1D", _CONV)
AutoRotSeparableConv2D = rotating(_Separable, "SeparableConv2D", _CONV)
AutoRotDepthwiseConv1D = rotating(_Depthwise, "DepthwiseConv1D", ("kernel_size",))
AutoRotDepthwiseConv2D = rotating(_Depthwise, "DepthwiseConv2D", ("kernel_size",))
AutoRotSeparableConv = AutoRotSeparableConv2D
