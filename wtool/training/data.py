"""Data to train on and to evaluate with: files of arrays, images by class, saved datasets, and functions."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from wtool.dtypes import Array
from wtool.errors import Usage, WtoolError
from wtool.files.inputs import natural_key
from wtool.training.loading import imported
from wtool.training.samples import Batches, Samples, of_arrays

Words: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
PARTS = {"train": ("train", ""), "test": ("test", "")}
"""What the data is for -> endings of the arrays' names in a `.npz` file, the first that is there."""


def read(words: Any, model: Any, part: str = "train", batch_size: int = 32) -> Any:
    """The data that words mean, or Python's own.

    Args:
        words: a `.npz`, a `.csv`, two `.npy` files, a folder, or `package.module:function`; or (x, y), or anything that
            `fit` takes.
        model: whose inputs tell names, shapes and sizes of images.
        part: `train` or `test`, where a `.npz` file has both.
        batch_size: of datasets that were saved without batches.

    Returns:
        `Samples`, where they can be had by number; anything else that `fit` takes.

    Raises:
        Usage: words that mean no data.
        WtoolError: a file is missing, or holds something else.
    """
    paths = named(words)
    if paths is None:
        return _of_python(words)
    for path in paths:
        if not os.path.exists(path) and not _is_function(path):
            raise WtoolError("no such file or folder", path)
    if len(paths) == 2 and all(path.endswith(".npy") for path in paths):
        return of_arrays(tuple(_npy(path) for path in paths))
    if len(paths) != 1:
        raise Usage("data is one file or folder, or two .npy files (x, then y)")
    return _one(paths[0], model, part, batch_size)


def named(words: Any) -> list[str] | None:
    """The words for data as texts; None for data itself."""
    if isinstance(words, (str, os.PathLike)):
        return [os.fspath(words)]
    if isinstance(words, (list, tuple)) and words and all(isinstance(each, (str, os.PathLike)) for each in words):
        return [os.fspath(each) for each in words]
    return None


def has_test_part(words: Any) -> bool:
    """Whether data is a `.npz` file with test samples beside those for training."""
    paths = named(words) or [""]
    if not paths[0].endswith(".npz") or not os.path.isfile(paths[0]):
        return False
    with _npz(paths[0]) as arrays:
        return {"x_train", "x_test"} <= set(arrays.files)


def fed(data: Any, batch_size: int, seed: int | None = None, epoch: int = 0, skip: int = 0) -> Any:
    """Data in the form that `fit` takes with `shuffle=False`, from a batch of an epoch on.

    Args:
        data: what `read` gives.
        batch_size: of `Samples`.
        seed: of their order; None for their own.
        epoch: the first one.
        skip: how many batches are left out; only of what `can_skip`.
    """
    if isinstance(data, Samples):
        return Batches(data, batch_size, seed, epoch, skip)
    return data.skip(skip) if skip else data


def can_skip(data: Any) -> bool:
    """Whether an epoch of it can be begun in the middle."""
    return isinstance(data, Samples) or callable(getattr(data, "skip", None))


def _one(path: str, model: Any, part: str, batch_size: int) -> Any:
    if _is_function(path):
        return _of_function(path)
    if os.path.isdir(path):
        is_dataset = os.path.exists(os.path.join(path, "dataset_spec.pb"))
        return _dataset(path, model, batch_size) if is_dataset else _images(path, model)
    if path.endswith(".npz"):
        return of_arrays(_of_npz(path, model, part))
    if path.endswith(".csv"):
        return of_arrays(_of_csv(path))
    raise WtoolError("no data that wtool knows: .npz, .csv, two .npy, a folder, or package.module:function", path)


def _npy(path: str) -> Array:
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise WtoolError(f"no array that can be mapped ({error})", path) from None
    return found


def _npz(path: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WtoolError(f"no .npz file of arrays ({error})", path) from None


def _of_npz(path: str, model: Any, part: str) -> Any:
    with _npz(path) as stored:
        try:
            arrays = {name: stored[name] for name in stored.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise WtoolError(f"an array cannot be read ({error})", path) from None
    for ending in PARTS[part]:
        usual = [f"{name}_{ending}".rstrip("_") for name in ("x", "y", "sample_weight")]
        if usual[0] in arrays:
            return tuple(arrays[name] for name in usual if name in arrays)
    inputs, outputs = _names(model, "input"), _names(model, "output")
    if inputs and set(inputs) <= arrays.keys():
        targets = {name: arrays[name] for name in outputs if name in arrays}
        x = {name: arrays[name] for name in inputs}
        if len(targets) > 1:
            return x, targets
        y = [*targets.values(), *([arrays["y"]] if "y" in arrays else [])]
        return (x, *y[:1])
    wanted = f"x and y, x_{part} and y_{part}, or arrays called like the model's inputs ({', '.join(inputs)})"
    raise WtoolError(f"holds {', '.join(arrays) or 'nothing'}; wanted are {wanted}", path)


def _names(model: Any, side: str) -> list[str]:
    """Names of a model's inputs or outputs."""
    if side == "output":
        return list(getattr(model, "output_names", ()))
    return [tensor.name for tensor in getattr(model, "inputs", None) or ()]


def _of_csv(path: str) -> tuple[Array, Array]:
    """Columns of numbers: the last one is y, whole numbers if all of it are; a first line of words is skipped."""
    with open(path, newline="") as file:
        first = next(csv.reader(file), [])
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=int(not _are_numbers(first)), ndmin=2)
    except ValueError as error:
        raise WtoolError(f"not a table of numbers ({error})", path) from None
    if not table.size or table.shape[1] < 2:
        raise WtoolError("needs rows, and at least two columns: the last one is y", path)
    y = table[:, -1]
    return table[:, :-1], y.astype(np.int64) if np.array_equal(y, np.rint(y)) else y


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def _images(path: str, model: Any) -> Samples:
    """A folder for each class, of images: y is the number of the class, in the order of the folders' names."""
    classes = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    found = [(file, number) for number, name in enumerate(classes) for file in _image_files(os.path.join(path, name))]
    if not found:
        raise WtoolError("neither a saved dataset nor a folder with a folder of images for each class", path)
    shape = tuple(getattr(model, "input_shape", ()) or ())
    if len(shape) != 4 or None in shape[1:]:
        raise WtoolError(f"images need a model whose input has a fixed height, width and depth, not {shape}", path)
    height, width, depth = shape[1:]
    colours = {1: "grayscale", 3: "rgb", 4: "rgba"}.get(depth)
    if colours is None:
        raise WtoolError(f"images have 1, 3 or 4 colours, but the model's input has {depth}", path)

    def take(places: Array) -> tuple[Array, Array]:
        pictures = [
            keras.utils.img_to_array(
                keras.utils.load_img(
                    found[at][0], color_mode=colours, target_size=(height, width), interpolation="bilinear"
                ),
                data_format="channels_last",
            )
            for at in places
        ]
        return np.stack(pictures), np.array([found[at][1] for at in places])

    return Samples(len(found), take)


def _image_files(folder: str) -> Iterator[str]:
    files = (str(file) for file in Path(folder).rglob("*") if file.suffix.lower() in IMAGES)
    yield from sorted(files, key=natural_key)


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


def _is_function(word: str) -> bool:
    module, colon, name = word.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def _of_function(word: str) -> Any:
    name, _, function = word.partition(":")
    found = imported(name)
    for part in function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise Usage(f"{name} has no function {function}")
    return _of_python(found())


def _of_python(value: Any) -> Any:
    """What a function or a caller gives: arrays become samples, all else is for `fit` as it is."""
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 3:
        leaves = keras.tree.flatten(tuple(value))
        if leaves and all(hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") for leaf in leaves):
            return of_arrays(keras.tree.map_structure(np.asarray, tuple(value)))
    return value
