"""Every deterministic method against the results of mergekit 0.1.5, within 2 units in the last place of float32.

mergekit calculates in float32, so that a small sum of large terms has the error of the terms: the units are those of
the largest operand.

The kernels there are those of PyTorch, (outputs, inputs): their output units are along axis 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtool.dtypes import Array
from wtool.transforms.merging.arrays import merged_arrays

VALUES = np.load(Path(__file__).parent / "mergekit.npz")
WEIGHTS = [1, 0.5, 0.25]
NONE: dict[str, Any] = {}


def operand(name: str) -> dict[str, Array]:
    return {tensor: VALUES[f"{name}/{tensor}"] for tensor in ("k", "b")}


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("linear", "linear", {"weight": WEIGHTS}),
    ("linear,normalize=false", "linear", {"weight": WEIGHTS, "normalize": False}),
    ("task_arithmetic", "task-arithmetic", {"weight": WEIGHTS}),
    ("task_arithmetic,normalize,lambda=.7", "task-arithmetic", {"weight": WEIGHTS, "normalize": True, "lambda": 0.7}),
    ("ties,density=0.5", "ties", {"weight": WEIGHTS, "density": 0.5}),
    ("ties,density=0.2", "ties", {"weight": WEIGHTS, "density": 0.2}),
    (
        "ties,density=.5,normalize=false,lambda=1.3", "ties",
        {"weight": WEIGHTS, "density": 0.5, "normalize": False, "lambda": 1.3},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "method", "options"), CASES, ids=[each[0] for each in CASES])
def test_values(entry: str, method: str, options: dict[str, Any]) -> None:
    base = None if method in ("linear",) else operand("base")
    found = merged_arrays(method, [operand(f"m{number}") for number in range(3)], base, **options)
    for tensor, array in found.items():
        size = np.max([np.abs(VALUES[f"{name}/{tensor}"]) for name in ("base", "m0", "m1", "m2")], axis=0)
        room = 2 * np.spacing(np.maximum(size, np.abs(array)))
        assert np.all(np.abs(array.astype(np.float64) - VALUES[f"{entry}/{tensor}"]) <= room), tensor
