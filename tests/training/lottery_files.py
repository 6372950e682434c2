"""The data and the model of the tests of lottery experiments, and comparisons of their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests.models import Array

QUIET = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()}
WORDS: dict[str, Any] = {"data": "digits.npz", "epochs": 2, "seed": 3, "sparsity": 0.75}


def make_files(folder: Path) -> None:
    """Write `digits.npz` and `init.keras` into a folder."""
    import keras
    from sklearn import datasets

    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    np.savez(folder / "digits.npz", x_train=x[:96], y_train=y[:96], x_test=x[96:128], y_test=y[96:128])
    keras.utils.set_random_seed(4)
    layers = [
        keras.layers.Dense(16, activation="relu", name="hidden"),
        keras.layers.Dropout(0.1, name="dropout"),
        keras.layers.Dense(10, activation="softmax", name="out"),
    ]
    made = keras.Sequential([keras.Input((64,)), *layers])
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 30))
    made.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    made.save(folder / "init.keras")


def state(path: Path | str) -> dict[str, Array]:
    """Weights and optimizer slots of a file."""
    with wtool.open_checkpoint(path) as found:
        return {tensor.path: found.read(tensor).copy() for tensor in (*found.weights, *found.slots)}


def assert_same(one: Path | str, other: Path | str) -> None:
    left, right = state(one), state(other)
    assert left.keys() == right.keys()
    assert all(left[path].tobytes() == right[path].tobytes() for path in left), (one, other)


def assert_same_folders(one: str, other: str) -> None:
    paths = sorted(path.relative_to(one) for path in Path(one).rglob("*") if path.is_file())
    assert paths == sorted(path.relative_to(other) for path in Path(other).rglob("*") if path.is_file())
    for path in paths:
        if path.suffix == ".keras":
            assert_same(Path(one, path), Path(other, path))
        else:
            assert Path(one, path).read_text() == Path(other, path).read_text()
