"""Budgets of a sparsity and its schedules, against their formulae in plain NumPy and what the authors' codes give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import Array
from tests.transforms.test_transforms import CutUp
from wtool.transforms import budgets, lamp
from wtool.transforms.change import ArrayData, Site, on_arrays, put
from wtool.transforms.pruning import Prune
from wtool.transforms.schedules import sparsity_at

SHAPES = {"c1": (3, 3, 3, 8), "c2": (3, 3, 8, 16), "c3": (1, 1, 16, 16), "d1": (64, 20), "d2": (20, 10)}
PUBLISHED = {
    ("erk", 0.5): (0.342593, 0.782118, 0, 0.450781, 0),
    ("erk", 0.8): (0.75, 0.916667, 0.578125, 0.791406, 0.52),
    ("erk", 0.95): (0.935185, 0.979167, 0.894531, 0.947656, 0.88),
    ("uniform+", 0.5): (0, 0.537396, 0.537396, 0.537396, 0.537396),
    ("uniform+", 0.8): (0, 0.864211, 0.864211, 0.864211, 0.8),
}
"""Budget, sparsity -> amounts that the LAMP authors' code prunes of these layers."""


def model(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {path: rng.standard_normal(shape).astype(np.float32) for path, shape in SHAPES.items()}


def zeros(arrays: Mapping[str, Array]) -> list[int]:
    return [int(np.count_nonzero(a == 0)) for a in arrays.values()]


def total(arrays: Mapping[str, Array]) -> int:
    return sum(a.size for a in arrays.values())


@pytest.mark.parametrize(("budget", "sparsity"), PUBLISHED)
def test_the_amounts_are_the_authors(budget: str, sparsity: float) -> None:
    arrays = model()
    found = zeros(on_arrays(Prune(sparsity=sparsity, budget=budget), arrays))
    assert sum(found) == round(sparsity * total(arrays))
    exact = [share * a.size for share, a in zip(PUBLISHED[budget, sparsity], arrays.values(), strict=True)]
    assert np.abs(np.subtract(found, exact)).max() <= 1.01  # theirs are rounded for each layer


def test_uniform_plus_is_refused_where_the_authors_refuse_it() -> None:
    with pytest.raises(wtool.Refused, match=r"reaches a sparsity of 0\.9175 here at most"):
        on_arrays(Prune(sparsity=0.95, budget="uniform+"), model())


def scores_of_lamp(values: Array) -> Array:
    """The score of each weight: a sorted tensor and a running sum; zeros are below all."""
    w = np.abs(values.ravel().astype(np.float64))
    order = np.argsort(w, kind="stable")
    squares = w[order] ** 2
    scores = np.full(w.size, -1.0)
    with np.errstate(invalid="ignore"):
        scores[order] = np.where(squares > 0, squares / np.cumsum(squares[::-1])[::-1], -1)
    return scores


def test_scores_worked_out_by_hand() -> None:
    expected = [1 / 14, 4 / 13, 1, -1, 0.25 / 14.5, 0.25 / 14.25]
    assert scores_of_lamp(np.array([[1, -2, 3], [0, 0.5, -0.5]])) == pytest.approx([*expected[:3], *expected[3:]])


def pruned_by_lamp(arrays: Mapping[str, Array], sparsity: float) -> list[Array]:
    """Which weights go: those with the lowest scores of all tensors, ties by position; no threshold."""
    scores = np.concatenate([scores_of_lamp(a) for a in arrays.values()])
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(scores, kind="stable")[: round(sparsity * scores.size)]] = True
    return np.split(mask, np.cumsum([a.size for a in arrays.values()])[:-1])


whole = st.integers(-6, 6).map(float)
tensors = st.lists(
    st.tuples(
        st.sampled_from(["float16", "float32", "float64"]),
        st.lists(st.one_of(whole, st.floats(-8, 8, width=16)), min_size=1, max_size=40),
        st.sampled_from([0.001953125, 1.0, 4096.0]),
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(tensors, st.floats(0, 1))
def test_lamp_keeps_the_highest_scores_of_all(made: list[tuple[str, list[float], float]], sparsity: float) -> None:
    arrays = {str(n): (np.array(v, dtype) * scale).astype(dtype)[:, None] for n, (dtype, v, scale) in enumerate(made)}
    result = on_arrays(Prune(sparsity=sparsity, budget="lamp"), arrays)
    before = sum(zeros(arrays))
    assert sum(zeros(result)) == max(before, round(sparsity * total(arrays)))
    kept = [scores_of_lamp(a)[b.ravel() != 0] for a, b in zip(arrays.values(), result.values(), strict=True)]
    gone = [
        scores_of_lamp(a)[(a.ravel() != 0) & (b.ravel() == 0)]
        for a, b in zip(arrays.values(), result.values(), strict=True)
    ]
    highest, lowest = np.concatenate(gone).max(initial=-1), np.concatenate(kept).min(initial=2)
    assert highest <= lowest * (1 + 1e-12)


def test_lamp_prunes_what_a_sort_of_all_scores_prunes() -> None:
    arrays = model() | {"wide": np.random.default_rng(1).standard_normal((300, 500)).astype(np.float32) * 100}
    for sparsity in (0.3, 0.9, 0.999):
        result = on_arrays(Prune(sparsity=sparsity, budget="lamp"), arrays)
        for a, mask in zip(result.values(), pruned_by_lamp(arrays, sparsity), strict=True):
            assert np.array_equal(a.ravel() == 0, mask)


@pytest.mark.parametrize("kind", ["one value", "two tensors alike", "steep", "of halves"])
def test_lamp_of_odd_values(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lamp, "KEPT", 50)
    rng = np.random.default_rng(2)
    own = rng.standard_normal((40, 50)).astype(np.float32)
    arrays = {
        "one value": {"a": np.full((70, 1000), 3, np.float32), "b": own},
        "two tensors alike": {"a": own, "b": own * 4},
        "steep": {"a": np.geomspace(1e-35, 1e35, 3000, dtype=np.float32)[:, None], "b": own},
        "of halves": {"a": own.astype(np.float16), "b": (own * 1000).astype(np.float16)},
    }[kind]
    for sparsity in (0.1, 0.5, 0.97):
        result = on_arrays(Prune(sparsity=sparsity, budget="lamp"), arrays)
        for a, mask in zip(result.values(), pruned_by_lamp(arrays, sparsity), strict=True):
            assert np.array_equal(a.ravel() == 0, mask)


def test_lamp_empties_no_tensor_before_all_are_down_to_a_weight() -> None:
    arrays = {"tiny": np.full((3, 3), 1e-20, np.float32), "large": np.full((30, 30), 1e3, np.float32)}
    result = on_arrays(Prune(sparsity=1 - 2 / 909, budget="lamp"), arrays)
    assert zeros(result) == [8, 899]
    assert zeros(on_arrays(Prune(sparsity=1 - 1 / 909, budget="lamp"), arrays)) == [9, 899]  # the first one first


def test_lamp_refuses_what_has_no_score() -> None:
    for odd in (np.nan, np.inf, 1e200):
        with pytest.raises(wtool.Refused, match="w holds NaN, or values that are too large"):
            on_arrays(Prune(sparsity=0.5, budget="lamp"), {"w": np.array([[1.0, odd, 2.0]])})


def erdos_renyi(sizes: list[int], sums: list[int], kept: float) -> Array:
    """The shares that stay, by bisection for eps in sum(min(n, eps * dimensions)) = kept: no layer is made dense."""
    n, d = np.array(sizes, float), np.array(sums, float)
    low, high = 0.0, float((n / d).max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(n, middle * d).sum() < kept else (low, middle)
    return np.minimum(n, high * d)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=8), st.floats(0, 1))
def test_erdos_renyi_graphs(shapes: list[list[int]], sparsity: float) -> None:
    sizes, sums = [int(np.prod(shape)) for shape in shapes], [sum(shape) for shape in shapes]
    count = round(sparsity * sum(sizes))
    found = budgets.erdos_renyi(sizes, sums, count)
    assert sum(found) == count
    exact = np.array(sizes) - erdos_renyi(sizes, sums, sum(sizes) - count)
    assert np.abs(np.array(found) - exact).max() < 1 + 1e-6


def test_dimensions_are_those_of_the_matrix_that_a_kernel_stands_for() -> None:
    heads = Site("query", (512, 8, 64), "float32", unit_axes=(1, 2), input_axes=(0,))
    depthwise = Site("dw", (3, 3, 32, 2), "float32", unit_axes=(2, 3))
    conv = Site("conv", (3, 5, 8, 16), "float32", unit_axes=(3,), input_axes=(2,))
    assert [budgets.dimensions(each) for each in (heads, depthwise, conv)] == [1024, 3 + 3 + 64 + 1, 3 + 5 + 8 + 16]
    assert budgets.dimensions(Site("bias", (7,), "float32")) == 7


def test_depthwise_kernels_are_left_out_unless_they_are_named() -> None:
    arrays = {"dw": np.ones((3, 3, 8, 1), np.float32), **model()}

    def data(is_named: bool) -> ArrayData:
        @dataclass(frozen=True)
        class Depthwise(ArrayData):
            @property
            def sites(self) -> list[Site]:
                first, *others = ArrayData(arrays).sites
                return [replace(first, unit_axes=(2, 3), input_axes=(), is_named=is_named), *others]

        return Depthwise(arrays)

    for budget in ("uniform+", "erk", "lamp"):
        prune = Prune(sparsity=0.8, budget=budget)
        left_out = prune.prepare(data(is_named=False), 0, 0)
        assert "dw" not in left_out.changes
        assert "depthwise kernels stay dense and are not counted in: dw" in left_out.notes[0]
        assert prune.prepare(data(is_named=True), 0, 0).notes == ()
    assert "dw" in Prune(sparsity=0.8).prepare(data(is_named=False), 0, 0).changes


def test_scopes_are_other_names_of_two_budgets() -> None:
    arrays = model()
    for scope, budget in (("tensor", "uniform"), ("global", "global")):
        assert Prune(sparsity=0.7, scope=scope) == Prune(sparsity=0.7, budget=budget) == Prune(
            sparsity=0.7, scope=scope, budget=budget
        )  # fmt: skip
        assert Prune(sparsity=0.7, budget=budget).scope == scope
    assert zeros(on_arrays(Prune(sparsity=0.7, budget="uniform"), arrays)) == [
        round(0.7 * a.size) for a in arrays.values()
    ]
    assert Prune(sparsity=0.7).scope == "tensor"
    with pytest.raises(wtool.Usage, match="a scope of global and a budget of erk contradict each other"):
        Prune(sparsity=0.7, scope="global", budget="erk")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=6),
    st.sampled_from(["uniform+", "erk", "lamp", "global"]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_counts_are_exact_and_masks_nested(
    shapes: list[tuple[int, int]], budget: str, one: float, other: float
) -> None:
    rng = np.random.default_rng(len(shapes))
    arrays = {str(n): rng.integers(1, 4, shape).astype(np.float32) for n, shape in enumerate(shapes)}
    low, high = sorted((one, other))
    try:
        once = on_arrays(Prune(sparsity=low, budget=budget), arrays)
        twice = on_arrays(Prune(sparsity=high, budget=budget), once)
    except wtool.Refused:
        assert budget == "uniform+"
        return
    assert sum(zeros(once)) == round(low * total(arrays))
    assert all(not np.any((once[path] == 0) & (twice[path] != 0)) for path in arrays)
    if budget in ("lamp", "global"):
        assert sum(zeros(twice)) == round(high * total(arrays))
        direct = on_arrays(Prune(sparsity=high, budget=budget), arrays)
        assert all(np.array_equal(twice[path], direct[path]) for path in arrays)


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("budget", ["erk", "lamp"])
def test_no_cut_of_blocks_changes_a_mask(budget: str, cut: int) -> None:
    rng = np.random.default_rng(5)
    arrays = {
        path: rng.standard_normal(shape).astype(np.float32) for path, shape in (("a", (400, 500)), ("b", (30, 90)))
    }
    expected = on_arrays(Prune(sparsity=0.9, budget=budget), arrays)
    data = CutUp([arrays], {}, cut)
    prepared = Prune(sparsity=0.9, budget=budget).prepare(data, 0, 0)
    for site in data.sites:
        values = arrays[site.path].reshape(-1).copy()
        for start, stop in data.blocks(site):
            put(values[start:stop], prepared.changes[site.path](data.read(site, start, stop), start))
        assert values.tobytes() == expected[site.path].tobytes()


def test_a_scaled_last_layer_is_pruned_by_itself() -> None:
    arrays = model()
    for budget in ("erk", "lamp"):
        found = zeros(on_arrays(Prune(sparsity=0.8, budget=budget, last_layer_scale=0.5), arrays))
        assert found[-1] == round(0.4 * 200)
        assert sum(found[:-1]) == round(0.8 * (total(arrays) - 200))


def test_schedules() -> None:
    assert [sparsity_at("polynomial", 0.9, step, 10) for step in (0, 3, 10)] == pytest.approx([0, 0.9 * 0.657, 0.9])
    assert sparsity_at("polynomial", 0.9, 10, 10) == 0.9
    assert sparsity_at("linear", 0.9, 1, 3) == pytest.approx(0.3)
    assert sparsity_at("geometric", 0.875, 2, 3) == pytest.approx(0.75)
    assert sparsity_at("geometric", 0.1, 3, 3) == 0.1  # 1 - (1 - 0.1) is another number
    assert sparsity_at("geometric", 1, 3, 3) == 1
    arrays = model()
    prune = Prune(sparsity=0.9, schedule="polynomial", step="3/10", budget="global")
    assert prune.share == pytest.approx(0.9 * (1 - 0.7**3))
    assert sum(zeros(on_arrays(prune, arrays))) == round(prune.share * total(arrays))
    prepared = prune.prepare(ArrayData(arrays), 0, 0)
    assert prepared.notes == ("step 3/10 of the schedule is a sparsity of 0.5913",)
    start = on_arrays(Prune(sparsity=0.9, schedule="polynomial", step="0/10"), arrays)
    assert sum(zeros(start)) == 0
