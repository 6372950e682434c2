"""Values that stay while a model trains, mostly zeros: a constraint on each variable, inside the compiled step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import WtoolError, a_few
from wtool.training.loading.optimizer_state import inner
from wtool.training.variables import array
from wtool.values import dataclass


class HeldValues(keras.constraints.Constraint):
    """w -> c(w where kept, else h) where kept, else h.

    h is what is held, and c is the constraint that was there before, if any.

    Args:
        kept: mask of the variable's shape, False where a value is held.
        before: the variable's own constraint.
        values: what is held there, of the variable's shape and dtype; None for zeros.
    """

    def __init__(self, kept: Any, before: Any = None, values: Array | None = None) -> None:
        self.kept = keras.ops.convert_to_tensor(np.asarray(kept, bool))
        self.before = before
        self.values = values
        self._held = None if values is None else keras.ops.convert_to_tensor(values)

    def __call__(self, value: Any) -> Any:
        """Returns the constrained value, by a selection: infinity times zero would be NaN, and -1 times zero is -0."""
        value = keras.ops.convert_to_tensor(value)  # JAX takes no variables
        kept = keras.ops.convert_to_tensor(self.kept)
        held = keras.ops.zeros_like(value) if self._held is None else self._held
        if self.before is not None:
            value = self.before(keras.ops.where(kept, value, held))
        return keras.ops.where(kept, value, held)


@dataclass(frozen=True, slots=True, eq=False)
class HeldVariable:
    """A variable of which some values are held.

    Attributes:
        path: of the variable.
        variable: Keras's.
        kept: mask of its shape, False where a value is held.
        constraint: holds the values, and has the variable's own constraint inside, which comes back at the end.
    """

    path: str
    variable: Any
    kept: Array
    constraint: HeldValues

    @property
    def count(self) -> int:
        """Number of values that are held."""
        return int(self.kept.size - np.count_nonzero(self.kept))


def hold(
    model: Any,
    variables: Mapping[str, Any],
    kept: Mapping[str, Array] | None = None,
    values: Mapping[str, Array] | None = None,
) -> list[HeldVariable]:
    """Hold values of variables, mostly zeros, whatever optimizer, momentum or weight decay do.

    A model's train step is built anew for that: constraints act where they are when it is traced.

    Args:
        model: the variables' own.
        variables: path -> Keras variable.
        kept: path -> mask of each, False where a value is held; by default what is zero now is held.
        values: path -> what is held there, of the variable's shape and dtype; zeros for those without.

    Returns:
        the variables of which values are held, for `release`, `check_held` and `settle`.
    """
    held = []
    for path, variable in variables.items():
        mask = array(variable) != 0 if kept is None else kept[path]
        if not mask.all():
            variable.constraint = HeldValues(mask, variable.constraint, (values or {}).get(path))
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


def _take_off(variable: Any, mask: HeldValues) -> None:
    """Take one mask off a variable, also from inside other masks that were put around it since."""
    owner, name = variable, "constraint"
    while isinstance(getattr(owner, name), HeldValues):
        if getattr(owner, name) is mask:
            setattr(owner, name, mask.before)
            return
        owner, name = getattr(owner, name), "before"


def settle(model: Any, held: Sequence[HeldVariable]) -> None:
    """Hold the values in moving averages (`use_ema`) too, with which Keras replaces weights after training."""
    if not has_averages(model):
        return
    optimizer = inner(model)
    averages = dict(
        zip(map(id, optimizer._trainable_variables), optimizer._model_variables_moving_average, strict=True)
    )
    for each in held:
        for variable in (each.variable, averages.get(id(each.variable))):
            if variable is not None:
                variable.assign(with_held_values(each.constraint, array(variable)))


def has_averages(model: Any) -> bool:
    """Returns whether the optimizer keeps moving averages of the weights (`use_ema`)."""
    return bool(getattr(inner(model), "use_ema", False))


def with_held_values(constraint: Any, new: Array) -> Array:
    """Returns new values for a variable, with the held ones where its constraint holds some."""
    if not isinstance(constraint, HeldValues):
        return new
    held = new.dtype.type(0) if constraint.values is None else constraint.values
    return np.where(keras.ops.convert_to_numpy(constraint.kept), new, held)


def check_held(held: Sequence[HeldVariable]) -> None:
    """Check that every held value is exactly what it was.

    Raises:
        WtoolError: a held value has changed.
    """
    broken = [each.path for each in held if _has_changed(each)]
    if broken:
        raise WtoolError(f"held values of {a_few(broken)} did not stay: the optimizer ignores variable constraints")


def _has_changed(held: HeldVariable) -> bool:
    now, values = array(held.variable), held.constraint.values
    return bool(np.any(now[~held.kept] != (0 if values is None else values[~held.kept])))


def rebuild(model: Any) -> None:
    """Build the train step of a model anew: constraints act where they are when the step is traced."""
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)
