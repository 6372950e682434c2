"""Merging methods against their definitions in NumPy, and what holds for every method in the registry."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.transforms.merging import formulas
from wtool.dtypes import Array
from wtool.transforms.merging.arrays import merged_arrays
from wtool.transforms.merging.registry import METHODS

SHAPES = {
    "dense/kernel": (7, 5),
    "dense/bias": (5,),
    "conv/kernel": (3, 2, 4),
    "scalar/bias": (1,),
    "frozen/kernel": (4, 3),
}
UNITS = {"dense/kernel": (1,), "conv/kernel": (0, 2), "frozen/kernel": (0,)}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("linear", {"weight": [1, 0.5, 0.25]}),
    ("linear", {"weight": [1, -0.5, 0.25], "normalize": False}),
    ("task-arithmetic", {}),
    ("task-arithmetic", {"weight": [0.3, 0.5, -0.2], "lambda": 0.7}),
    ("task-arithmetic", {"weight": [1, -0.5, -0.5], "normalize": True}),
    ("ties", {"density": 0.3}),
    ("ties", {"density": [0.3, 0.7, 1]}),
    ("ties", {"density": 0.5, "weight": [1, 0.5, -0.25], "lambda": 1.3}),
    ("ties", {"density": 0.5, "weight": 2}),
    ("ties", {"density": 0, "normalize": False}),
    ("dare-linear", {"weight": 0.5}),
    ("dare-ties", {"normalize": True}),
    ("della", {}),
    ("della-linear", {"lambda": 2}),
    ("breadcrumbs", {"density": 0.6, "gamma": 0.2}),
    ("breadcrumbs", {"density": 0.95, "gamma": 0.2}),
    ("breadcrumbs-ties", {"density": 0.4, "weight": [1, 0.5, 0.25], "normalize": True}),
    ("sce", {}),
    ("sce", {"select_topk": 0.4}),
    ("model-stock", {}),
    ("model-stock", {"filter_wise": True}),
    ("slerp", {"t": 0.3}),
    ("slerp", {"t": 0.9}),
    ("nuslerp", {"weight": [1, 3]}),
    ("nuslerp", {"weight": [1, 3], "rows": True}),
    ("nuslerp", {"weight": [1, -0.5]}),
    ("multislerp", {"weight": [1, 0.5, 0.25]}),
    ("karcher", {}),
    ("karcher", {"max_iterations": 3, "tolerance": 1e-9}),
    ("nearswap", {"t": 0.05}),
    ("wise-ft", {}),
    ("wise-ft", {"t": 0.2}),
]
"""Method and options, of which each method has at least one; random ones with a density of 1."""

IDS = [f"{method} {options}" for method, options in VARIANTS]


def drawn(seed: int, scale: float = 1.0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {path: scale * random.standard_normal(shape) for path, shape in SHAPES.items()}


def operands(method: str, models: int = 3) -> tuple[dict[str, Array] | None, list[dict[str, Array]]]:
    """A base, where the method takes one, and models around it; one tensor is the same in all of them."""
    known = METHODS[method]
    base = drawn(0)
    tuned = [{path: base[path] + 0.7 * each for path, each in drawn(seed).items()} for seed in range(1, models + 1)]
    for model in tuned:
        model["frozen/kernel"] = base["frozen/kernel"]
    return (None if known.base == "unused" else base), tuned[: known.most or models]


def cast(tensors: dict[str, Array], dtype: Any) -> dict[str, Array]:
    return {path: array.astype(dtype) for path, array in tensors.items()}


def options_of(method: str) -> dict[str, Any]:
    return {"t": 0.3} if METHODS[method].takes.get("t") is not None else {}


def test_every_method_has_a_variant() -> None:
    assert {method for method, _ in VARIANTS} == set(METHODS)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16], ids=str)
@pytest.mark.parametrize(("method", "options"), VARIANTS, ids=IDS)
def test_the_definition_rounded_once(method: str, options: dict[str, Any], dtype: Any) -> None:
    base, models = operands(method)
    base, models = None if base is None else cast(base, dtype), [cast(each, dtype) for each in models]
    found = merged_arrays(method, models, base, unit_axes=UNITS, **options)
    for path, array in found.items():
        own = None if base is None else base[path]
        expected = formulas.merged(method, own, [each[path] for each in models], UNITS.get(path, ()), **options)
        assert array.dtype == np.dtype(dtype)
        assert array.shape == SHAPES[path]
        epsilon = float(ml_dtypes.finfo(array.dtype).eps)  # type: ignore[no-untyped-call]
        room = 0.51 * epsilon * np.abs(expected) + 1e-13  # half a unit in the last place
        if array.dtype == np.float16:
            room = room + 2.0**-25
        assert np.all(np.abs(array.astype(np.float64) - expected) <= room), path


@pytest.mark.parametrize(("method", "options"), VARIANTS, ids=IDS)
def test_inputs_stay_as_they_are(method: str, options: dict[str, Any]) -> None:
    base, models = operands(method)
    before = [{path: array.copy() for path, array in each.items()} for each in (base or {}, *models)]
    merged_arrays(method, models, base, unit_axes=UNITS, **options)
    for old, new in zip(before, (base or {}, *models), strict=True):
        for path, array in old.items():
            np.testing.assert_array_equal(array, new[path])


@pytest.mark.parametrize(("method", "options"), [each for each in VARIANTS if each[0] != "nuslerp"])
def test_the_order_of_models_makes_no_difference(method: str, options: dict[str, Any]) -> None:
    """But for nuslerp, which goes from the first model to the second."""
    base, models = operands(method)
    turned = {name: value[::-1] if isinstance(value, list) else value for name, value in options.items()}
    found = merged_arrays(method, models, base, unit_axes=UNITS, **options)
    other = merged_arrays(method, models[::-1], base, unit_axes=UNITS, **turned)
    for path, array in found.items():
        np.testing.assert_allclose(array, other[path], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", [name for name, known in METHODS.items() if known.least == 1])
def test_one_model_of_weight_1_is_the_model(method: str) -> None:
    """t is 1 where there is one; without trimming a task vector brings its model back."""
    base, models = operands(method, 1)
    at_end = {"t": 1.0} if "t" in METHODS[method].takes else {}
    if method == "nearswap":
        at_end = {"t": 1e9}  # everything is near
    base, models = None if base is None else cast(base, "float32"), [cast(each, "float32") for each in models]
    found = merged_arrays(method, models, base, unit_axes=UNITS, **at_end)
    for path, array in found.items():
        if method in ("multislerp",):  # a length of |v| / (|v| + 1e-8), as the definition has it
            np.testing.assert_allclose(array, models[0][path], rtol=1e-7, atol=1e-8)
        else:
            np.testing.assert_array_equal(array, models[0][path])


@pytest.mark.parametrize("method", METHODS)
def test_equal_models_are_their_merge(method: str) -> None:
    known = METHODS[method]
    base, models = operands(method, 1)
    base, model = None if base is None else cast(base, "float32"), cast(models[0], "float32")
    count = known.most or 3
    options: dict[str, Any] = {"t": 1} if "t" in known.takes else {}
    if method == "nearswap":
        options = {"t": 1e9}
    if "normalize" in known.takes and known.base == "needed":
        options["normalize"] = True
    found = merged_arrays(method, [model] * count, base, unit_axes=UNITS, **options)
    for path, array in found.items():
        np.testing.assert_allclose(array, model[path], rtol=2e-7, atol=1e-8)


@pytest.mark.parametrize(("method", "t"), [(name, t) for name in ("slerp", "wise-ft") for t in (0, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16], ids=str)
def test_the_ends_are_the_inputs_bit_for_bit(method: str, t: float, dtype: Any) -> None:
    base, models = operands(method)
    assert base is not None
    ends = [cast(base, dtype), cast(models[0], dtype)]
    found = merged_arrays(method, ends[1:], ends[0], t=t)
    for path, array in found.items():
        assert array.tobytes() == ends[t][path].tobytes()


def test_linear_is_the_average_of_numpy_to_the_bit() -> None:
    _, models = operands("linear")
    models = [cast(each, "float32") for each in models]
    found = merged_arrays("linear", models, weight=[1, 0.5, 0.3])
    for path, array in found.items():
        stacked = np.stack([each[path] for each in models]).astype(np.float64)
        expected = np.average(stacked, axis=0, weights=[1, 0.5, 0.3]).astype(np.float32)
        np.testing.assert_array_equal(array, expected)


def test_density_1_of_ties_with_equal_signs_is_the_mean() -> None:
    base = {"kernel": np.linspace(-1, 1, 12)}
    models = [{"kernel": base["kernel"] + np.linspace(0.1, 2, 12) * factor} for factor in (1, 2, 4)]
    found = merged_arrays("ties", models, base)["kernel"]
    np.testing.assert_allclose(found, np.mean([each["kernel"] for each in models], axis=0), rtol=1e-14)


def test_breadcrumbs_without_outliers_keep_what_ties_keeps() -> None:
    base, models = operands("ties")
    found = merged_arrays("breadcrumbs-ties", models, base, density=0.4, gamma=0, normalize=True)
    other = merged_arrays("ties", models, base, density=0.4)
    for path, array in found.items():
        np.testing.assert_array_equal(array, other[path])


def test_numbers_by_tensor_model_and_depth() -> None:
    base, models = operands("task-arithmetic")
    assert base is not None
    found = merged_arrays("task-arithmetic", models, base, weight=["dense/*=.5,0,0", "conv/*=0", "0:1,0,0"])
    vectors = {path: models[0][path] - base[path] for path in base}
    depths = {"scalar/bias": 2 / 3, "frozen/kernel": 1}
    for path, array in found.items():
        share = 0.5 if path.startswith("dense") else 0 if path.startswith("conv") else depths[path]
        np.testing.assert_allclose(array, base[path] + share * vectors[path], rtol=1e-14)


def test_models_without_values() -> None:
    empty = {"kernel": np.zeros((0, 3)), "bias": np.ones(2)}
    for method, known in METHODS.items():
        count = known.most or 2
        base = None if known.base == "unused" else empty
        found = merged_arrays(method, [empty] * count, base, unit_axes={"kernel": (1,)}, **options_of(method))
        assert found["kernel"].shape == (0, 3)
