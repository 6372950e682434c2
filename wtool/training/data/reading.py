"""Data to train on and to evaluate with: files of arrays, images by class, saved datasets, and functions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from wtool.errors import Usage, WtoolError, in_short
from wtool.io.addresses import name_of
from wtool.training.data.arrays import has_test_part, of_csv, of_npy, of_npz
from wtool.training.data.images import of_folder
from wtool.training.data.samples import Batches, Samples, of_arrays
from wtool.training.data.words import check_data, is_function, paths_of
from wtool.training.loading.load import imported
from wtool.values import dataclass

INFINITE = -1
"""TensorFlow's number of elements of datasets that never end."""


@dataclass(frozen=True, slots=True, eq=False)
class Renewed:
    """A function that makes an iterator. An iterator is over after one epoch, so each epoch calls the function."""

    make: Callable[[], Any]


def read_data(words: Any, model: Any, part: str = "train", batch_size: int = 32, endless: bool = False) -> Any:
    """Returns the data that words name, or data from Python in the form that `fit` takes.

    Args:
        words: a `.npz` or `.csv` file, two `.npy` files, a folder, or `package.module:function`; or data from Python:
            (x, y), anything that `fit` takes in every epoch anew, or a function that makes one of these.
        model: its inputs tell names, shapes and sizes of images.
        part: `train`, `test` or `validation`, for `.npz` files that have several parts.
        batch_size: number of samples in a batch, for datasets that were saved without batches.
        endless: whether the data may be a dataset that never ends.

    Returns:
        `Samples` where samples can be read by index, a `Renewed`, or anything else that `fit` takes.

    Raises:
        Usage: the words name no data.
        WtoolError: a file is missing or holds something else, or a function fails.
    """
    paths = paths_of(words)
    if paths is None:
        return _called(words, "the function", endless) if callable(words) else _taken(words, endless)
    check_data(words)
    if len(paths) == 2:
        return of_arrays(tuple(of_npy(path) for path in paths))
    if is_function(paths[0]):
        return _called(_function(paths[0]), paths[0], endless)
    return _one(paths[0], model, part, batch_size)


def with_validation(
    data: Any, words: Any, other: Any, share: float | None, model: Any, batch_size: int = 32
) -> tuple[Any, Any]:
    """Returns the data for training, and that for validation (None for no validation).

    Args:
        data: a result of `read_data`, for training.
        words: of that data; a test part of it is for validation, unless the others say what is.
        other: words of the data for validation; None for none.
        share: of the data for training that is kept for validation instead; None for none.
        model: Keras's.
        batch_size: of data that does not come in batches.

    Raises:
        WtoolError: the data cannot be read, or does not fit the model.
        Usage: the data cannot be split.
    """
    if share is not None:
        if not isinstance(data, Samples):
            raise Usage("a validation split needs samples that can be had by number: arrays, or images")
        return data.split(share)
    if other is None and not has_test_part(words):
        return data, None
    return data, read_data(words if other is None else other, model, "test", batch_size)


def read_inputs(words: Any, model: Any, batch_size: int = 32) -> Any:
    """Returns the data that words name, of which nobody reads targets; see `read_data`.

    Args:
        words: as for `read_data`; or a single `.npy` file or array, or a dictionary of arrays, of inputs alone.
        model, batch_size: see `read_data`.
    """
    paths = paths_of(words)
    if paths is None:
        is_alone = isinstance(words, dict) or (hasattr(words, "shape") and hasattr(words, "__getitem__"))
        return read_data((words,) if is_alone else words, model, "train", batch_size)
    check_data(words, labelled=False)
    if len(paths) == 1 and name_of(paths[0]).endswith(".npy"):
        return of_arrays((of_npy(paths[0]),))
    return read_data(words, model, "train", batch_size)


def fed(
    data: Any, batch_size: int, seed: int | None = None, epoch: int = 0, skip: int = 0, steps: int | None = None
) -> Any:
    """Returns data in the form that `fit` takes with `shuffle=False`, from a batch of an epoch on.

    Args:
        data: a result of `read_data`.
        batch_size: number of samples in a batch, for `Samples`.
        seed: seed of the order of `Samples`; None for the order in which they are stored.
        epoch: index of the first epoch; for `Renewed`, of the only one.
        skip: number of batches that are left out; 0 unless `can_skip(data)`.
        steps: number of batches of an epoch; None for as many as there are. Epochs of samples and datasets go on where
            the one before ended.
    """
    if isinstance(data, Samples):
        return Batches(data, batch_size, seed, epoch, skip, steps)
    if isinstance(data, Renewed):
        return data.make()
    if steps is not None:
        return data.repeat().skip(epoch * steps + skip)
    return data.skip(skip) if skip else data


def check_steps(data: Any) -> None:
    """Refuse to take epochs of some number of batches from data of which they cannot be had.

    Raises:
        Usage: the data is of such a kind.
    """
    is_dataset = callable(getattr(data, "skip", None)) and callable(getattr(data, "repeat", None))
    if not (is_dataset or isinstance(data, (Samples, Renewed))):
        kinds = "arrays, images, a dataset of tf.data, or a function that returns a generator"
        raise Usage(f"--steps-per-epoch needs data that can be had from its middle on: {kinds}")


def can_skip(data: Any) -> bool:
    """Returns whether an epoch of the data can be begun in the middle."""
    return isinstance(data, Samples) or callable(getattr(data, "skip", None))


def _one(path: str, model: Any, part: str, batch_size: int) -> Any:
    if os.path.isdir(path):
        is_dataset = os.path.exists(os.path.join(path, "dataset_spec.pb"))
        return _dataset(path, model, batch_size) if is_dataset else of_folder(path, model)
    if name_of(path).endswith(".npz"):
        return of_arrays(of_npz(path, _names(model, "input"), _names(model, "output"), part))
    return of_arrays(of_csv(path))


def _names(model: Any, side: str) -> list[str]:
    """Returns the names of a model's inputs or outputs, which are keys of the dictionaries of arrays that it takes."""
    form = getattr(model, side, None)  # subclassed models have none
    if isinstance(form, dict):
        return list(form)
    if side == "output":
        return list(getattr(model, "output_names", ()))
    return [tensor.name for tensor in getattr(model, "inputs", None) or ()]


def _dataset(path: str, model: Any, batch_size: int) -> Any:
    import tensorflow

    try:
        dataset = tensorflow.data.Dataset.load(path)
    except Exception as error:  # TensorFlow's own kinds, of no common base
        raise WtoolError(f"not a dataset that TensorFlow loads ({type(error).__name__})", path) from error
    first = keras.tree.flatten(dataset.element_spec)[0]
    inputs = getattr(model, "inputs", None) or [None]
    is_single = inputs[0] is not None and first.shape.rank == len(inputs[0].shape) - 1
    return dataset.batch(batch_size) if is_single else dataset


def _function(word: str) -> Callable[[], Any]:
    name, _, function = word.partition(":")
    found = imported(name)
    for part in function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise Usage(f"{name} has no function {function}")
    return found  # type: ignore[no-any-return]


def _called(function: Callable[[], Any], name: str, endless: bool) -> Any:
    """Returns the data that a function makes; where the data is over after one epoch, a `Renewed` of the function."""
    try:
        value = function()
    except Exception as error:  # a user's function may raise anything
        raise WtoolError(f"{name} for the data failed ({in_short(error)})") from error
    if value is None:
        raise WtoolError(f"{name} for the data gave nothing")
    return Renewed(function) if hasattr(value, "__next__") else _taken(value, endless)


def _taken(value: Any, endless: bool) -> Any:
    """Returns data from Python: arrays become `Samples`, anything else goes to `fit` as it is."""
    if hasattr(value, "__next__"):
        raise Usage("a generator is over after one epoch; give the function that makes it")
    if not endless and callable(getattr(value, "cardinality", None)) and int(value.cardinality()) == INFINITE:
        raise Usage("a dataset that never ends has no epochs; --steps-per-epoch N makes some, or dataset.take(N)")
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 3:
        value = tuple(map(_columns, value))
        leaves = keras.tree.flatten(value)
        if leaves and all(hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") for leaf in leaves):
            return of_arrays(tuple(_in_tuples(each) for each in value))
    return value


def _columns(value: Any) -> Any:
    """Returns lists of texts or numbers as arrays, and any other value unchanged."""
    if isinstance(value, dict):
        return {name: _columns(each) for name, each in value.items()}
    if not isinstance(value, (list, tuple)) or not value:
        return value
    if all(isinstance(each, (str, bytes)) for each in value):
        return np.array(value, object)
    return np.asarray(value) if all(isinstance(each, (int, float)) for each in value) else value


def _in_tuples(value: Any) -> Any:
    """Returns arrays; lists of arrays become tuples, the only form that Keras takes in batches as well."""
    if isinstance(value, dict):
        return {name: _in_tuples(each) for name, each in value.items()}
    return tuple(map(_in_tuples, value)) if isinstance(value, (list, tuple)) else np.asarray(value)
