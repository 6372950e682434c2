"""The tables of `wtool inspect`: a line for each layer, or for each tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from wtool.cli.tables import lined_up, print_table

LAYERS = ("layer", "class", "tensors", "dtype", "parameters", "bytes", "sparsity", "zero biases", "mean", "std")
TENSORS = ("tensor", "class", "role", "shape", "dtype", "bytes", "zeros", "mean", "std", "min", "max")

LEAST_OF_LAYERS = ("tensors", "dtype", "std", "mean", "bytes", "class")
LEAST_OF_TENSORS = ("role", "class", "dtype", "std", "mean", "bytes", "max", "min", "shape")
"""Columns that a narrow terminal has no room for, the first one first."""

DIGITS = 4


def print_layers(found: dict[str, Any]) -> None:
    """Print a line for each layer of an object of `wtool.inspect`, and one for all together.

    The sparsity, mean and standard deviation are those of kernels. Layers without kernels have none.
    """
    from wtool.ops.inspect import by_layer, summary

    layers = by_layer(found)
    every = summary(found["tensors"])
    rows = [*layers, {"name": "total", "class": "", **every, "tensors": ()}]
    has_zero_biases = bool(every["biases"]["zeros"])
    columns = [
        [layer["name"] for layer in rows],
        ["?" if layer["class"] is None else layer["class"] for layer in rows],
        [", ".join(f"{tensor['role']} {_shape(tensor['shape'])}" for tensor in layer["tensors"]) for layer in rows],
        _dtypes([layer["dtypes"] for layer in rows]),
        [f"{layer['parameters']:,}" if layer["dtypes"] else "" for layer in rows],
        [f"{layer['bytes']:,}" if layer["dtypes"] else "" for layer in rows],
        [_share(layer["kernels"]) for layer in rows],
        [_share(layer["biases"]) if has_zero_biases else "" for layer in rows],
        *(lined_up([layer["kernels"][name] for layer in rows], DIGITS) for name in ("mean", "std")),
    ]
    print_table(LAYERS, list(zip(*columns, strict=True)), right=range(4, 10), least=LEAST_OF_LAYERS)


def print_tensors(tensors: Sequence[dict[str, Any]]) -> None:
    """Print a line for each tensor of an object of `wtool.inspect`."""
    columns = [
        [tensor["path"] for tensor in tensors],
        [tensor["class"] or "?" for tensor in tensors],
        [tensor["role"] for tensor in tensors],
        [_shape(tensor["shape"]) for tensor in tensors],
        _dtypes([[tensor["dtype"]] for tensor in tensors]),
        [f"{tensor['bytes']:,}" for tensor in tensors],
        [_percent(tensor["zeros"], prod(tensor["shape"])) for tensor in tensors],
        *(lined_up([tensor[name] for tensor in tensors], DIGITS) for name in ("mean", "std", "min", "max")),
    ]
    print_table(TENSORS, list(zip(*columns, strict=True)), right=range(5, 11), least=LEAST_OF_TENSORS)


def _dtypes(dtypes: Sequence[Sequence[str]]) -> list[str]:
    """Returns the cells of a column, which are empty where all dtypes are one: the line above the table has that."""
    is_one = len({dtype for own in dtypes for dtype in own}) == 1
    return ["" if is_one else ", ".join(own) for own in dtypes]


def _shape(shape: Sequence[int]) -> str:
    return "scalar" if not shape else "x".join(map(str, shape))


def _share(part: dict[str, Any]) -> str:
    """Returns the share of zeros; nothing where there is nothing that could be zero."""
    return _percent(part["zeros"], part["parameters"])


def _percent(part: int | None, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole and part is not None else ""
