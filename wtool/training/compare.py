"""Comparison of what two saved models compute, on the same random input."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from wtool.checkpoint.model import Checkpoint
from wtool.dtypes import Array
from wtool.errors import WtoolError, in_short
from wtool.training.loading.load import private, refuse_unsafe
from wtool.training.loading.old_names import older_objects

EXAMPLES = 4
SIZES = {2: 8, 3: 16, 4: 64, 5: 24}
"""Rank of an input -> sizes that are taken for dimensions which the model leaves open."""


def largest_difference(first: Checkpoint, second: Checkpoint, seed: int = 0) -> tuple[float, float]:
    """Returns the largest absolute difference between the outputs of two models, and the first's largest output.

    Floating inputs are drawn from a standard normal distribution; whole numbers are 0 or 1.

    Args:
        first, second: whole models, open: the files that were opened are compared, whatever their names lead to now.
        seed: of the inputs.

    Raises:
        WtoolError: loading would do more than build layers, Keras cannot load a model, or the inputs are texts.
    """
    names = [os.path.basename(each.name) for each in (first, second)]
    models = [_loaded(each) for each in (first, second)]
    generator = np.random.default_rng(seed)
    inputs = [_drawn(generator, each, names[0]) for each in models[0].inputs]
    one, other = (_outputs(model, inputs, name) for model, name in zip(models, names, strict=True))
    differences = [np.abs(left - right).max(initial=0) for left, right in zip(one, other, strict=True)]
    return float(np.max(differences)), float(np.max([np.abs(left).max(initial=0) for left in one]))


def _loaded(seen: Checkpoint) -> Any:
    with private(seen) as (path, checkpoint):
        refuse_unsafe(checkpoint)
        try:
            with older_objects(checkpoint) as known:
                return keras.models.load_model(path, custom_objects=known, compile=False)
        except Exception as error:  # whatever a file makes Keras raise
            raise WtoolError(f"Keras does not load {os.path.basename(seen.name)} ({in_short(error)})") from error


def _drawn(generator: np.random.Generator, tensor: Any, name: str) -> Array:
    shape = [EXAMPLES, *(size or SIZES.get(len(tensor.shape), 8) for size in tensor.shape[1:])]
    dtype = str(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype == "string":
        raise WtoolError(f"the inputs of {name} are texts, so it was not run")
    return generator.standard_normal(shape).astype("float32")


def _outputs(model: Any, inputs: list[Array], name: str) -> list[Array]:
    try:
        form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)  # Sequential has none
        found = model(keras.tree.pack_sequence_as(form, inputs), training=False)
    except Exception as error:  # whatever a model does with random input
        raise WtoolError(f"Keras does not run {name} ({in_short(error)})") from error
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]
