"""Auto-Rotating recurrent layers: each gate's pre-activation is scaled as `wtool.layers.autorot` scales a layer's.

The authors published the names of these layers but no code: what follows is this project's reading.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from wtool.layers.autorot import Rotating, activation_name, level, rotating
from wtool.layers.linked import activation_of
from wtool.schema.layers.activations import RANGES, beyond, states_are_bounded

HALF = 2.0**12
"""Largest sum of a unit's weights under float16, which ends at 65504: there is room for inputs up to 16."""


class Recurrent(Rotating):
    """A base class that comes before a recurrent layer of Keras; its arguments are those of `Rotating`.

    A gate's pre-activation z = x W + h U + b becomes rho * z with rho = L / (|z(xQ, hQ)| + eps) for each unit, L by the
    gate's activation. z is affine, so this is the parent with weights rho * W, rho * U and rho * b: computed once per
    call, and the loop over time, fused kernels, masks and dropout remain Keras's. A GRU's reset gate,
    which stands before or behind its candidate's U, is 1 at the limit.

    Args:
        hQ_scalar: every entry of hQ; `auto` is xQ of the state's own range (tanh: 3).

    Raises:
        ValueError: `auto` where the state's range is not known.
    """

    own = (*Rotating.own, "hQ_scalar")
    defaults: ClassVar[dict[str, Any]] = {**Rotating.defaults, "hQ_scalar": "auto"}
    gates: ClassVar[tuple[str, ...]]
    """Attribute with the activation of each gate, in the order of the kernel's columns."""

    hQ_scalar: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        given = self.by_name(arguments, options)
        functions = {name: activation_of(given[name]) for name in set(self.gates) if name in given}
        super().__init__(**{**given, **functions})
        if np.ndim(self.L):
            raise ValueError(f"{type(self).__name__} takes one number as L, which is for every gate")
        if self.AutoRot:
            self.levels, self.state_limit  # noqa: B018 - say at once if there are none
        # Bidirectional would give the weights of two layers, as they are, to one fused kernel.
        self.fused, self.use_cudnn = getattr(self, "use_cudnn", False), False

    @property
    def levels(self) -> list[float]:
        """The L of each gate."""
        return [level(self.L, getattr(self, gate)) for gate in self.gates]

    @property
    def state_limit(self) -> float:
        """The value of every entry of hQ. With gates in 0 to 1, states stay within the activation's range and 0."""
        if self.hQ_scalar != "auto":
            return float(self.hQ_scalar)
        gates = {activation_name(getattr(self, gate)) for gate in self.gates if gate != "activation"}
        output = activation_name(self.activation)  # type: ignore[attr-defined]
        if not states_are_bounded(output, gates):
            through = f" behind gates of {', '.join(sorted(gates))}" if gates else ""
            raise ValueError(
                f"no range is known for states of {output}{through}: give hQ_scalar, a number just outside of them"
            )
        return beyond(*RANGES[output])

    def inner_loop(self, *arguments: Any, **options: Any) -> Any:
        """Returns the parent's output with rotated weights in its cell, whether kernels are fused or not."""
        self.use_cudnn = self.fused
        try:
            with keras.StatelessScope(self.rotated()) if self.AutoRot else nullcontext():
                return super().inner_loop(*arguments, **options)  # type: ignore[misc]
        finally:
            self.use_cudnn = False

    def rotated(self) -> list[tuple[Any, Any]]:
        """Yields the cell's variables, and each with its columns multiplied by rho."""
        cell = self.cell  # type: ignore[attr-defined]
        variables = [cell.kernel, cell.recurrent_kernel, *([] if cell.bias is None else [cell.bias])]
        weights = [ops.cast(variable, self.precise) for variable in variables]
        rho = self.rho(weights)
        return [(variable, rho * weight) for variable, weight in zip(variables, weights, strict=True)]

    def rho(self, weights: list[Any]) -> Any:
        """Returns L / (|z(xQ, hQ)| + eps) of every gate and unit, shape (gates * units,)."""
        own = ops.convert_to_tensor(np.reshape(self.limit, (-1, 1)), self.precise)
        limits = (own, self.state_limit, 1.0)
        at_limit = sum(self._sums(limit * weight) for limit, weight in zip(limits, weights, strict=False))
        levels = ops.repeat(ops.convert_to_tensor(self.levels, self.precise), self.cell.units)  # type: ignore[attr-defined]
        rho = levels / (ops.abs(at_limit) + self.eps)
        if self.compute_dtype != "float16":  # type: ignore[attr-defined]
            return rho
        return ops.minimum(rho, HALF / (sum(self._sums(ops.abs(weight)) for weight in weights) + self.eps))

    def _sums(self, weight: Any) -> Any:
        """Returns the sum of the bias over its rows; a GRU may have two rows."""
        return ops.sum(ops.reshape(weight, (-1, weight.shape[-1])), axis=0)


_GATE = "recurrent_activation"
AutoRotSimpleRNN = rotating(Recurrent, "SimpleRNN", ("units",), gates=("activation",))
AutoRotLSTM = rotating(Recurrent, "LSTM", ("units",), gates=(_GATE, _GATE, "activation", _GATE))
AutoRotGRU = rotating(Recurrent, "GRU", ("units",), gates=(_GATE, _GATE, "activation"))
