"""Comparison of what two saved models compute, on the same random input."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.layouts.tensorflow import FORMATS
from wtool.checkpoint.model import Checkpoint
from wtool.dtypes import Array
from wtool.errors import WtoolError, in_short
from wtool.training.example import stored_example
from wtool.training.loading.load import private, refuse_unsafe, way_out
from wtool.training.loading.old_names import older_objects
from wtool.training.speed import packed, seconds_of
from wtool.values import dataclass

EXAMPLES = 4
BATCH = 8  # examples that both models are timed with
WORDS = ("", "a", "the", "red", "blue cat", "the cat and a dog")
"""Texts that are drawn for inputs that are texts."""

EXAMPLE = "example"
"""Stands for the package that ran the old model, where an example beside the model tells its outputs."""

SIZES = {2: 8, 3: 16, 4: 64, 5: 24}
"""Rank of an input -> sizes that are taken for dimensions which the model leaves open."""


class Unusable(WtoolError):
    """A model that Keras does not load, or does not run on random input."""


def largest_difference(first: Checkpoint, second: Checkpoint, seed: int = 0) -> tuple[float, float]:
    """Returns the largest absolute difference between the outputs of two models, and the first's largest output.

    Floating inputs are drawn from a standard normal distribution; whole numbers are 0 or 1, and texts some words.

    Args:
        first, second: whole models, open: the files that were opened are compared, whatever their names lead to now.
        seed: of the inputs.

    Raises:
        Unusable: Keras does not load the second model, or does not run it.
        WtoolError: loading would do more than build layers, or Keras does not load or run the first model.
    """
    _, _, _, difference, largest = _run_both(first, second, seed)
    return difference, largest


@dataclass(frozen=True, slots=True)
class DifferenceAndSpeed:
    """What running two models on the same random input came to.

    Attributes:
        difference: largest absolute difference between their outputs.
        largest: largest output of the first model.
        seconds: that each of them takes for a batch of `BATCH` examples.
    """

    difference: float
    largest: float
    seconds: tuple[float, float]


def difference_and_speed(first: Checkpoint, second: Checkpoint, seed: int = 0) -> DifferenceAndSpeed:
    """Returns how the outputs of two models differ, and how long each of them takes.

    Args:
        first, second, seed: see `largest_difference`.

    Raises:
        Unusable, WtoolError: see `largest_difference`.
    """
    model, other, inputs, difference, largest = _run_both(first, second, seed)
    batch = [np.repeat(each, BATCH // EXAMPLES, axis=0) for each in inputs]
    try:
        before, after = seconds_of([model, other], batch)
    except Exception as error:  # whatever compiling a model makes Keras raise
        raise WtoolError(f"Keras does not predict with both models ({in_short(error)})") from error
    return DifferenceAndSpeed(difference, largest, (before, after))


def _run_both(first: Checkpoint, second: Checkpoint, seed: int) -> tuple[Any, Any, list[Array], float, float]:
    """Returns two models, the input that both ran on, the largest difference and the largest output of the first."""
    try:
        model = _loaded(first)
        inputs = _inputs(model, seed)
        outputs = _outputs(model, inputs, os.path.basename(first.name))
    except Unusable as error:
        raise WtoolError(error.message) from None
    other = _loaded(second)
    return model, other, inputs, *_difference(outputs, _outputs(other, inputs, os.path.basename(second.name)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What running a converted model, and the model that it was made of, came to.

    Attributes:
        by: the package that ran the old model, `tf_keras` or `keras`; `EXAMPLE`; None where nothing tells its outputs.
        difference: largest absolute difference between the outputs; None where nobody ran the old model.
        largest: largest output of the new model.
        why: why nobody ran the old model.
    """

    by: str | None
    difference: float | None
    largest: float
    why: str = ""


def compared(old: Checkpoint, new: Checkpoint, is_keras2: bool, seed: int = 0) -> Comparison:
    """Returns how the outputs of a converted model differ from those of the model that it was made of.

    Where nobody runs the old model, an example that is stored beside it tells its outputs.

    Args:
        old, new: whole models, open; see `largest_difference`.
        is_keras2: whether Keras 2 saved the old model. Then `tf_keras` runs it, where that is installed.
        seed: of the inputs.

    Raises:
        Unusable: Keras does not load the new model, or does not run it.
        WtoolError: loading the new model would do more than build layers, or neither model runs on random input.
    """
    model = _loaded(new)
    inputs = _inputs(model, seed)
    before, why = _outputs_before(old, inputs, is_keras2)
    try:
        outputs = _outputs(model, inputs, os.path.basename(new.name))
    except Unusable as error:
        if isinstance(why, Unusable):
            raise WtoolError(f"{error.message}, and {why.message}") from None
        raise
    example = stored_example(old.name) if before is None else None
    if example is not None:
        inputs, stored = example
        difference, largest = _difference(stored, _outputs(model, inputs, os.path.basename(new.name)))
        return Comparison(EXAMPLE, difference, largest)
    if before is None:
        return Comparison(None, None, _largest(outputs), why.message if why else "")
    return Comparison("tf_keras" if is_keras2 else "keras", _difference(before, outputs)[0], _largest(outputs))


def _outputs_before(
    old: Checkpoint, inputs: list[Array], is_keras2: bool
) -> tuple[list[Array], None] | tuple[None, WtoolError]:
    """Returns what the old model computes; or None, and why nobody ran the old model.

    The reason is an `Unusable` where a Keras loaded the old model, but did not run it on these inputs.
    """
    if old.format in FORMATS:
        return None, WtoolError("TensorFlow saved it, with a graph that may hold any operation")
    if is_keras2 and find_spec("tf_keras") is None:
        return None, WtoolError("tf_keras is not installed")
    try:
        if is_keras2:
            return _outputs_of_keras2(old, inputs), None
        try:
            model = _loaded(old)
        except Unusable as error:
            return None, WtoolError(error.message)
        return _outputs(model, inputs, os.path.basename(old.name)), None
    except WtoolError as error:
        return None, error


def _outputs_of_keras2(seen: Checkpoint, inputs: list[Array]) -> list[Array]:
    """Returns what `tf_keras` computes with a model of Keras 2."""
    import tensorflow as tf
    import tf_keras

    with private(seen) as (path, checkpoint):
        refuse_unsafe(checkpoint, by="--verify")
        try:
            model = tf_keras.models.load_model(path, compile=False)
        except Exception as error:  # whatever a file makes Keras raise
            raise WtoolError(f"tf_keras does not load the old model ({in_short(error)})") from error
        try:
            form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)
            found = model(tf.nest.pack_sequence_as(form, inputs), training=False)
        except Exception as error:  # whatever a model does with random input
            raise Unusable(f"tf_keras does not run the old model ({in_short(error)})") from error
        return [np.asarray(each).astype(np.float64) for each in tf.nest.flatten(found)]


def _inputs(model: Any, seed: int) -> list[Array]:
    generator = np.random.default_rng(seed)
    return [_drawn(generator, each) for each in model.inputs]


def _difference(one: list[Array], other: list[Array]) -> tuple[float, float]:
    """Returns the largest difference between outputs, and the largest of the first outputs.

    Raises:
        WtoolError: the outputs are of other shapes.
    """
    if [each.shape for each in one] != [each.shape for each in other]:
        raise WtoolError(f"outputs have the shapes {_shapes(one)} and {_shapes(other)}: please report it")
    differences = [_farthest(left, right) for left, right in zip(one, other, strict=True)]
    return float(np.max(differences)), _largest(one)


def _farthest(one: Array, other: Array) -> Any:
    """Returns the largest difference between two outputs; infinite values and NaN differ only from other values."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(one - other)
    return np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0, difference).max(initial=0)


def _shapes(outputs: list[Array]) -> str:
    return ", ".join("x".join(map(str, each.shape)) for each in outputs)


def _largest(outputs: list[Array]) -> float:
    return float(np.max([np.abs(each).max(initial=0) for each in outputs]))


def _loaded(seen: Checkpoint) -> Any:
    with private(seen) as (path, checkpoint):
        refuse_unsafe(checkpoint, by="--verify")
        try:
            with older_objects(checkpoint) as known:
                return keras.models.load_model(path, custom_objects=known, compile=False)
        except Exception as error:  # whatever a file makes Keras raise
            name = os.path.basename(seen.name)
            raise Unusable(f"Keras does not load {name} ({in_short(error)}){way_out(seen)}") from error


def _drawn(generator: np.random.Generator, tensor: Any) -> Array:
    shape = [EXAMPLES, *(size or SIZES.get(len(tensor.shape), 8) for size in tensor.shape[1:])]
    dtype = str(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype == "string":
        return generator.choice(np.array(WORDS, object), shape)
    return generator.standard_normal(shape).astype("float32")


def _outputs(model: Any, inputs: list[Array], name: str) -> list[Array]:
    try:
        found = model(packed(model, inputs), training=False)
    except Exception as error:  # whatever a model does with random input
        raise Unusable(f"Keras does not run {name} ({in_short(error)})") from error
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]
