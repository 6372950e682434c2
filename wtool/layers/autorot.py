"""Auto-Rotating layers: pre-activations scaled so that the data fill the activation's dynamic region, and no more.

With f(x) the parent's pre-activation and xQ a point just outside the data, the output is activation(rho * f(x)) with
rho = L / (|f(xQ)| + eps). Source: "Auto-Rotating Perceptrons", arXiv:1910.02483, and its package arpkeras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from wtool.layers.linked import PACKAGE, activation_of
from wtool.schema.layers.activations import LEVELS


class Rotating:
    """Arguments and settings of all Auto-Rotating layers; a base class that comes before one of Keras's layers.

    Args:
        arguments: the parent's first ones, then `xmin_lim`, `xmax_lim`, `L`, `xQ_scalar`, `eps`, `AutoRot`; in the
            classes that arpkeras has, then the parent's others in its order.
        xmin_lim: least value of the layer's inputs: one number, or one for each input channel.
        xmax_lim: largest value of the layer's inputs, likewise.
        L: |rho * f(xQ)|, above 0: one number, or one for each output channel; `auto` takes it from the activation (see
            `wtool.schema.layers.activations`); None only where the layer is switched off.
        xQ_scalar: every entry of xQ, or one for each input channel; `auto` is 2 * xmax_lim - xmin_lim.
        eps: keeps rho finite where f(xQ) is 0.
        AutoRot: False makes the layer compute what its parent computes.
        options: other arguments of the parent, by keyword.

    Raises:
        TypeError: limits or L are missing, or given twice.
        ValueError: limits are reversed, L is not above 0 or missing, or is `auto` for an activation without an entry.
    """

    first: ClassVar[tuple[str, ...]] = ()
    others: ClassVar[tuple[str, ...]] = ()
    own: ClassVar[tuple[str, ...]] = ("xmin_lim", "xmax_lim", "L", "xQ_scalar", "eps", "AutoRot")
    defaults: ClassVar[dict[str, Any]] = {"xQ_scalar": "auto", "eps": 1e-5, "AutoRot": True}

    xmin_lim: Any
    xmax_lim: Any
    L: Any
    xQ_scalar: Any
    eps: float
    AutoRot: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:
        given = self.by_name(arguments, options)
        own = {name: _plain(given.pop(name)) for name in self.own}
        _check(type(self).__name__, own)
        super().__init__(**given)
        for name, value in own.items():
            setattr(self, name, value)

    @classmethod
    def by_name(cls, arguments: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the constructor's arguments by name, with the defaults of those that were left out."""
        names = (*cls.first, *cls.own, *cls.others)
        if len(arguments) > len(names) or any(name in options for name in names[: len(arguments)]):
            raise TypeError(f"{cls.__name__} takes {', '.join(names)} and keywords; one is there twice")
        given = {**cls.defaults, **dict(zip(names, arguments, strict=False)), **options}
        if missing := [name for name in (*cls.first, *cls.own) if name not in given]:
            raise TypeError(f"{cls.__name__} needs {', '.join(missing)}")
        return given

    @property
    def limit(self) -> Any:
        """The value of every entry of xQ; an array where input channels have their own."""
        if self.xQ_scalar != "auto":
            return _number(self.xQ_scalar)
        return 2 * _number(self.xmax_lim) - _number(self.xmin_lim)

    @property
    def precise(self) -> str:
        """The dtype of rho: float32 at least, so that a dead unit under float16 gives no NaN."""
        return self.compute_dtype if self.compute_dtype == "float64" else "float32"  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {name: getattr(self, name) for name in self.own}
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        return {**super().get_config(), **told}  # type: ignore[misc]


def _plain(value: Any) -> Any:
    """Returns arrays and lists as tuples, which Keras does not track as its own, and NumPy's numbers as Python's."""
    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    return tuple(value) if isinstance(value, list) else value


def _number(value: Any) -> Any:
    """Returns one number, or an array of several."""
    return np.asarray(value, np.float64) if isinstance(value, tuple) else float(value)


def _check(layer: str, own: Mapping[str, Any]) -> None:
    """Check limits and L.

    Raises:
        ValueError: limits are reversed, or L is missing or not above 0.
    """
    low, high, L = own["xmin_lim"], own["xmax_lim"], own["L"]
    if not np.all(_number(low) <= _number(high)):
        raise ValueError(f"{layer} has xmin_lim = {low} and xmax_lim = {high}: the smaller one comes first")
    if L is None and own["AutoRot"]:
        raise ValueError(f"{layer} has L = None, which is possible only with AutoRot=False")
    if L not in (None, "auto") and not np.all(_number(L) > 0):
        raise ValueError(f"{layer} has L = {L}, which is not above 0")


def activation_name(activation: Any) -> str:
    """Returns the name of an activation."""
    return getattr(activation, "__name__", str(activation))


def level(given: Any, activation: Any) -> Any:
    """Returns L as given, or the L of the activation.

    Raises:
        ValueError: L is `auto`, and no L is known for the activation.
    """
    if given != "auto":
        return _number(given)
    name = activation_name(activation)
    if name not in LEVELS:
        raise ValueError(f"no L is known for {name} (only for {', '.join(LEVELS)}): give a number")
    return LEVELS[name]


class AutoRotating(Rotating):
    """A base class that comes before a Keras layer with kernel and activation: see `Rotating`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        given = self.by_name(arguments, options)
        rotated = activation_of(given.pop("activation", None))
        super().__init__(**given)
        self.rotated_activation = rotated
        if self.AutoRot:
            self.level  # noqa: B018 - says at once if there is none

    @property
    def level(self) -> Any:
        """L as given, or the L of the activation."""
        return level(self.L, self.rotated_activation)

    def call(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """Returns activation(rho * f(x))."""
        plain = super().call(inputs, *arguments, **options)  # type: ignore[misc]
        if not self.AutoRot:
            return self.rotated_activation(plain)
        dtype = self.precise
        at_limit = self.at_limit(inputs, dtype)
        rho = ops.cast(self.along_channels(self.level, plain), dtype) / (ops.abs(at_limit) + self.eps)
        return ops.cast(self.rotated_activation(rho * ops.cast(plain, dtype)), plain.dtype)

    def at_limit(self, inputs: Any, dtype: str) -> Any:
        """Returns f(xQ), of a shape that broadcasts: the parent's output for one input that is xQ everywhere."""
        limit = ops.cast(self.along_channels(self.limit, inputs), inputs.dtype)
        return ops.cast(super().call(ops.zeros_like(inputs[:1]) + limit), dtype)  # type: ignore[misc]

    def along_channels(self, values: Any, tensor: Any) -> Any:
        """Returns one number, or one for each channel of a tensor, in a shape that broadcasts with the tensor."""
        if np.ndim(values) and getattr(self, "data_format", "channels_last") == "channels_first":
            return np.reshape(values, (-1, *([1] * (len(tensor.shape) - 2))))
        return values

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "activation": keras.activations.serialize(self.rotated_activation)}


class _Summed(AutoRotating):
    """Layers for which f(xQ) is a sum over the kernel, unless they pad, or input channels have limits of their own."""

    def at_limit(self, inputs: Any, dtype: str) -> Any:
        """Returns xQ times the sum of each output's kernel, plus its bias."""
        if getattr(self, "padding", "valid") != "valid" or np.ndim(self.limit):
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
        """Returns the sum of the weights of each output, shape (outputs,)."""
        kernel = cast(self.kernel)  # type: ignore[attr-defined]
        return ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 1)))


class _Depthwise(_Summed):
    def kernel_sums(self, cast: Callable[[Any], Any]) -> Any:
        """Returns the sums of the kernels, of which each channel and multiplier has one."""
        kernel = cast(self.kernel)  # type: ignore[attr-defined]
        return ops.reshape(ops.sum(kernel, axis=tuple(range(len(kernel.shape) - 2))), (-1,))


class _Separable(_Summed):
    def kernel_sums(self, cast: Callable[[Any], Any]) -> Any:
        """Returns the depthwise sums, mixed by the pointwise kernel."""
        depthwise, pointwise = cast(self.depthwise_kernel), cast(self.pointwise_kernel)  # type: ignore[attr-defined]
        sums = ops.reshape(ops.sum(depthwise, axis=tuple(range(len(depthwise.shape) - 2))), (1, -1))
        return ops.reshape(ops.matmul(sums, ops.reshape(pointwise, pointwise.shape[-2:])), (-1,))


def rotating(
    kind: type[Rotating], parent: str, first: tuple[str, ...], others: tuple[str, ...] = (), **more: Any
) -> Any:
    """Returns a registered Auto-Rotating class with a layer of Keras as its parent."""
    name = f"AutoRot{parent}"
    base = getattr(keras.layers, parent)
    body = {
        "first": first,
        "others": others,
        **more,
        "__module__": kind.__module__,
        "__doc__": f"Auto-Rotating `keras.layers.{parent}`: see `Rotating`.",
    }
    return keras.saving.register_keras_serializable(PACKAGE)(type(name, (kind, base), body))


_CONV = ("filters", "kernel_size")
_OTHERS = (
    "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "bias_constraint",
)  # fmt: skip
_OTHERS_OF_CONV = ("strides", "padding", "data_format", "dilation_rate", *_OTHERS)
AutoRotDense = rotating(_Summed, "Dense", ("units",), _OTHERS)
AutoRotConv1D = rotating(_Summed, "Conv1D", _CONV, _OTHERS_OF_CONV)
AutoRotConv2D = rotating(_Summed, "Conv2D", _CONV, _OTHERS_OF_CONV)
AutoRotConv3D = rotating(_Summed, "Conv3D", _CONV, _OTHERS_OF_CONV)
AutoRotConv1DTranspose = rotating(AutoRotating, "Conv1DTranspose", _CONV)
AutoRotConv2DTranspose = rotating(AutoRotating, "Conv2DTranspose", _CONV)
AutoRotConv3DTranspose = rotating(AutoRotating, "Conv3DTranspose", _CONV)
AutoRotSeparableConv1D = rotating(_Separable, "SeparableConv1D", _CONV)
AutoRotSeparableConv2D = rotating(_Separable, "SeparableConv2D", _CONV)
AutoRotDepthwiseConv1D = rotating(_Depthwise, "DepthwiseConv1D", ("kernel_size",))
AutoRotDepthwiseConv2D = rotating(_Depthwise, "DepthwiseConv2D", ("kernel_size",))
AutoRotSeparableConv = AutoRotSeparableConv2D
