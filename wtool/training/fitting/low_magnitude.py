"""The callback that prunes while a model trains, by a schedule, and holds its masks inside the compiled train step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import Usage
from wtool.training.fitting import holding
from wtool.training.fitting.holding import HeldValues, HeldVariable
from wtool.training.loading.optimizer_state import inner
from wtool.training.variables import array, chosen
from wtool.transforms.change import on_arrays
from wtool.transforms.gradual import PruningSchedule
from wtool.transforms.pruning import Prune

NEVER = -1
"""A step that no optimizer does."""


class ChangingMask(HeldValues):
    """A mask that holds zeros, and can be changed; after one step it holds nothing, so that weights may come back.

    Args:
        kept: mask of the variable's shape, False where it is held at zero.
        before: the variable's own constraint.
        iterations: the optimizer's count of the steps before the current one.
        open_step: variable with the count of the step after which nothing is held.
    """

    def __init__(self, kept: Array, before: Any, iterations: Any, open_step: Any) -> None:
        super().__init__(kept, before)
        self.kept = keras.Variable(kept, trainable=False, dtype="bool", name="kept")
        self.iterations = iterations
        self.open_step = open_step

    def __call__(self, value: Any) -> Any:
        """Returns the value with its zeros, or after the open step as the optimizer and its own constraint made it."""
        value, step, last = map(keras.ops.convert_to_tensor, (value, self.iterations, self.open_step))
        free = value if self.before is None else self.before(value)
        return keras.ops.where(keras.ops.equal(step, last), free, super().__call__(value))


class PruneLowMagnitude(keras.callbacks.Callback):
    """Prune while the model trains: the weights of the lowest magnitude are zero, as many as a schedule says.

    Masks change at the update steps of the schedule: of each tensor's n weights the round(S*n) of the lowest magnitude
    become zero, ties by position. Until the next update they are zero after every step; a constraint on the variable
    does that inside the compiled train step. Gradients are not masked: the one step before an update changes all
    weights, and a weight that was zero comes back if this step brings it above others.

    Steps are counted by the optimizer, so that the schedule goes on where a saved model is trained further. There are
    no wrappers around layers, and models that are saved meanwhile are plain models with zeros.

    This is tfmot's wrapper of the same name as a callback, with these differences. The update for step t is done at the
    end of the step before, so that a model that is saved there has the sparsity of step t, and the update behind the
    very last step is done as well. Equal magnitudes are pruned by position; tfmot keeps all that equal the threshold.
    A weight may come back at the first step of an epoch, too. With `steps_per_execution`, masks change behind the
    execution in which an update is due.

    Args:
        pruning_schedule: `PolynomialDecay` or `ConstantSparsity`, or what has their methods.
        include, exclude: only tensors with paths like these (`dense*/kernel`), and none like those; all kernels
            by default, as for `wtool prune`.

    Raises:
        Usage: in training, a pattern that matches nothing, or a model without weights to prune.
        WtoolError: at the end of training, a zero did not stay one.

    Example:
        >>> schedule = PolynomialDecay(0.5, 0.9, begin_step=0, end_step=1000)  # doctest: +SKIP
        >>> model.fit(x, y, callbacks=[PruneLowMagnitude(schedule)])  # doctest: +SKIP
    """

    def __init__(
        self, pruning_schedule: PruningSchedule, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.pruning_schedule = pruning_schedule
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self._variables: dict[str, Any] = {}
        self._masks: dict[str, ChangingMask] = {}
        self._open_step: Any = None
        self._opens = NEVER
        self._done = NEVER

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Hold the zeros of an earlier training, and prune if an update is due at once."""
        self._variables = chosen(self.model, self.include, self.exclude, weights=True, biases=False)
        if not self._variables:
            raise Usage("the model has no kernels to prune")
        step = self._step()
        last = self.pruning_schedule.last_update(step)
        self._opens = self._done = NEVER
        iterations = inner(self.model).iterations
        self._open_step = keras.Variable(NEVER, trainable=False, dtype=iterations.dtype, name="open_step")
        self._masks = {}
        for path, variable in self._variables.items():
            kept = np.ones(variable.shape, bool)
            if last is not None:
                kept = kept_beside(array(variable), self._count(variable, last))
            mask = ChangingMask(kept, variable.constraint, iterations, self._open_step)
            variable.constraint = self._masks[path] = mask
        if last == step:
            self._update(step)
        self._done = step
        holding.rebuild(self.model)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Say after which step weights may come back: the last one before an update."""
        step = self._step()
        update = self.pruning_schedule.next_update(self._done)
        opens = NEVER
        if update is not None:
            steps = (self.params or {}).get("steps")
            count = self.model.steps_per_execution
            count = count if steps is None else min(count, max(1, steps - batch))
            opens = max(update, step + count) - 1
        if opens != self._opens:
            self._opens = opens
            self._open_step.assign(opens)
            self._trace_constants()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Change the masks if an update is due before the next step."""
        step = self._step()
        last = self.pruning_schedule.last_update(step)
        if last is not None and last > self._done:
            self._update(last)
            self._trace_constants()
        self._done = max(self._done, step)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check that what is pruned is zero, and give the variables their own constraints back."""
        held = [
            HeldVariable(path, variable, keras.ops.convert_to_numpy(mask.kept), mask)
            for path, (variable, mask) in self._held().items()
        ]
        holding.settle(self.model, held)
        try:
            holding.check_held(held)
        finally:
            holding.release(self.model, held)

    def _held(self) -> dict[str, tuple[Any, ChangingMask]]:
        return {path: (variable, self._masks[path]) for path, variable in self._variables.items()}

    def _step(self) -> int:
        return int(keras.ops.convert_to_numpy(inner(self.model).iterations))

    def _count(self, variable: Any, step: int) -> int:
        return round(self.pruning_schedule.sparsity(step) * int(np.prod(variable.shape)))

    def _update(self, step: int) -> None:
        """Prune the variables to the sparsity of a step."""
        old = {path: array(variable) for path, variable in self._variables.items()}
        new = on_arrays(Prune(sparsity=self.pruning_schedule.sparsity(step)), old)
        for path, (variable, mask) in self._held().items():
            mask.kept.assign(kept_beside(new[path], self._count(variable, step)))
            variable.assign(new[path])

    def _trace_constants(self) -> None:
        """Under JAX, what a constraint knows is a constant of the compiled step, which is compiled anew."""
        if keras.backend.backend() == "jax":
            holding.rebuild(self.model)


def kept_beside(values: Array, zeros: int) -> Array:
    """Returns the mask of what is kept beside the first zeros of an array, so many of them at most."""
    kept = np.ones(values.size, bool)
    kept[np.flatnonzero(values.reshape(-1) == 0)[:zeros]] = False
    return kept.reshape(values.shape)
