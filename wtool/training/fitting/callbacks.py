"""Callbacks for `model.fit`: the transforms of files at the end of every epoch, zeros that stay, and an average.

`Stroke`, `Pruning` and `NeuroPlast` take what KeraStroke 2.1.1's callbacks of these names take, for whole models.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.lineage import Record
from wtool.dtypes import is_floating
from wtool.errors import Usage
from wtool.io.addresses import text_of
from wtool.run.batch import fresh_seed
from wtool.training.fitting import holding
from wtool.training.saving.save import check_target, save
from wtool.training.variables import array, chosen, values
from wtool.transforms.averaging import COEFFICIENTS, average
from wtool.transforms.change import Transform, on_arrays
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import NeuroPlast as _NeuroPlast
from wtool.transforms.stroking import Stroke as _Stroke
from wtool.transforms.stroking import is_over

__all__ = ["AverageCheckpoints", "HoldZeros", "NeuroPlast", "Pruning", "Stroke"]

Paths = Sequence[str]


class _AtEpochEnd(keras.callbacks.Callback):
    """Applies a transform to the model's weights at the end of every epoch.

    Attributes:
        epochs_completed: how often it was done, or would have been but for `cutoff`.
        seed: of the first time; the k-th time has seed + k - 1.
    """

    def __init__(
        self,
        transform: Transform,
        cutoff: int | None,
        do_weights: bool,
        do_biases: bool,
        include: Paths,
        exclude: Paths,
        seed: int | None,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.cutoff = cutoff
        self.do_weights = do_weights
        self.do_biases = do_biases
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self.seed = fresh_seed() if seed is None else seed
        self.epochs_completed = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Change the weights; zeros that are held stay zero."""
        earlier = self.epochs_completed
        self.epochs_completed += 1
        if is_over(self.cutoff, earlier):
            return
        variables = chosen(self.model, self.include, self.exclude, self.do_weights, self.do_biases)
        old = values(variables)
        for path, new in on_arrays(self.transform, old, seed=self.seed + earlier, earlier=earlier).items():
            variables[path].assign(holding.with_held_values(variables[path].constraint, new))


class Stroke(_AtEpochEnd):
    """Give a random share of the weights new values at the end of every epoch; see `transforms.stroking.Stroke`.

    In epoch k exactly round(R*n) of each tensor's n values, R = volatility_ratio * decay**(k-1), become uniform in
    [low_bound, high_bound], or `set_value`. The optimizer's state stays.

    Args:
        set_value: the new value, instead of random ones.
        low_bound, high_bound: of the new values.
        volatility_ratio: the share of each tensor, 0 to 1.
        cutoff: number of epochs after which nothing happens any more; -1 for no end.
        decay: factor of the share from one epoch to the next; the share never exceeds 1.
        do_weights, do_biases: kernels of every kind; biases.
        include, exclude: only tensors with paths like these (`dense*/kernel`), and none like those.
        seed: epoch k draws what `wtool stroke --seed` draws with seed + k - 1; a fresh one by default.

    Raises:
        Usage: numbers out of range; in training, a pattern that matches nothing.

    Source: KeraStroke 2.1.1.
    """

    def __init__(
        self,
        set_value: float | None = None,
        low_bound: float = -0.05,
        high_bound: float = 0.05,
        volatility_ratio: float = 0.05,
        cutoff: int | None = -1,
        decay: float | None = None,
        do_weights: bool = True,
        do_biases: bool = False,
        include: Paths = (),
        exclude: Paths = (),
        seed: int | None = None,
    ) -> None:
        transform = _Stroke(volatility_ratio, low_bound, high_bound, set_value, decay)
        super().__init__(transform, cutoff, do_weights, do_biases, include, exclude, seed)


class Pruning(_AtEpochEnd):
    """Set weights in a range to one value at the end of every epoch; see `transforms.pruning.Prune`.

    All w with min_value <= w <= max_value, compared in the tensor's own dtype. They regrow in the next epoch, as in
    KeraStroke: `HoldZeros` is what holds zeros.

    Args:
        set_value: what they become.
        min_value, max_value: both ends are included.
        cutoff: number of epochs after which nothing happens any more; -1 for no end.
        do_weights, do_biases: kernels of every kind; biases.
        include, exclude: only tensors with paths like these (`dense*/kernel`), and none like those.
        seed: plays no part; here because the others have it.

    Raises:
        Usage: an empty range; in training, a pattern that matches nothing.

    Source: KeraStroke 2.1.1.
    """

    def __init__(
        self,
        set_value: float = 0.0,
        min_value: float = -0.2,
        max_value: float = 0.2,
        cutoff: int | None = -1,
        do_weights: bool = True,
        do_biases: bool = False,
        include: Paths = (),
        exclude: Paths = (),
        seed: int | None = None,
    ) -> None:
        transform = Prune(min_value, max_value, set_value)
        super().__init__(transform, cutoff, do_weights, do_biases, include, exclude, seed)


class NeuroPlast(_AtEpochEnd):
    """Give weights near zero new values at the end of every epoch; see `transforms.stroking.NeuroPlast`.

    All w with min_value <= w <= max_value, compared in the tensor's own dtype, become uniform in [low_bound,
    high_bound], or `set_value`.

    Args:
        set_value: the new value, instead of random ones.
        min_value, max_value: both ends are included.
        low_bound, high_bound: of the new values.
        cutoff: number of epochs after which nothing happens any more; -1 for no end.
        do_weights, do_biases: kernels of every kind; biases.
        include, exclude: only tensors with paths like these (`dense*/kernel`), and none like those.
        seed: epoch k draws what `wtool neuroplast --seed` draws with seed + k - 1; a fresh one by default.

    Raises:
        Usage: numbers out of range; in training, a pattern that matches nothing.

    Source: KeraStroke 2.1.1.
    """

    def __init__(
        self,
        set_value: float | None = None,
        min_value: float = -0.01,
        max_value: float = 0.01,
        low_bound: float = -0.05,
        high_bound: float = 0.05,
        cutoff: int | None = -1,
        do_weights: bool = True,
        do_biases: bool = False,
        include: Paths = (),
        exclude: Paths = (),
        seed: int | None = None,
    ) -> None:
        transform = _NeuroPlast(min_value, max_value, low_bound, high_bound, set_value)
        super().__init__(transform, cutoff, do_weights, do_biases, include, exclude, seed)


class HoldZeros(keras.callbacks.Callback):
    """Keep zeros exactly zero that are there when training begins, inside the compiled train step.

    `training.fitting.holding` has the constraint that holds them.

    Args:
        do_weights, do_biases: zeros of kernels of every kind; of biases.
        include, exclude: only tensors with paths like these (`dense*/kernel`), and none like those.

    Raises:
        Usage: in training, a pattern that matches nothing.
        WtoolError: at the end of training, a zero did not stay one.
    """

    def __init__(
        self, do_weights: bool = True, do_biases: bool = False, include: Paths = (), exclude: Paths = ()
    ) -> None:
        super().__init__()
        self.do_weights = do_weights
        self.do_biases = do_biases
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        self.held: list[holding.HeldVariable] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find the zeros and hold them."""
        variables = chosen(self.model, self.include, self.exclude, self.do_weights, self.do_biases)
        self.held = holding.hold(self.model, variables)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the held values are zero, and release them."""
        holding.settle(self.model, self.held)
        try:
            holding.check_held(self.held)
        finally:
            holding.release(self.model, self.held)


class AverageCheckpoints(keras.callbacks.Callback):
    """Write an average of the last epochs' weights as a model when training ends; the live model keeps its weights.

    Exactly what `wtool average` makes of checkpoints of these epochs: floating variables in float64, rounded once, all
    others the newest's, and an optimizer that starts anew. The last epochs' weights are held in memory.

    Args:
        path: of the new model, `.keras` or `.h5`.
        last: how many epochs; fewer if training is shorter.
        linear: the k-th newest of n counts n-k+1; without this, `decay` and `alpha`, all count the same.
        decay: each counts decay**age, the newest having age 0.
        alpha: the i-th newest counts e**(-i/alpha).
        force: whether an existing file may be replaced.

    Raises:
        Usage: numbers out of range, or more than one kind of coefficients.
        WtoolError: the file exists, or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        last: int = 10,
        linear: bool = False,
        decay: float | None = None,
        alpha: float | None = None,
        force: bool = False,
    ) -> None:
        super().__init__()
        given = {"linear": linear or None, "exp": decay, "alpha": alpha}
        kinds = {name: value for name, value in given.items() if value is not None}
        if last < 1:
            raise Usage(f"an average of the last {last} epochs is none")
        if len(kinds) > 1:
            raise Usage("linear, decay and alpha contradict each other; choose one")
        self.path = text_of(path)
        self.force = force
        self.kind, value = next(iter(kinds.items()), ("equal", None))
        self._arguments = () if self.kind in ("equal", "linear") else (value,)
        COEFFICIENTS[self.kind](last, *self._arguments)  # says now what is wrong with them
        self._epochs: deque[list[np.ndarray[Any, Any]]] = deque(maxlen=last)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check that the file can be written, before any work is done for it."""
        if extension(self.path) not in (".keras", ".h5"):
            raise Usage("an average is a whole model; its name has to end in .keras or .h5", self.path)
        check_target(self.path, self.force)
        self._epochs.clear()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch's weights."""
        self._epochs.append([array(variable) for variable in self._floating()])

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write the average. The live model has the averaged weights only while it is being saved."""
        if not self._epochs:
            return
        weights = COEFFICIENTS[self.kind](len(self._epochs), *self._arguments)
        variables = self._floating()
        own = [array(variable) for variable in variables]
        record = Record("average", self._parameters())
        try:
            for variable, *epochs in zip(variables, *self._epochs, strict=True):
                new = average([each.reshape(-1) for each in epochs], weights)
                variable.assign(new.reshape(variable.shape))
            save(self.model, self.path, [record], force=self.force, fresh_optimizer=True)
        finally:
            for variable, value in zip(variables, own, strict=True):
                variable.assign(value)

    def _parameters(self) -> dict[str, Any]:
        told = dict.fromkeys((self.kind,), self._arguments[0]) if self._arguments else {}
        return {"coefficients": self.kind, **told, "epochs": len(self._epochs)}

    def _floating(self) -> list[Any]:
        return [variable for variable in self.model.weights if is_floating(variable.dtype)]
