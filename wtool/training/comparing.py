"""Whether two saved models compute the same: both are run on the same random input."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import WtoolError, in_short
from wtool.files.opener import open_checkpoint
from wtool.training.loading import refuse_suspects

EXAMPLES = 4
SIZES = {2: 8, 3: 16, 4: 64, 5: 24}
"""Rank -> how large dimensions are that the model leaves open."""


def largest_difference(path: str, other: str, seed: int = 0) -> tuple[float, float]:
    """The largest absolute difference between the outputs of two models, and the largest output of the first.

    Floating inputs are drawn from a standard normal distribution; whole numbers are 0 or 1.

    Args:
        path, other: files of whole models.
        seed: of the inputs.

    Raises:
        WtoolError: loading would do more than build layers, Keras cannot load a model, or the inputs are texts.
    """
    models = [_loaded(each) for each in (path, other)]
    generator = np.random.default_rng(seed)
    inputs = [_drawn(generator, each, path) for each in models[0].inputs]
    first, second = (_outputs(model, inputs, each) for model, each in zip(models, (path, other), strict=True))
    differences = [np.abs(one - two).max(initial=0) for one, two in zip(first, second, strict=True)]
    return float(np.max(differences)), float(np.max([np.abs(one).max(initial=0) for one in first]))


def _loaded(path: str) -> Any:
    with open_checkpoint(path) as checkpoint:
        refuse_suspects(checkpoint)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a file makes Keras raise
        raise WtoolError(f"Keras does not load {os.path.basename(path)} ({in_short(error)})") from error


def _drawn(generator: np.random.Generator, tensor: Any, path: str) -> Array:
    shape = [EXAMPLES, *(size or SIZES.get(len(tensor.shape), 8) for size in tensor.shape[1:])]
    dtype = str(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype == "string":
        raise WtoolError(f"the inputs of {os.path.basename(path)} are texts, so it was not run")
    return generator.standard_normal(shape).astype("float32")


def _outputs(model: Any, inputs: list[Array], path: str) -> list[Array]:
    try:
        form = getattr(model, "input", model.inputs[0] if len(inputs) == 1 else model.inputs)  # Sequential has none
        found = model(keras.tree.pack_sequence_as(form, inputs), training=False)
    except Exception as error:  # whatever a model does with random input
        raise WtoolError(f"Keras does not run {os.path.basename(path)} ({in_short(error)})") from error
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]
