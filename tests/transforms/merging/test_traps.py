"""Where definitions are not defined, or lead astray: an error that says what to change, or the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.transforms.merging import formulas
from wtool.dtypes import Array
from wtool.errors import Refused, Usage
from wtool.transforms.change import Site
from wtool.transforms.merging.arrays import ModelArrays, merged_arrays
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.merging.settings import settings_of


def merged(method: str, models: list[Any], base: Any = None, **options: Any) -> Array:
    """The merge of one tensor."""
    operands = [{"kernel": np.asarray(each, np.float64)} for each in models]
    own = None if base is None else {"kernel": np.asarray(base, np.float64)}
    return merged_arrays(method, operands, own, **options)["kernel"]


def notes(method: str, models: list[Any], base: Any, **options: Any) -> tuple[str, ...]:
    arrays = [{"kernel": np.asarray(each, np.float64)} for each in (base, *models)]
    sites = [Site("kernel", arrays[0]["kernel"].shape, "float64")]
    settings = settings_of(METHODS[method], len(models), options, sites, has_base=True)
    return METHODS[method].prepare(ModelArrays(arrays, sites), settings).notes


# model stock


def test_model_stock_stays_with_the_base_where_task_vectors_point_away_from_each_other() -> None:
    """Two vectors at 120 degrees: the formula says t = -2, and mergekit gives (-.5, -.866)."""
    models = [[1.0, 0], [-0.5, np.sqrt(0.75)]]
    np.testing.assert_array_equal(merged("model-stock", models, [0, 0]), 0)
    assert notes("model-stock", models, [0, 0]) == (
        "the task vectors of kernel point away from each other: the base's values are kept there",
    )
    assert notes("model-stock", [[1, 0], [1, 1]], [0, 0]) == ()


def test_model_stock_of_right_angles_is_the_base_and_of_equal_models_the_model() -> None:
    np.testing.assert_allclose(merged("model-stock", [[1, 0], [0, 1]], [0, 0]), 0, atol=1e-16)
    for size in (1.0, 1e-5, 1e-160):  # mergekit takes short ones for less alike than they are
        model = np.array([3, 4]) * size
        np.testing.assert_allclose(merged("model-stock", [model] * 3, [0, 0]), model, rtol=1e-14)


def test_model_stock_of_a_model_that_is_the_base() -> None:
    np.testing.assert_array_equal(merged("model-stock", [[1, 2], [1, 2]], [1, 2]), [1, 2])
    np.testing.assert_array_equal(merged("model-stock", [[5, 6], [1, 2]], [1, 2]), [1, 2])


# spheres


@pytest.mark.parametrize(
    ("method", "base", "models", "options"),
    [
        ("slerp", [1, 2], [[-1, -2]], {"t": 0.5}),
        ("slerp", [1, 2], [[-1, -2.0001]], {"t": 0.5}),
        ("nuslerp", None, [[1, 2], [-1, -2]], {}),
        ("nuslerp", [0, 0], [[1, 2], [-1, -2]], {}),
        ("nuslerp", None, [[[1, 2], [3, 4]], [[-1, 2], [-3, 4]]], {"rows": True, "unit_axes": {"kernel": (1,)}}),
        ("multislerp", None, [[1, 2], [-1, -2]], {}),
        ("multislerp", None, [[1, 0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]], {}),
        ("karcher", None, [[1, 2], [-1, -2]], {}),
        ("karcher", None, [[1, 2], [1, 2], [-1, -2]], {}),
    ],
)
def test_opposite_directions_are_refused(method: str, base: Any, models: list[Any], options: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"kernel: the models point in opposite directions.*--exclude"):
        merged(method, models, base, **options)


def test_opposite_directions_away_from_the_middle_lie_on_a_line() -> None:
    np.testing.assert_allclose(merged("slerp", [[-1, -2]], [1, 2], t=0.25), [0.5, 1])
    np.testing.assert_array_equal(merged("slerp", [[-1, -2]], [1, 2], t=1), [-1, -2])


@pytest.mark.parametrize(
    ("method", "base", "models", "options"),
    [
        ("slerp", [0.5], [[-0.5]], {"t": 0.5}),
        ("nuslerp", None, [[0.5], [-0.5]], {}),
        ("multislerp", None, [[0.5], [-0.5]], {}),
        ("karcher", None, [[0.5], [-0.5]], {}),
    ],
)
def test_a_single_value_may_change_its_sign(method: str, base: Any, models: list[Any], options: dict[str, Any]) -> None:
    np.testing.assert_allclose(merged(method, models, base, **options), 0, atol=1e-17)


def test_slerp_with_a_vector_of_zeros_is_at_a_right_angle() -> None:
    np.testing.assert_allclose(merged("slerp", [[1, 0, 0]], [0, 0, 0], t=0.5), [0.5**0.5, 0, 0])
    np.testing.assert_array_equal(merged("slerp", [[0, 0]], [0, 0], t=0.5), 0)
    np.testing.assert_allclose(merged("nuslerp", [[0, 0, 0], [1, 0, 0]]), [0.5**0.5, 0, 0])


def test_slerp_of_nearly_equal_models_is_on_the_line() -> None:
    base, model = np.array([1.0, 0.02]), np.array([1.0, 0.05])
    np.testing.assert_allclose(merged("slerp", [model], base, t=0.3), 0.7 * base + 0.3 * model, rtol=1e-15)


def test_slerp_on_a_quarter_of_a_circle() -> None:
    found = merged("slerp", [[0, 2]], [1, 0], t=1 / 3)
    np.testing.assert_allclose(found, [np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)])


def test_karcher_counts_vectors_of_zeros_in_the_length_only() -> None:
    np.testing.assert_allclose(merged("karcher", [[1, 0, 0], [0, 0, 0]]), [0.5, 0, 0])
    np.testing.assert_array_equal(merged("karcher", [[0, 0], [0, 0]]), 0)
    np.testing.assert_allclose(merged("karcher", [[1e-6, 0], [0, 2e-6]]), [5e-7, 1e-6])  # mergekit: zeros


def test_karcher_of_three_right_angles_is_their_middle() -> None:
    np.testing.assert_allclose(merged("karcher", np.eye(3).tolist(), max_iterations=100), np.full(3, 3**-0.5))


def test_multislerp_of_task_vectors_of_zeros_is_the_base() -> None:
    np.testing.assert_array_equal(merged("multislerp", [[1, 2], [1, 2]], [1, 2]), [1, 2])
    np.testing.assert_array_equal(merged("multislerp", [[1, 2], [5, 6]], [1, 2], weight=[1, 0]), [1, 2])


@pytest.mark.parametrize("size", [1e-9, 1e-14, 1e-30])
def test_multislerp_of_short_vectors_has_their_direction_and_mean_length(size: float) -> None:
    """mergekit takes directions of less than 1e-8 for opposite ones, since it adds 1e-8 to lengths."""
    models = np.array([[3.0, 4.0], [4.0, 3.0]])
    np.testing.assert_allclose(merged("multislerp", list(models * size)) / size, [5 * 0.5**0.5] * 2, rtol=1e-14)
    np.testing.assert_allclose(merged("multislerp", [models[0] * size], [0, 0]), models[0] * size, rtol=1e-14)


def test_nuslerp_with_weights_that_add_up_to_nothing_is_an_error() -> None:
    with pytest.raises(Usage, match="add up to 0"):
        merged("nuslerp", [[1, 0], [0, 1]], weight=[1, -1])


# ranks


@pytest.mark.parametrize(
    ("density", "size", "kept"), [(0.29, 100, 29), (0.3, 10, 3), (0.2, 4, 1), (0.01, 5, 1), (0.57, 100, 57), (0, 9, 0)]
)
def test_as_many_values_are_kept_as_the_decimal_says(density: float, size: int, kept: int) -> None:
    model = np.arange(1, size + 1)
    found = merged("ties", [model], np.zeros(size), density=density)
    np.testing.assert_array_equal(found, np.where(model > size - kept, model, 0))


def test_of_equal_magnitudes_the_later_are_kept() -> None:
    found = merged("ties", [[1, -1, 1, 1, 2]], np.zeros(5), density=0.6)
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 2])


def test_breadcrumbs_of_tensors_smaller_than_1_by_gamma_lose_no_more_than_others() -> None:
    """mergekit before 0.1.5 lost the whole task vector of such a tensor."""
    found = merged("breadcrumbs", [np.arange(1, 21)], np.zeros(20), density=0.5, gamma=0.01)
    np.testing.assert_array_equal(found, np.where(np.arange(1, 21) > 10, np.arange(1, 21), 0))
    np.testing.assert_array_equal(merged("breadcrumbs", [[3.0]], [0.0], density=0.5), [3.0])


def test_breadcrumbs_drop_outliers_and_small_values() -> None:
    found = merged("breadcrumbs", [np.arange(1, 11)], np.zeros(10), density=0.5, gamma=0.2)
    np.testing.assert_array_equal(found, [0, 0, 0, 4, 5, 6, 7, 8, 0, 0])
    np.testing.assert_array_equal(  # more than are left below the outliers: fewer outliers go
        merged("breadcrumbs", [np.arange(1, 11)], np.zeros(10), density=0.9, gamma=0.2), [*range(1, 10), 0]
    )


def test_global_ranks_are_those_of_all_tensors_together() -> None:
    base = {"a": np.zeros(4), "b": np.zeros(6)}
    model = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([10.0, 20, 30, 40, 2, 1])}
    found = merged_arrays("ties", [model], base, density=0.5, scope="global")
    np.testing.assert_array_equal(found["a"], [0, 0, 0, 4])
    np.testing.assert_array_equal(found["b"], [10, 20, 30, 40, 0, 0])
    other = {path: array * 100 for path, array in model.items()}
    both = merged_arrays("ties", [model, other], base, density=0.5, scope="global", normalize=False)
    np.testing.assert_array_equal(both["a"], [0, 0, 0, 404])


def test_global_ranks_need_one_density() -> None:
    base = {"first/kernel": np.zeros(4), "last/kernel": np.zeros(6)}
    with pytest.raises(Usage, match="one --density"):
        merged_arrays("ties", [base], base, density=["first/*=.1", ".5"], scope="global")
    with pytest.raises(Usage, match="one --gamma"):
        merged_arrays("breadcrumbs", [base], base, density=0.5, gamma="0:.1", scope="global")


# signs


def test_a_sum_of_zero_counts_as_positive() -> None:
    np.testing.assert_array_equal(merged("ties", [[1.0], [-1.0]], [0.0]), [1.0])
    np.testing.assert_array_equal(merged("sce", [[1.0], [-1.0]], [0.0]), [1.0])
    np.testing.assert_array_equal(merged("ties", [[2.0], [2.0]], [2.0]), [2.0])


def test_a_sum_that_is_zero_but_for_rounding_counts_as_positive_in_any_order() -> None:
    models = [[0.1], [0.2], [-0.3]]  # .1 + .2 - .3 is 5.6e-17 in floating point, and -.3 + .2 + .1 is -2.8e-17
    for order in (models, models[::-1], [models[2], models[0], models[1]]):
        np.testing.assert_allclose(merged("ties", order, [0.0]), [0.15])


@pytest.mark.parametrize("sign", [1, -1])
def test_whichever_way_it_is_rounded(sign: int) -> None:
    models = np.array([[0.1], [0.7], [-0.8]]) * sign  # .1 + .7 is less than .8 in floating point
    np.testing.assert_allclose(merged("ties", list(models), [0.0]), [0.4 if sign > 0 else 0.8])


def test_equal_weights_may_be_negative() -> None:
    np.testing.assert_array_equal(merged("ties", [[1.0, 2], [3.0, -8]], [0.0, 0], weight=-1), [2, -8])


def test_a_sum_of_zero_takes_the_sign_of_the_most_in_the_scope_global() -> None:
    models = [[1, -3, -2, 5, -1], [-1, -2, -1, 4, -1]]
    np.testing.assert_array_equal(merged("ties", models, np.zeros(5), scope="global"), [-1, -2.5, -1.5, 4.5, -1])
    np.testing.assert_array_equal(merged("ties", models, np.zeros(5), scope="tensor"), [1, -2.5, -1.5, 4.5, -1])


def test_zeros_do_not_vote_and_are_not_divided_by() -> None:
    np.testing.assert_array_equal(merged("ties", [[4.0, 0], [0.0, 0], [2.0, 0]], [0.0, 0]), [3, 0])


def test_nobody_agrees() -> None:
    """A divisor of 0 counts as 1: of weights that cancel out, and of none."""
    np.testing.assert_array_equal(merged("ties", [[1.0]], [5.0], weight=0), [5.0])
    np.testing.assert_array_equal(merged("ties", [[1.0], [-1.0]], [0.0], weight=[1, -1]), [2.0])
    np.testing.assert_array_equal(
        merged("task-arithmetic", [[3.0], [1.0]], [0.0], weight=[1, -1], normalize=True), [2.0]
    )


# sce


def test_sce_of_models_that_agree_everywhere_selects_nothing() -> None:
    np.testing.assert_array_equal(merged("sce", [[1, 2], [1, 2]], [0, 0], select_topk=0.5), [0, 0])
    np.testing.assert_array_equal(merged("sce", [[1, 2], [1, 2]], [0, 0]), [1, 2])
    np.testing.assert_array_equal(merged("sce", [[1, 2], [3, 2]], [1, 2], select_topk=0), [1, 2])


def test_sce_weighs_small_task_vectors_by_their_squares() -> None:
    """mergekit takes equal weights where the mean squares add up to less than 1e-6."""
    found = merged("sce", [[1e-4, 1e-4], [2e-4, 2e-4]], [0, 0])
    np.testing.assert_allclose(found, (1 * 1e-4 + 4 * 2e-4) / 5, rtol=1e-12)


# nearswap


def test_nearswap() -> None:
    found = merged("nearswap", [[0.05, 1.0, -2.0, 0.0]], [0.0, 0.0, 0.0, 0.0], t=0.1)
    np.testing.assert_allclose(found, [0.05, 0.1, -0.1, 0])
    np.testing.assert_array_equal(merged("nearswap", [[1.0, 2.0]], [3.0, 4.0], t=0), [3, 4])
    np.testing.assert_allclose(merged("nearswap", [[1e-8]], [0.0], t=1e-7), [1e-9])  # differences count as 1e-6


# many values


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_rows_of_a_large_tensor(axes: tuple[int, ...]) -> None:
    shape = (3, 1000, 100)
    first, second = (np.random.default_rng(seed).standard_normal(shape) for seed in (1, 2))
    found = merged("nuslerp", [first, second], rows=True, weight=[1, 3], unit_axes={"kernel": axes})
    options = {"rows": True, "weight": [1, 3]}
    np.testing.assert_allclose(found, formulas.merged("nuslerp", None, [first, second], axes, **options), rtol=1e-10)


# very large values


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e200, 1.7e308])
@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_too_large_are_refused_without_a_warning(method: str, size: float) -> None:
    known = METHODS[method]
    tensors = [size * np.array([[1, -1, 0.5], [0.3, 0.9, 1]]) * (-1) ** at for at in range(4)]
    tensors[1][0] *= 0.1
    tensors[3] = tensors[3] * 0.5
    options = {"t": {"t": 0.5}, "density": {"density": 0.5}, "select_topk": {"select_topk": 0.5}}
    own = next((options[name] for name in options if name in known.takes), {})
    try:
        found = merged(
            method, tensors[1 : 1 + (known.most or 3)], None if known.base == "unused" else tensors[0], **own
        )
    except Refused as error:
        assert "too large" in str(error) or "opposite" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(found).all()
