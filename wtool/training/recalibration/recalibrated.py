"""The statistics of a live model's batch normalisation, computed from data in one pass or, exactly, level by level."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array, dtype_of, largest
from wtool.errors import Usage, WtoolError, a_few
from wtool.training.data.reading import fed
from wtool.training.fitting.loop import misfit
from wtool.training.recalibrate_options import Drift, Recalibration
from wtool.training.recalibration.finding import layers_of
from wtool.training.recalibration.observing import Calls, Observed, observing
from wtool.training.variables import array
from wtool.values import dataclass

SEED = 0
"""Of the order of samples, which is not that of the file: there, the samples of a class may follow each other."""

TOLERANCE = 1e-6
"""Relative change of statistics between two passes that rounding explains."""

FURTHER = 10
"""Most passes for layers that are called several times, behind themselves, beyond a pass for each layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """The statistics of a model that are those of data now.

    Attributes:
        values: path of each tensor that is set, as in the model's file -> its new values.
        layers: path of each layer -> how far off its statistics were.
        samples: how many samples were looked at.
        passes: how often.
        notes: what is worth knowing, one line each.
    """

    values: Mapping[str, Array]
    layers: Mapping[str, Drift]
    samples: int
    passes: int
    notes: tuple[str, ...]


def recalibrated(
    model: Any,
    variables: Mapping[str, Any],
    data: Any,
    how: Recalibration,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Sets the moving statistics of every BatchNormalization of a live model to those of the layer's inputs.

    In the first pass, a layer normalises each batch by the moments of all its inputs so far. A layer that is behind no
    other one gets the moments of all inputs exactly: mean(x) and mean((x - mean(x))^2) over samples and reduced axes.
    With `exact`, further passes normalise by the statistics that the pass before gave, which makes those of one more
    level of layers exact each time. They end when nothing changes that another layer depends on.

    Dropout is off, and nothing else of the model changes.

    Args:
        model: the model; it need not be compiled.
        variables: path of each tensor of the model's file -> the model's variable: `Loaded.variables`.
        data: a result of `reading.read_data`; targets and sample weights in it are not looked at.
        how: see `Recalibration`.
        progress: called with batches done and, roughly, in all.

    Raises:
        WtoolError: the model does not run with this data, or inputs of a layer are NaN or infinite.
        Usage: the data never ends, and `how` does not say how many batches are meant.
    """
    return _Recalibrating(model, variables, data, how, progress).run()


class _Recalibrating:
    def __init__(
        self,
        model: Any,
        variables: Mapping[str, Any],
        data: Any,
        how: Recalibration,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.model, self.data, self.how, self.progress = model, data, how, progress
        self.paths: dict[int, list[str]] = {}
        for path, variable in variables.items():
            self.paths.setdefault(id(variable), []).append(path)
        trained, frozen = layers_of(model)
        self.notes: list[str] = []
        if how.frozen:
            trained += frozen
        elif frozen:
            names = a_few([self._name(layer) for layer in frozen])
            self.notes.append(f"the statistics of {names} are kept: frozen, or run in inference mode in training")
        self.observed = [Observed(layer) for layer in trained]
        self.samples = self.passes = self.done = 0

    def run(self) -> Statistics:
        """Returns the statistics, after setting them."""
        with observing(self.observed) as calls, _eagerly():
            if self.observed:
                count = self._pass(calls, follows=True)
                if self.how.exact:
                    self._further_passes(calls, repeats=count > len(self.observed))
        seen = [each for each in self.observed if each.moments.count.any()]
        idle = [self._name(each.layer) for each in self.observed if each not in seen]
        if idle:
            self.notes.append(f"the statistics of {a_few(idle)} are kept: no value of the data comes there")
        same = [self._name(each.layer) for each in seen if not each.statistics[1].any()]
        if same:
            words = "all values of a channel are the same with this data, so that variances are 0"
            self.notes.append(f"{a_few(same)}: {words}; is the data what the model was trained on?")
        return Statistics(
            values={path: array(each) for observed in seen for each, path in self._tensors(observed)},
            layers={self._name(observed.layer): _drift(observed) for observed in seen},
            samples=self.samples,
            passes=self.passes,
            notes=tuple(self.notes),
        )

    def _pass(self, calls: Calls, follows: bool) -> int:
        """Run the model on all data; returns how many calls of layers the last batch took."""
        for each in self.observed:
            each.begin(follows)
        self.samples = 0
        for x in _inputs(self.data, self.how):
            calls.number = 0
            self._call(x)
            self.samples += _length(x)
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self._expected())
        self.passes += 1
        if not self.samples:
            raise WtoolError("the data has no samples")
        for each in self.observed:
            self._refuse_nonfinite(each)
        return calls.number

    def _further_passes(self, calls: Calls, repeats: bool) -> None:
        """Go over the data until the statistics that others depend on stay as they are.

        Each pass makes one more level exact, and there are no more levels than layers. Only layers that are called
        several times may be behind themselves (`repeats`), and come nearer to their own fixed point in every pass.
        """
        changed: list[Observed] = []
        for _ in range(1, len(self.observed) + (FURTHER if repeats else 0)):
            count = self._pass(calls, follows=False)
            changed = [each for each in self.observed if _has_changed(each)]
            for each in self.observed:
                each.store()
            if all(each.first_call == count - 1 for each in changed):
                return
        if repeats:
            names = a_few([self._name(each.layer) for each in changed])
            words = f"statistics still changed in pass {self.passes}, since a layer is called behind itself"
            self.notes.append(f"{names}: {words}")

    def _call(self, x: Any) -> None:
        try:
            self.model(x, training=False)
        except (WtoolError, MemoryError):
            raise
        except Exception as error:  # Keras raises what it likes where data does not fit a model
            raise misfit(error, "run") from error

    def _tensors(self, observed: Observed) -> Iterator[tuple[Any, str]]:
        """Yields (variable, path in the file) of each tensor that is set."""
        for variable in observed.variables:
            if id(variable) not in self.paths:
                raise WtoolError(f"no tensor of the file is the {variable.name} of {self._name(observed.layer)}")
            for path in self.paths[id(variable)]:
                yield variable, path

    def _name(self, layer: Any) -> str:
        (path, *_) = self.paths.get(id(layer.moving_mean), [f"{layer.path}/moving_mean"])
        return path.rpartition("/")[0]

    def _refuse_nonfinite(self, observed: Observed) -> None:
        """Refuse statistics that are no numbers, or none that the layer's variables can hold."""
        if not all(np.isfinite(each).all() for each in observed.statistics):
            raise WtoolError(f"inputs of {self._name(observed.layer)} are NaN or infinite with this data")
        for variable, value in zip(observed.variables, observed.statistics, strict=False):
            if (np.abs(value) > largest(dtype_of(variable.dtype))).any():
                name = f"{self._name(observed.layer)}/{variable.name}"
                raise WtoolError(f"{name} of this data is too large for {variable.dtype}")

    def _expected(self) -> int:
        """Returns how many batches there will be in all, as far as that can be told."""
        passes = len(self.observed) if self.how.exact else 1
        batches = getattr(self.data, "size", 0) // self.how.batch_size + 1
        return max(passes * min(batches, self.how.batches or batches), self.done + 1)


@contextmanager
def _eagerly() -> Iterator[None]:
    """Run functions that TensorFlow compiled as Python, so that the inputs of layers in them are numbers."""
    if keras.config.backend() != "tensorflow":
        yield
        return
    import tensorflow

    before = tensorflow.config.functions_run_eagerly()
    tensorflow.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tensorflow.config.run_functions_eagerly(before)


def _inputs(data: Any, how: Recalibration) -> Iterator[Any]:
    """Yields the inputs of each batch of one pass over the data."""
    batches = fed(data, how.batch_size, SEED)
    if isinstance(batches, keras.utils.PyDataset):
        batches = _by_number(batches, how)
    most = None if how.batches is None else min(how.batches, sys.maxsize)
    for batch in islice(batches, most):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        yield keras.tree.map_structure(_own, x)


def _by_number(batches: Any, how: Recalibration) -> Iterator[Any]:
    count: int | None = batches.num_batches
    if count is None:
        count = how.batches
    if count is None:
        raise Usage("a dataset that never ends has no statistics; --batches N takes the first N batches")
    return (batches[number] for number in range(count))


def _own(leaf: Any) -> Any:
    """Returns an array of another library than Keras's backend as one of NumPy, and any other value unchanged."""
    if isinstance(leaf, np.ndarray) or keras.ops.is_tensor(leaf) or not callable(getattr(leaf, "numpy", None)):
        return leaf
    return leaf.numpy()


def _length(x: Any) -> int:
    """Returns the number of samples in a batch."""
    return int(keras.tree.flatten(x)[0].shape[0])


def _has_changed(observed: Observed) -> bool:
    """Returns whether the moments of this pass differ from the statistics by which the pass normalised."""
    (mean, variance), (old_mean, old_variance) = observed.statistics, observed.stored()
    wide = variance + observed.layer.epsilon
    moved = np.abs(mean - old_mean) > TOLERANCE * (np.abs(mean) + np.sqrt(wide))
    return bool((moved | (np.abs(variance - old_variance) > TOLERANCE * wide)).any())


def _drift(observed: Observed) -> Drift:
    """Returns how far off the statistics were before."""
    (mean, variance), (old_mean, old_variance) = observed.statistics, observed.before
    epsilon = observed.layer.epsilon
    with np.errstate(all="ignore"):
        far = float(np.sqrt(np.mean((old_mean - mean) ** 2 / (variance + epsilon))))
        ratio = float(np.exp(np.mean(np.log((variance + epsilon) / (old_variance + epsilon)))))
    return Drift(far if np.isfinite(far) else None, ratio if np.isfinite(ratio) else None)
