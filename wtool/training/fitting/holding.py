"""Zeros that stay zero while a model trains: a constraint on each variable, inside the compiled train step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import WtoolError, a_few
from wtool.training.loading.optimizer_state import inner
from wtool.training.variables import array


class ZeroMask(keras.constraints.Constraint):
    """w -> c(w where kept, else 0) where kept, else 0: c is the constraint that was there before, if any.

    Args:
        kept: mask of the variable's shape, False where it is held at zero.
        before: the variable's own constraint.
    """

    def __init__(self, kept: Any, before: Any = None) -> None:
        self.kept = keras.ops.convert_to_tensor(np.asarray(kept, bool))
        self.before = before

    def __call__(self, value: Any) -> Any:
        """Returns the constrained value, by a selection: infinity times zero would be NaN, and -1 times zero is -0."""
        value, kept = (
            keras.ops.convert_to_tensor(value),
            keras.ops.convert_to_tensor(self.kept),
        )  # JAX takes no variables
        if self.before is not None:
            value = self.before(keras.ops.where(kept, value, keras.ops.zeros_like(value)))
        return keras.ops.where(kept, value, keras.ops.zeros_like(value))


@dataclass(frozen=True, slots=True, eq=False)
class HeldVariable:
    """A variable whose zeros are held.

    Attributes:
        path: of the variable.
        variable: Keras's.
        kept: mask of its shape, False where it is held at zero.
        constraint: holds its zeros, and has its own constraint inside, which comes back at the end.
    """

    path: str
    variable: Any
    kept: Array
    constraint: ZeroMask

    @property
    def zeros(self) -> int:
        """Number of values that are held."""
        return int(self.kept.size - np.count_nonzero(self.kept))


def hold(model: Any, variables: Mapping[str, Any], kept: Mapping[str, Array] | None = None) -> list[HeldVariable]:
    """Hold the zeros of variables at zero, whatever optimizer, momentum or weight decay do.

    A model's train step is built anew for that: constraints act where they are when it is traced.

    Args:
        model: the variables' own.
        variables: path -> Keras variable.
        kept: path -> mask of each, False where it is held at zero; by default what is zero now.

    Returns:
        the variables that have zeros, for `release`, `check` and `settle`.
    """
    held = []
    for path, variable in variables.items():
        mask = array(variable) != 0 if kept is None else kept[path]
        if not mask.all():
            variable.constraint = ZeroMask(mask, variable.constraint)
            held.append(HeldVariable(path, variable, mask, variable.constraint))
    if held:
        rebuild(model)
    return held


def release(model: Any, held: Sequence[HeldVariable]) -> None:
    """Give the variables their own constraints back."""
    for each in held:
        _take_off(each.variable, each.constraint)
    if held:
        rebuild(model)


def _take_off(variable: Any, mask: ZeroMask) -> None:
    """Take one mask off a variable, also from inside other masks that were put around it since."""
    owner, name = variable, "constraint"
    while isinstance(getattr(owner, name), ZeroMask):
        if getattr(owner, name) is mask:
            setattr(owner, name, mask.before)
            return
        owner, name = getattr(owner, name), "before"


def settle(model: Any, held: Sequence[HeldVariable]) -> None:
    """Hold the zeros in moving averages (`use_ema`) too, with which Keras replaces weights after training."""
    if not has_averages(model):
        return
    optimizer = inner(model)
    averages = dict(
        zip(map(id, optimizer._trainable_variables), optimizer._model_variables_moving_average, strict=True)
    )
    for each in held:
        for variable in (each.variable, averages.get(id(each.variable))):
            if variable is not None:
                variable.assign(with_held_zeros(variable.constraint or ZeroMask(each.kept), array(variable)))


def has_averages(model: Any) -> bool:
    """Returns whether the optimizer keeps moving averages of the weights (`use_ema`)."""
    return bool(getattr(inner(model), "use_ema", False))


def with_held_zeros(constraint: Any, new: Array) -> Array:
    """Returns new values for a variable, with zeros where its constraint holds zeros."""
    if not isinstance(constraint, ZeroMask):
        return new
    return np.where(keras.ops.convert_to_numpy(constraint.kept), new, new.dtype.type(0))


def check_zeros(held: Sequence[HeldVariable]) -> None:
    """Check that every held value is exactly zero.

    Raises:
        WtoolError: a held value is not zero.
    """
    broken = [each.path for each in held if np.any(array(each.variable)[~each.kept] != 0)]
    if broken:
        raise WtoolError(f"zeros of {a_few(broken)} did not stay zero: the optimizer ignores variable constraints")


def rebuild(model: Any) -> None:
    """Build the train step of a model anew: constraints act where they are when the step is traced."""
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)
