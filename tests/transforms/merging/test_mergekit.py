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
from wtool.transforms.merging.registry import METHODS

VALUES = np.load(Path(__file__).parent / "mergekit.npz")
WEIGHTS = [1, 0.5, 0.25]


def operand(name: str) -> dict[str, Array]:
    return {tensor: VALUES[f"{name}/{tensor}"] for tensor in ("k", "b")}


ROWS, COLUMNS = {"k": (0,)}, {"k": (1,)}
"""The output units of PyTorch's kernels, and its input channels: mergekit offers both."""

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
    *(
        (
            f"{method.replace('-', '_')},density=.5,gamma={gamma}", method,
            {"weight": WEIGHTS, "density": 0.5, "gamma": gamma},
        )
        for method in ("breadcrumbs", "breadcrumbs-ties")
        for gamma in (0.01, 0.2)
    ),
    *(
        (f"{method.replace('-', '_')},density=1", method, {"weight": WEIGHTS})
        for method in ("dare-linear", "dare-ties", "della", "della-linear")
    ),
    *((f"slerp,t={t}", "slerp", {"t": t}) for t in (0.0, 0.3, 0.5, 1.0)),
    ("multislerp", "multislerp", {"weight": WEIGHTS}),
    ("multislerp,base", "multislerp", {"weight": WEIGHTS}),
    ("karcher", "karcher", {}),
    ("karcher,max_iter=100,tol=1e-9", "karcher", {"max_iterations": 100, "tolerance": 1e-9}),
    *((f"sce,select_topk={share}", "sce", {"select_topk": share}) for share in (1.0, 0.5, 0.1)),
    *((f"nearswap,t={t}", "nearswap", {"t": t}) for t in (0.01, 0.1)),
    *(
        (f"nuslerp,{base}{flags}", "nuslerp", {"weight": WEIGHTS[:2], "rows": bool(units), "unit_axes": units})
        for base in ("", "base,")
        for flags, units in (
            ("{}", {}),
            ("{'nuslerp_flatten': False}", ROWS),
            ("{'nuslerp_flatten': False, 'nuslerp_row_wise': True}", COLUMNS),
        )
    ),
]  # fmt: skip

OTHERS = ("arcee_fusion", "ram", "ramplus_tl")
"""Methods of mergekit that wtool does not have."""


def test_all_entries_are_tried() -> None:
    entries = {name.rpartition("/")[0] for name in VALUES.files} - {"base", "m0", "m1", "m2", *OTHERS}
    stock = {"model_stock,filter_wise=False", "model_stock,filter_wise=True"}
    assert entries == {entry for entry, *_ in CASES} | stock


@pytest.mark.parametrize(("entry", "method", "options"), CASES, ids=[each[0] for each in CASES])
def test_values(entry: str, method: str, options: dict[str, Any]) -> None:
    needs = METHODS[method]
    base = operand("base") if needs.base == "needed" or "base" in entry else None
    models = [operand(f"m{number}") for number in range(min(3, needs.most or 3))]
    found = merged_arrays(method, models, base, **options)
    for tensor, array in found.items():
        assert is_near(array, VALUES[f"{entry}/{tensor}"], tensor).all(), tensor


def is_near(found: Array, expected: Array, tensor: str) -> Array:
    size = np.max([np.abs(VALUES[f"{name}/{tensor}"]) for name in ("base", "m0", "m1", "m2")], axis=0)
    room = 2 * np.spacing(np.maximum(size, np.abs(found)))
    return np.asarray(np.abs(found.astype(np.float64) - expected) <= room)


@pytest.mark.parametrize("filter_wise", [False, True])
def test_model_stock_is_the_same_but_where_task_vectors_point_away_from_each_other(filter_wise: bool) -> None:
    models = [operand(f"m{number}") for number in range(3)]
    found = merged_arrays("model-stock", models, operand("base"), filter_wise=filter_wise, unit_axes=ROWS)
    vectors = {tensor: np.stack([each[tensor] - operand("base")[tensor] for each in models]) for tensor in found}
    for tensor, array in found.items():
        flat = vectors[tensor].reshape(3, *((6, 5) if filter_wise and tensor == "k" else (1, -1)))
        units = flat / np.linalg.norm(flat, axis=2, keepdims=True)
        cosines = (units[0] * units[1] + units[0] * units[2] + units[1] * units[2]).sum(axis=1) / 3
        theirs, ours = (each.reshape(len(cosines), -1) for each in (VALUES[name(filter_wise, tensor)], array))
        opposed = cosines < 0
        near = is_near(array, VALUES[name(filter_wise, tensor)], tensor).reshape(theirs.shape)
        assert near[~opposed].all()
        np.testing.assert_array_equal(ours[opposed], operand("base")[tensor].reshape(theirs.shape)[opposed])


def name(filter_wise: bool, tensor: str) -> str:
    return f"model_stock,filter_wise={filter_wise}/{tensor}"
