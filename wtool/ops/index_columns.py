"""The columns of indexes, and the rows of a model: made of what `wtool inspect` tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from wtool.checkpoint.file_stamps import ModelStamp
from wtool.checkpoint.lineage import without_masks
from wtool.io.columns import INTEGER, INTEGERS, NUMBER, SWITCH, TEXT, TEXTS, TIME, Column, Row, row_of
from wtool.ops.index_options import MODEL, TENSOR
from wtool.ops.inspect import summary
from wtool.transforms.statistics import Statistics
from wtool.version import __version__

LONGEST_LINEAGE = 1_000_000
"""Characters of a lineage that a row holds; a longer one is left out, and a note says so."""

OF_FILE = (
    Column("path", TEXT, "of the model, as it was found; the rows are in the order of their paths"),
    Column("error", TEXT, "why the model could not be read; all columns but those of the file are null then"),
    Column("file_size", INTEGER, "bytes of the file, or of all files of the model together"),
    Column("modified", TIME, "when the file was last changed"),
    Column("stamp", TEXT, "what tells that the file has not changed since"),
    Column("wtool", TEXT, "version of wtool that read the file"),
    Column("hash", TEXT, "content hash of the file, as in the lineage; of several files, their hashes with spaces"),
    Column("format", TEXT, "`keras`, `h5`, `weights.h5`, ...: see [`wtool inspect`](inspect.md)"),
    Column("keras_version", TEXT, "of the Keras that saved the file; null where the file does not tell"),
)
OF_MODEL = (
    Column("layers", INTEGER, "number of layers"),
    Column("classes", TEXTS, "class of each layer, in the order of the model; `?` where the file does not tell"),
    Column("tensors", INTEGER, "number of the model's variables, without the optimizer's"),
    Column("dtypes", TEXTS, "number types of the variables, each once"),
    Column("parameters", INTEGER, "values of the variables"),
    Column("bytes", INTEGER, "of the variables"),
    Column("kernel_parameters", INTEGER, "values of the kernels of every kind: what `wtool prune` prunes"),
    Column("kernel_zeros", INTEGER, "how many of these are exactly 0"),
    Column("sparsity", NUMBER, "their share"),
    Column("zeros", INTEGER, "how many values of all variables are exactly 0"),
    Column("nonfinite", INTEGER, "how many are NaN or infinite"),
    Column("mean", NUMBER, "of the finite values of all variables"),
    Column("std", NUMBER, "standard deviation of these"),
    Column("min", NUMBER, "the smallest of these"),
    Column("max", NUMBER, "the largest of these"),
    Column("dead_channels", INTEGER, "channels that cannot change an output, which `wtool shrink` takes out"),
    Column("optimizer", TEXT, "class of the saved optimizer; null without one, and where the file does not tell"),
    Column("optimizer_step", INTEGER, "steps of the optimizer; null if not stored"),
    Column("operations", TEXTS, "what wtool did to make the file, oldest first: `prune`, `average`, ..."),
    Column("lineage", TEXT, "the lineage as JSON text, without the bits of masks"),
    Column("notes", TEXTS, "oddities, a text each"),
)
OF_TENSOR = (
    Column("tensor", TEXT, "path of the variable, `dense_1/kernel`; null in the row of a model without variables"),
    Column("position", INTEGER, "of the variable in the model, from 0"),
    Column("role", TEXT, "`kernel`, `bias`, `gamma`, ..."),
    Column("layer", TEXT, "path of the layer that owns it"),
    Column("class", TEXT, "of that layer; null where the file does not tell"),
    Column("trainable", SWITCH, "null where the file does not tell"),
    Column("shape", INTEGERS, "as stored"),
    Column("dtype", TEXT, "as stored"),
    Column("parameters", INTEGER, "number of values"),
    Column("bytes", INTEGER, "as stored"),
    Column("zeros", INTEGER, "how many values are exactly 0"),
    Column("sparsity", NUMBER, "their share"),
    Column("nonfinite", INTEGER, "how many values are NaN or infinite"),
    Column("sum", NUMBER, "of the finite values, in float64"),
    Column("mean", NUMBER, "of the finite values"),
    Column("std", NUMBER, "standard deviation of the finite values"),
    Column("min", NUMBER, "the smallest finite value"),
    Column("max", NUMBER, "the largest finite value"),
)

COLUMNS = {MODEL: OF_FILE + OF_MODEL, TENSOR: OF_FILE + OF_TENSOR}
"""What an index has a row for -> its columns."""

OF_STATISTICS = ("hash", "kernel_zeros", "sparsity", "zeros", "nonfinite", "sum", "mean", "std", "min", "max",
                 "dead_channels")  # fmt: skip
"""Columns that are null where weights are not read."""


def file_values(path: str, stamp: ModelStamp | None) -> dict[str, Any]:
    """Returns what a row tells of the file before it is opened."""
    told = {"path": path, "wtool": __version__}
    return told if stamp is None else {**told, "file_size": stamp.size, "modified": stamp.time, "stamp": stamp.text}


def failed_row(kind: str, path: str, stamp: ModelStamp | None, error: str) -> Row:
    """Returns the row of a model that could not be read.

    Args:
        kind: `model` or `tensor`.
        path: of the model.
        stamp: of its files.
        error: why.
    """
    return row_of(COLUMNS[kind], {**file_values(path, stamp), "error": error})


def rows_of(
    kind: str, told: Mapping[str, Any], found: Mapping[str, Statistics] | None, file: dict[str, Any]
) -> list[Row]:
    """Returns the rows of a model: one, or one for each variable.

    Args:
        kind: `model` or `tensor`.
        told: what `wtool inspect` tells of the model.
        found: statistics of each variable, by path; None where no weights were read.
        file: what all rows tell of the file.
    """
    file = {**file, "format": told["format"], "keras_version": told["keras_version"]}
    if kind == MODEL:
        values = [_of_model(told, found or {})]
    else:
        values = list(_of_tensors(told, found or {})) or [{}]
    if found is None:
        values = [{name: value for name, value in each.items() if name not in OF_STATISTICS} for each in values]
    return [row_of(COLUMNS[kind], {**file, **each}) for each in values]


def _of_model(told: Mapping[str, Any], found: Mapping[str, Statistics]) -> dict[str, Any]:
    every = summary(told["tensors"])
    kernels, optimizer = every["kernels"], told["optimizer"] or {}
    together = Statistics()
    for each in found.values():
        together = together.merged(each)
    lineage = json.dumps([without_masks(record) for record in told["lineage"]], ensure_ascii=False)
    is_long = len(lineage) > LONGEST_LINEAGE
    note = [f"its lineage of {len(lineage):,} characters is too long for an index"] if is_long else []
    return {
        "layers": len(told["layers"]),
        "classes": [layer["class"] or "?" for layer in told["layers"]],
        "tensors": len(told["tensors"]),
        "dtypes": every["dtypes"],
        "parameters": told["parameters"],
        "bytes": told["bytes"],
        "kernel_parameters": kernels["parameters"],
        "kernel_zeros": kernels["zeros"],
        "sparsity": _share(kernels["zeros"], kernels["parameters"]),
        **_numbers(together),
        "dead_channels": sum(each["dead"] for each in told["dead"]),
        "optimizer": optimizer.get("class"),
        "optimizer_step": optimizer.get("step"),
        "operations": [str(record.get("operation")) for record in told["lineage"]],
        "lineage": None if is_long else lineage,
        "notes": [*told["notes"], *note],
    }


def _of_tensors(told: Mapping[str, Any], found: Mapping[str, Statistics]) -> Iterator[dict[str, Any]]:
    for position, tensor in enumerate(told["tensors"]):
        statistics = found.get(tensor["path"], Statistics())
        yield {
            **{name: tensor[name] for name in ("role", "layer", "class", "trainable", "shape", "dtype", "bytes")},
            "tensor": tensor["path"],
            "position": position,
            "parameters": prod(tensor["shape"]),
            "sparsity": _share(statistics.zeros, statistics.count),
            "sum": statistics.sum,
            **_numbers(statistics),
        }


def _share(part: int | None, whole: int) -> float | None:
    return part / whole if part is not None and whole else None


def _numbers(found: Statistics) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("zeros", "nonfinite", "mean", "std", "min", "max")}
