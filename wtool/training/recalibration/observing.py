"""BatchNormalization layers whose inputs are looked at while their model runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.training.recalibration.moments import Moments
from wtool.training.variables import array


class Observed:
    """A BatchNormalization layer of a live model, and the moments of its inputs.

    A call of the layer takes in its inputs, and then normalises them as in prediction, whatever its model asks for.

    Args:
        layer: the layer. Its class may be a subclass of Keras's own.

    Attributes:
        moments: of the inputs of all calls since `begin`.
        first_call: index of the layer's first call among the calls of all observed layers in a batch.
        follows: whether each call sets the layer's statistics to the moments so far before it normalises.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.moments = Moments.of(0)
        self.first_call = -1
        self.follows = False
        self.before = self.stored()

    def begin(self, follows: bool) -> None:
        """Begin a pass over the data."""
        self.first_call = -1
        self.moments = Moments.of(len(self.before[0]))
        self.follows = follows

    def stored(self) -> tuple[Array, Array]:
        """Returns the moving mean and the moving variance of the layer, shape (channels,), float64."""
        mean, variance = (
            array(each).astype(np.float64) for each in (self.layer.moving_mean, self.layer.moving_variance)
        )
        return mean, variance

    @property
    def statistics(self) -> tuple[Array, Array]:
        """Mean and variance of the inputs; of a channel without any, those that the layer had before the first pass."""
        is_known = self.moments.count > 0
        found = (self.moments.mean, self.moments.variance)
        mean, variance = (np.where(is_known, new, old) for new, old in zip(found, self.before, strict=True))
        return mean, variance

    def store(self) -> None:
        """Set the layer's statistics to those of its inputs, and what renormalisation keeps beside them."""
        mean, variance = self.statistics
        deviation = np.sqrt(variance + self.layer.epsilon)
        with np.errstate(over="ignore"):  # values that are too large for their dtype are refused after the pass
            for variable, value in zip(self.variables, (mean, variance, deviation, mean, deviation), strict=False):
                variable.assign(value)

    @property
    def variables(self) -> list[Any]:
        """The variables that `store` sets."""
        names = ["moving_mean", "moving_variance"]
        if getattr(self.layer, "renorm", False):
            names += ["moving_stddev", "renorm_mean", "renorm_stddev"]
        return [getattr(self.layer, name) for name in names]

    def see(self, inputs: Any, mask: Any, number: int) -> None:
        """Take in the inputs of one call, whose index among all calls in the batch is `number`."""
        self.first_call = number if self.first_call < 0 else min(self.first_call, number)
        shown = None if mask is None else keras.ops.convert_to_numpy(mask)
        self.moments.add(keras.ops.convert_to_numpy(inputs), self.layer.axis, shown)
        if self.follows:
            self.store()


@contextmanager
def observing(observed: Sequence[Observed]) -> Iterator[Calls]:
    """Look at every call of the layers until the end of the `with` block; then they are called as before."""
    calls = Calls()
    with ExitStack() as stack:
        for each in observed:
            stack.enter_context(_replaced(each, calls))
        yield calls


class Calls:
    """The calls of all observed layers in one batch.

    Attributes:
        number: how many there were so far.
    """

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def _replaced(observed: Observed, calls: Calls) -> Iterator[None]:
    layer = observed.layer
    has_own = "call" in vars(layer)
    original = layer.call
    signature = inspect.signature(original)

    def call(*places: Any, **names: Any) -> Any:
        given = signature.bind(*places, **names)
        told = given.arguments
        observed.see(next(iter(told.values())), told.get("mask"), calls.number)
        calls.number += 1
        if "training" in signature.parameters:
            told["training"] = False
        return original(*given.args, **given.kwargs)

    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        if has_own:
            object.__setattr__(layer, "call", original)
        else:
            object.__delattr__(layer, "call")
