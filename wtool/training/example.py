"""Examples of what a model computes, stored beside it: `model.npz` with x and y, or x0, x1, ... and y0, y1, ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from wtool.checkpoint.layouts.registry import extension
from wtool.dtypes import Array
from wtool.io import tree
from wtool.training.data.fetched import local_copy


def stored_example(model: str) -> tuple[list[Array], list[Array]] | None:
    """Returns inputs and outputs of a model that a `.npz` file of the model's name beside it holds; None if none does.

    Args:
        model: path of the model, or `-`.
    """
    path = f"{model.removesuffix(extension(model))}.npz"
    try:
        if not tree.is_file(path):
            return None
        with np.load(local_copy(path), allow_pickle=False) as stored:
            inputs, outputs = (list(_numbered(stored, name)) for name in ("x", "y"))
    except Exception:  # NumPy's reader raises what it likes; a file of another kind is no example
        return None
    return (inputs, outputs) if inputs and outputs else None


def _numbered(stored: Mapping[str, Array], name: str) -> Iterator[Array]:
    if name in stored:
        yield stored[name]
        return
    number = 0
    while f"{name}{number}" in stored:
        yield stored[f"{name}{number}"]
        number += 1
