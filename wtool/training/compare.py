"""Comparison of what two saved models compute, on the same random input."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.layouts.tensorflow import FORMATS
from wtool.checkpoint.model import Checkpoint
from wtool.dtypes import Array
from wtool.errors import WtoolError, in_short
from wtool.training.loading.load import private, refuse_unsafe, way_out
from wtool.training.loading.old_names import older_objects

EXAMPLES = 4
WORDS = ("", "a", "the", "red", "blue cat", "the cat and a dog")
"""Texts that are drawn for inputs that are texts."""

SIZES = {2: 8, 3: 16, 4: 64, 5: 24}
"""Rank of an input -> sizes that are taken for dimensions which the model leaves open."""


def largest_difference(first: Checkpoint, second: Checkpoint, seed: int = 0) -> tuple[float, float]:
    """Returns the largest absolute difference between the outputs of two models, and the first's largest output.

    Floating inputs are drawn from a standard normal distribution; whole numbers are 0 or 1, and texts some words.

    Args:
        first, second: whole models, open: the files that were opened are compared, whatever their names lead to now.
        seed: of the inputs.

    Raises:
        WtoolError: loading would do more than build layers, or Keras cannot load or run a model.
    """
    names = [os.path.basename(each.name) for each in (first, second)]
    models = [_loaded(each) for each in (first, second)]
    inputs = _inputs(models[0], seed)
    return _difference(*(_outputs(model, inputs, name) for model, name in zip(models, names, strict=True)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What running a converted model, and the model that it was made of, came to.

    Attributes:
        by: the package that ran the old model: `tf_keras` or `keras`; None where nobody ran it.
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

    Args:
        old, new: whole models, open; see `largest_difference`.
        is_keras2: whether Keras 2 saved the old model. Then `tf_keras` runs it, where that is installed.
        seed: of the inputs.

    Raises:
        WtoolError: the new model does not run.
    """
    name = os.path.basename(new.name)
    model = _loaded(new)
    inputs = _inputs(model, seed)
    outputs = _outputs(model, inputs, name)
    largest = _largest(outputs)
    if old.format in FORMATS:
        return Comparison(None, None, largest, "TensorFlow saved it, with a graph that may hold any operation")
    by = "tf_keras" if is_keras2 else "keras"
    if is_keras2 and find_spec("tf_keras") is None:
        return Comparison(None, None, largest, "tf_keras is not installed")
    try:
        before = _outputs_of_keras2(old, inputs) if is_keras2 else _outputs(_loaded(old), inputs, old.name)
    except WtoolError as error:
        return Comparison(None, None, largest, error.message)
    return Comparison(by, _difference(before, outputs)[0], largest)


def _outputs_of_keras2(seen: Checkpoint, inputs: list[Array]) -> list[Array]:
    """Returns what `tf_keras` computes with a model of Keras 2."""
    import tensorflow as tf
    import tf_keras

    with private(seen) as (path, checkpoint):
        refuse_unsafe(checkpoint, verifies=True)
        try:
            model = tf_keras.models.load_model(path, compile=False)
            form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)
            found = model(tf.nest.pack_sequence_as(form, inputs), training=False)
        except Exception as error:  # whatever a file makes Keras raise
            raise WtoolError(f"tf_keras does not run the old model ({in_short(error)})") from error
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
    differences = [np.abs(left - right).max(initial=0) for left, right in zip(one, other, strict=True)]
    return float(np.max(differences)), _largest(one)


def _shapes(outputs: list[Array]) -> str:
    return ", ".join("x".join(map(str, each.shape)) for each in outputs)


def _largest(outputs: list[Array]) -> float:
    return float(np.max([np.abs(each).max(initial=0) for each in outputs]))


def _loaded(seen: Checkpoint) -> Any:
    with private(seen) as (path, checkpoint):
        refuse_unsafe(checkpoint, verifies=True)
        try:
            with older_objects(checkpoint) as known:
                return keras.models.load_model(path, custom_objects=known, compile=False)
        except Exception as error:  # whatever a file makes Keras raise
            name = os.path.basename(seen.name)
            raise WtoolError(f"Keras does not load {name} ({in_short(error)}){way_out(seen)}") from error


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
        form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)  # Sequential has none
        found = model(keras.tree.pack_sequence_as(form, inputs), training=False)
    except Exception as error:  # whatever a model does with random input
        raise WtoolError(f"Keras does not run {name} ({in_short(error)})") from error
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]
