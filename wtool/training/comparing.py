"""Whether two saved models compute the same: both are run on the same random input."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from wtool.dtypes import Array
from wtool.errors import WtoolError

EXAMPLES = 4
SIZES = {2: 8, 3: 16, 4: 64, 5: 24}
"""Rank -> how large dimensions are that the model leaves open."""


def largest_difference(path: str, other: str, seed: int = 0) -> tuple[float, float]:
    """The largest absolute difference between the outputs of two models, and the largest output of the first.

    Floating inputs are drawn from a standard normal distribution; whole numbers are 0 or 1.

    Args:
        path, other: files that `keras.models.load_model` opens.
        seed: of the inputs.

    Raises:
        WtoolError: Keras is not there, cannot load a model, or the inputs are texts.
    """
    try:
        import keras

        import wtool.layers  # noqa: F401 - registers them
    except ImportError as error:
        raise WtoolError(f"comparing models needs Keras ({error}); pip install 'wtool[train]'") from None
    models = [_loaded(keras, each) for each in (path, other)]
    generator = np.random.default_rng(seed)
    inputs = [_drawn(generator, each, path) for each in models[0].inputs]
    first, second = (_outputs(model, inputs) for model in models)
    difference = max(float(np.abs(one - two).max(initial=0)) for one, two in zip(first, second, strict=True))
    return difference, max(float(np.abs(one).max(initial=0)) for one in first)


def _loaded(keras: Any, path: str) -> Any:
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a file makes Keras raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WtoolError(f"Keras cannot load {os.path.basename(path)}, so it was not run ({reason:.200})") from None


def _drawn(generator: np.random.Generator, tensor: Any, path: str) -> Array:
    shape = [EXAMPLES, *(size or SIZES.get(len(tensor.shape), 8) for size in tensor.shape[1:])]
    dtype = str(tensor.dtype)
    if "int" in dtype or dtype == "bool":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype == "string":
        raise WtoolError(f"the inputs of {os.path.basename(path)} are texts, so it was not run")
    return generator.standard_normal(shape).astype("float32")


def _outputs(model: Any, inputs: list[Array]) -> list[Array]:
    import keras

    found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [keras.ops.convert_to_numpy(each).astype(np.float64) for each in keras.tree.flatten(found)]
