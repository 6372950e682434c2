"""Methods that draw: by their distributions, and the same bytes for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wtool.dtypes import Array
from wtool.errors import Usage
from wtool.transforms.merging.arrays import merged_arrays
from wtool.transforms.merging.registry import METHODS

RANDOM = [name for name, known in METHODS.items() if known.is_random]
SIZE = 100_000


def drawn(seed: int, shape: tuple[int, ...] = (SIZE,)) -> Array:
    values = np.random.default_rng(seed).standard_normal(shape)
    return np.asarray(values + np.sign(values))  # none is near zero


def task_vector(method: str, vector: Array, seed: int = 0, **options: Any) -> Array:
    """What a method makes of one task vector, from a base of zeros."""
    base = {"kernel": np.zeros(vector.shape)}
    found = merged_arrays(method, [{"kernel": vector}], base, seed=seed, normalize=False, **options)
    return found["kernel"]


@pytest.mark.parametrize("method", RANDOM)
@pytest.mark.parametrize("density", [0.1, 0.5, 0.8])
def test_as_many_are_kept_as_the_density_says(method: str, density: float) -> None:
    own = {"epsilon": 0.05} if method.startswith("della") else {}
    found = task_vector(method, drawn(1), density=density, **own)
    kept = np.count_nonzero(found)
    assert abs(kept - density * SIZE) < 5 * np.sqrt(density * (1 - density) * SIZE)


@pytest.mark.parametrize("method", RANDOM)
def test_kept_values_are_those_of_the_task_vector(method: str) -> None:
    vector = drawn(2)
    found = task_vector(method, vector, density=0.4, rescale="none")
    kept = found != 0
    np.testing.assert_array_equal(found[kept], vector[kept])


@pytest.mark.parametrize("method", ["dare-linear", "dare-ties"])
def test_expected_divides_by_the_density(method: str) -> None:
    vector = drawn(3)
    found = task_vector(method, vector, density=0.3)
    np.testing.assert_allclose(found[found != 0], vector[found != 0] / 0.3, rtol=1e-15)


@pytest.mark.parametrize("method", RANDOM)
def test_l1_keeps_the_sum_of_magnitudes(method: str) -> None:
    vector = drawn(4)
    found = task_vector(method, vector, density=0.3, rescale="l1", **({"epsilon": 0.1} if "della" in method else {}))
    assert np.abs(found).sum() == pytest.approx(np.abs(vector).sum(), rel=1e-12)
    factor = found[found != 0] / vector[found != 0]
    assert factor.max() == pytest.approx(factor.min(), rel=1e-12)


def test_l1_of_normal_numbers_is_near_what_mergekit_multiplies_by() -> None:
    vector = np.random.default_rng(0).standard_normal(SIZE)
    found = task_vector("dare-linear", vector, density=0.3, rescale="l1")
    at = np.flatnonzero(found)[0]
    assert found[at] / vector[at] == pytest.approx(1 / 0.3, rel=0.02)


@pytest.mark.parametrize("method", RANDOM)
def test_the_mean_over_many_seeds_is_the_task_vector(method: str) -> None:
    vector, seeds, density, epsilon = drawn(5, (6, 10)), 1000, 0.5, 0.2
    own = {"epsilon": epsilon} if method.startswith("della") else {}
    found = np.stack([task_vector(method, vector, seed, density=density, **own) for seed in range(seeds)])
    least = density - (epsilon if own else 0)
    error = np.abs(vector) * np.sqrt((1 - least) / least / seeds)
    assert np.all(np.abs(found.mean(axis=0) - vector) <= 4.5 * error)


@pytest.mark.parametrize("axes", [(0,), (1,), ()])
def test_della_keeps_by_the_rank_in_the_output_unit(axes: tuple[int, ...]) -> None:
    """p grows evenly from density - epsilon, for the smallest magnitude of a unit, to density + epsilon."""
    shape, seeds, density, epsilon = (4, 5), 1000, 0.5, 0.3
    vector = drawn(6, shape)
    base, model = {"kernel": np.zeros(shape)}, {"kernel": vector}
    kept = np.zeros(shape)
    for seed in range(seeds):
        found = merged_arrays(
            "della-linear", [model], base, seed=seed, density=density, epsilon=epsilon, unit_axes={"kernel": axes}
        )
        kept += found["kernel"] != 0
    along = None if not axes else 1 - axes[0]
    ranks = np.argsort(np.argsort(np.abs(vector), axis=along), axis=along).reshape(shape)
    length = vector.size if along is None else shape[along]
    expected = density - epsilon + 2 * epsilon * ranks / (length - 1)
    assert np.all(np.abs(kept / seeds - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / seeds) + 1e-12)
    divided = task_vector("della-linear", vector, 7, density=density, epsilon=epsilon, unit_axes={"kernel": axes})
    np.testing.assert_allclose(divided[divided != 0], (vector / expected)[divided != 0], rtol=1e-14)


def test_della_ranks_equal_magnitudes_by_position() -> None:
    density, epsilon, size = 0.5, 0.4, 300
    found = task_vector("della-linear", np.ones(size), density=density, epsilon=epsilon)
    expected = density - epsilon + 2 * epsilon * np.arange(size) / (size - 1)
    np.testing.assert_allclose(1 / found[found != 0], expected[found != 0], rtol=1e-13)


@pytest.mark.parametrize("method", RANDOM)
def test_l1_leaves_what_is_next_to_nothing(method: str) -> None:
    vector = np.full(10, 1e-9)
    found = task_vector(method, vector, density=0.5, rescale="l1")
    np.testing.assert_array_equal(found[found != 0], 1e-9)


def test_a_unit_of_one_value_is_kept_with_the_density() -> None:
    kept = [
        merged_arrays(
            "della-linear", [{"kernel": np.ones((1, 50))}], {"kernel": np.zeros((1, 50))}, seed=seed, density=0.5,
            unit_axes={"kernel": (1,)},
        )["kernel"]
        for seed in range(40)
    ]  # fmt: skip
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert abs(np.mean(kept) - 1) < 5 * np.sqrt(1 / 2000)


@pytest.mark.parametrize(
    ("density", "epsilon", "words"),
    [
        (0.9, 0.15, "probabilities from 0.75 to 1.05; take an --epsilon below 0.1"),
        (0.1, 0.15, "probabilities from -0.05 to 0.25; take an --epsilon below 0.1"),
        (0.85, 0.15, "to 1; take"),
    ],
)
def test_densities_beyond_the_range_of_della(density: float, epsilon: float, words: str) -> None:
    with pytest.raises(Usage, match=words):
        task_vector("della", np.ones(4), density=density, epsilon=epsilon)


@pytest.mark.parametrize("method", RANDOM)
def test_seeds(method: str) -> None:
    vector = drawn(8, (1000,))
    first, again, other = (task_vector(method, vector, seed, density=0.5) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


@pytest.mark.parametrize("method", RANDOM)
def test_models_keep_their_random_numbers_in_any_order(method: str) -> None:
    base = {"kernel": np.zeros(1000), "bias": np.zeros(8)}
    models = [{"kernel": drawn(seed, (1000,)), "bias": np.ones(8)} for seed in (1, 2, 3)]
    found = merged_arrays(method, models, base, density=0.5, weight=[1, 2, 4])
    other = merged_arrays(method, models[::-1], base, density=0.5, weight=[4, 2, 1])
    for path, array in found.items():
        np.testing.assert_allclose(array, other[path], rtol=1e-13)


def test_equal_models_draw_different_numbers() -> None:
    base, model = {"kernel": np.zeros(SIZE)}, {"kernel": np.ones(SIZE)}
    found = merged_arrays("dare-linear", [model, model], base, density=0.5, rescale="none")["kernel"]
    counts = [np.count_nonzero(found == value) for value in (0, 1, 2)]
    assert all(
        abs(have - want * SIZE) < 5 * np.sqrt(SIZE / 4) for have, want in zip(counts, (0.25, 0.5, 0.25), strict=True)
    )


def test_the_format_of_a_model_makes_no_difference_to_its_random_numbers() -> None:
    base, model = {"kernel": np.zeros(1000)}, {"kernel": drawn(1, (1000,)).astype(np.float32)}
    wide = merged_arrays("dare-linear", [{"kernel": model["kernel"].astype(np.float64)}], base, density=0.5)["kernel"]
    narrow = merged_arrays("dare-linear", [model], {"kernel": base["kernel"].astype(np.float32)}, density=0.5)["kernel"]
    np.testing.assert_array_equal(narrow != 0, wide != 0)


@pytest.mark.parametrize("method", RANDOM)
@pytest.mark.parametrize("rescale", ["expected", "l1", "none"])
def test_ends_of_the_density(method: str, rescale: str) -> None:
    vector = drawn(9, (20,))
    np.testing.assert_array_equal(task_vector(method, vector, density=1, rescale=rescale), vector)
    np.testing.assert_array_equal(task_vector(method, vector, density=0, rescale=rescale), 0)
    np.testing.assert_array_equal(task_vector(method, np.zeros(20), density=0.5, rescale=rescale), 0)
