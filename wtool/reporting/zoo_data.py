"""What a page tells of many models: a row for each of them, short enough for ten thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from wtool.ops.inspect import summary

MOST_CLASSES = 12
"""Classes of layers that a row names, the most frequent first."""

MOST_OPERATIONS = 20
"""Operations of the lineage that a row names, the latest of them."""


def row_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row of a model in the table of a zoo, from what a page tells of that model alone."""
    model = data["model"]
    kernels = summary(model["tensors"])["kernels"]
    optimizer = model["optimizer"] or {}
    classes = Counter(layer["class"] or "?" for layer in model["layers"])
    return {
        **{name: model[name] for name in ("path", "format", "keras_version", "parameters", "bytes")},
        "layers": len(model["layers"]),
        "classes": dict(classes.most_common(MOST_CLASSES)),
        "tensors": len(model["tensors"]),
        "prunable": kernels["parameters"],
        "zeros": kernels["zeros"],
        "optimizer": optimizer.get("class"),
        "step": optimizer.get("step"),
        "operations": [str(record.get("operation")) for record in model["lineage"]][-MOST_OPERATIONS:],
        "notes": len(model["notes"]),
    }
