"""Transforms of arrays: one contract for all in the registry, and each against its formula written out in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import ml_dtypes  # noqa: F401 - so that NumPy knows bfloat16 by name
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import wtool
from tests.models import Array
from wtool import choices
from wtool.dtypes import dtype_of, largest
from wtool.option import options_of
from wtool.transforms import criteria, ranking
from wtool.transforms.change import ArrayData, Blocks, Look, Site, Transform, on_arrays, put
from wtool.transforms.criteria import CRITERIA, SHORT
from wtool.transforms.pruning import Prune
from wtool.transforms.registry import REGISTRY, transforms
from wtool.transforms.streams import CHUNK, distinct, drawn, stream
from wtool.transforms.stroking import NeuroPlast, Stroke
from wtool.transforms.tickets import Constant, Jitter, Randomize, Reshuffle, Rewind

DTYPES = ["float16", "bfloat16", "float32", "float64"]
VARIANTS: list[Transform] = [
    Prune(min_value=-0.2, max_value=0.3),
    *(Prune(sparsity=0.7, criterion=name, scope=scope) for name in CRITERIA for scope in choices.SCOPES),
    Prune(sparsity=0.7, scope="global", last_layer_scale=0.5),
    *(Prune(sparsity=0.7, budget=budget) for budget in ("uniform+", "lamp")),
    Prune(sparsity=0.7, budget="lamp", last_layer_scale=0.5),
    *(Prune(pattern="1:3", criterion=name) for name in CRITERIA),
    *(Prune(sparsity=0.6, block="2x3", criterion=name) for name in CRITERIA),
    Prune(sparsity=0.6, block="2x3", scope="global"),
    Prune(sparsity=0.7, block="1x2", budget="uniform+", schedule="polynomial", step="3/4"),
    Stroke(),
    Stroke(volatility_ratio=0.3, set_value=0.0),
    NeuroPlast(min_value=-0.3, max_value=0.3),
    NeuroPlast(min_value=-0.3, max_value=0.3, set_value=0.0),
    Rewind(),
    *(kind(same_sign=same) for kind in (Jitter, Randomize, Reshuffle, Constant) for same in (True, False)),
    *(kind(pruned="initial") for kind in (Jitter, Randomize, Reshuffle, Constant)),
]
VARIANTS += [kind() for kind in transforms().values() if kind not in {*map(type, VARIANTS)}]
INITIALIZERS = {"hidden/kernel": "glorot_uniform", "deep/kernel": {"class_name": "Orthogonal", "config": {"gain": 1.0}}}


def told(transform: Transform) -> str:
    return f"{transform.name} {[getattr(transform, each.name) for each in fields(transform)]}"  # type: ignore[arg-type]


def model(dtype: str = "float32", seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"hidden/kernel": (30, 40), "deep/kernel": (7, 11), "large/kernel": (260, 300), "output/kernel": (300, 3)}
    return {path: rng.standard_normal(shape).astype(dtype) for path, shape in shapes.items()}


def masked(arrays: Mapping[str, Array], share: float = 0.5, seed: int = 5) -> dict[str, Array]:
    """A model in which a random share of the values is zero."""
    rng = np.random.default_rng(seed)
    return {path: np.where(rng.random(a.shape) < share, a.dtype.type(0), a) for path, a in arrays.items()}


def taking_part(transform: Transform, dtype: str = "float32") -> tuple[dict[str, Array], dict[str, Array] | None]:
    """What a transform is done to: a model, or a pruned one, and an initial one where it needs that."""
    initial = model(dtype, seed=1)
    if transform.of_initial:
        return masked(model(dtype)), initial
    return masked(model(dtype), 0.1), initial if transform.reads_initial else None


def done(transform: Transform, dtype: str = "float32", seed: int = 3) -> dict[str, Array]:
    return on_arrays(transform, *taking_part(transform, dtype), seed=seed, initializers=INITIALIZERS)


def same_bytes(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return all(left[path].tobytes() == right[path].tobytes() for path in left)


def in_double(array: Array) -> Array:
    return array.astype(np.float64)


@dataclass(frozen=True)
class CutUp:
    """The same tensors, in blocks of any size and in any order of tensors."""

    arrays: Sequence[Mapping[str, Array]]
    initializers: Mapping[str, Any]
    seed: int

    @property
    def sites(self) -> list[Site]:
        return [
            replace(site, is_output=site.path == "output/kernel")
            for site in ArrayData(self.arrays[0], None, self.initializers).sites
        ]

    def blocks(self, site: Site) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self.seed, site.size])
        cuts = sorted({0, site.size, *rng.integers(0, site.size, 5).tolist()})
        yield from pairwise(cuts)

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        for site in sorted(sites, key=lambda site: hash((self.seed, site.size))):
            for start, stop in self.blocks(site):
                yield site, start, look(site, self.read(site, start, stop), start)

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        return [arrays[site.path].reshape(-1)[start:stop] for arrays in self.arrays]


# The contract of all transforms


def test_every_transform_has_a_variant_here_a_command_and_a_function() -> None:
    from wtool.cli import COMMANDS

    assert {transform.name for transform in VARIANTS} == set(REGISTRY)
    for name, kind in transforms().items():
        assert name == kind.name
        assert name in COMMANDS
        assert callable(getattr(wtool, name))
        assert kind.__doc__


def test_choices_are_those_of_the_registry() -> None:
    assert (*CRITERIA, *SHORT) == criteria.NAMES == options_of(Prune)["criterion"].choices


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transform", VARIANTS, ids=told)
def test_contract(transform: Transform, dtype: str) -> None:
    arrays, initial = taking_part(transform, dtype)
    before = {path: a.copy() for path, a in arrays.items()}
    result = done(transform, dtype)
    base = initial if transform.of_initial and initial is not None else arrays
    assert same_bytes(arrays, before), "its input changed"
    assert {path: (a.shape, a.dtype) for path, a in result.items()} == {p: (a.shape, a.dtype) for p, a in base.items()}
    assert all(not np.array_equal(result[path], base[path]) for path in base), "it gave back its input"
    assert all(np.count_nonzero(a) > 0.05 * a.size for a in result.values()), "it gave back zeros"
    assert all(np.isfinite(in_double(a)).all() for a in result.values())
    assert same_bytes(result, done(transform, dtype)), "the same seed gave another result"
    differs = not same_bytes(result, done(transform, dtype, seed=4))
    assert differs == (transform.is_random and not same_sign_constant(transform))


def same_sign_constant(transform: Transform) -> bool:
    """Drawn are only the signs of initial zeros, of which there are none here."""
    return isinstance(transform, Constant) and transform.same_sign


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("transform", VARIANTS, ids=told)
def test_neither_blocks_nor_order_change_a_result(transform: Transform, cut: int) -> None:
    arrays, initial = taking_part(transform)
    both = [each for each in ((initial, arrays) if transform.of_initial else (arrays, initial)) if each is not None]
    data = CutUp(both, INITIALIZERS, cut)
    prepared = transform.prepare(data, 3, 0)
    expected = on_arrays(transform, arrays, initial, seed=3, initializers=INITIALIZERS)
    for site in reversed(data.sites):
        values = both[0][site.path].reshape(-1).copy()
        for start, stop in data.blocks(site):
            put(values[start:stop], prepared.changes[site.path](data.read(site, start, stop), start))
        assert values.tobytes() == expected[site.path].tobytes(), site.path


def test_every_tensor_has_its_own_random_numbers() -> None:
    ramp = np.linspace(0.5, 1.5, 2500, dtype=np.float32).reshape(50, 50)
    same = {"a": ramp, "b": ramp}
    for transform in (Stroke(), NeuroPlast(min_value=0.0, max_value=2.0), Jitter(), Randomize(same_sign=False)):
        result = on_arrays(transform, same, same if transform.of_initial else None, seed=1)
        assert not np.array_equal(result["a"], result["b"]), transform.name
        alone = on_arrays(transform, {"b": same["b"]}, {"b": same["b"]} if transform.of_initial else None, seed=1)
        assert np.array_equal(result["b"], alone["b"]), transform.name


# Pruning


def lowest(scores: Array, count: int) -> Array:
    """Mask of the lowest scores, ties by position: a stable sort, written out."""
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(scores.ravel(), kind="stable")[:count]] = True
    return mask.reshape(scores.shape)


def score(criterion: str, final: Array, initial: Array, share: float) -> Array:
    """The criteria of arXiv:1905.01067, one number at a time where that is clearer; zeros come first."""
    wf, wi = in_double(final), in_double(initial)
    kept = wf != 0
    with np.errstate(all="ignore"):
        match SHORT.get(criterion, criterion):
            case "large-final":
                scores = abs(wf)
            case "magnitude-increase":
                scores = abs(wf) - abs(wi)
            case "movement":
                scores = abs(wf - wi)
            case "large-final-same-sign":
                scores = np.where(wi == 0, 0, np.maximum(0, wf * wi / abs(wi)))
            case "large-init":
                scores = abs(wi)
            case "large-init-large-final":
                count = round(share * wf.size)
                now = (count - (wf.size - kept.sum())) / kept.sum()
                alpha = np.quantile(abs(wi[kept]), now) / np.quantile(abs(wf[kept]), now) if now > 0 else 1.0
                scores = np.minimum(alpha * abs(wf), abs(wi))
    return np.where(kept, scores, -np.inf)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("criterion", [*SHORT, *SHORT.values()])
def test_sparsity_of_each_tensor(criterion: str, dtype: str) -> None:
    trained, initial = masked(model(dtype), 0.2), masked(model(dtype, 1), 0.05, 9)
    needed = initial if CRITERIA[SHORT.get(criterion, criterion)].reads_initial else None
    result = on_arrays(Prune(sparsity=0.65, criterion=criterion), trained, needed)
    for path, final in trained.items():
        mask = lowest(score(criterion, final, initial[path], 0.65), round(0.65 * final.size))
        expected = np.where(mask, final.dtype.type(0), final)
        assert np.count_nonzero(expected == 0) == round(0.65 * final.size)
        assert result[path].tobytes() == expected.tobytes(), path


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("criterion", SHORT)
def test_global_sparsity(criterion: str, dtype: str) -> None:
    trained, initial = masked(model(dtype), 0.2), model(dtype, 1)
    needed = initial if CRITERIA[SHORT[criterion]].reads_initial else None
    result = on_arrays(Prune(sparsity=0.65, criterion=criterion, scope="global"), trained, needed)
    final = np.concatenate([a.ravel() for a in trained.values()])
    scores = score(criterion, final, np.concatenate([a.ravel() for a in initial.values()]), 0.65)
    expected = np.where(lowest(scores, round(0.65 * final.size)), final.dtype.type(0), final)
    assert np.concatenate([a.ravel() for a in result.values()]).tobytes() == expected.tobytes()


def test_the_largest_initial_weights_stay() -> None:
    """Worked out by hand: of four weights, those with the initial values 0.1 and -0.2 go; a zero goes before any."""
    final, initial = np.array([[0.5, -4.0], [3.0, 0.01]]), np.array([[0.1, 0.4], [-0.2, -0.3]])
    for name in ("large-init", "li"):
        result = on_arrays(Prune(sparsity=0.5, criterion=name), {"kernel": final}, {"kernel": initial})
        assert result["kernel"].tolist() == [[0.0, -4.0], [0.0, 0.01]]
    final[0, 1] = 0.0
    result = on_arrays(Prune(sparsity=0.5, criterion="li"), {"kernel": final}, {"kernel": initial})
    assert result["kernel"].tolist() == [[0.0, 0.0], [3.0, 0.01]]


@pytest.mark.parametrize("scope", choices.SCOPES)
def test_the_last_layer_is_scaled(scope: str) -> None:
    trained = model()
    result = on_arrays(Prune(sparsity=0.8, scope=scope, last_layer_scale=0.5), trained)
    zeros = {path: int(np.count_nonzero(a == 0)) for path, a in result.items()}
    assert zeros.pop("output/kernel") == round(0.4 * 900)
    assert sum(zeros.values()) == sum(
        round(0.8 * a.size) for path, a in trained.items() if path != "output/kernel" and scope == "tensor"
    ) or sum(zeros.values()) == round(0.8 * (1200 + 77 + 78000))


@pytest.mark.parametrize("sparsity", [0.02, 0.1, 0.33, 0.5, 0.77, 0.98])
def test_global_sparsity_of_mixed_dtypes(sparsity: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(60)
    arrays = {"a": values.astype(np.float32), "b": values, "c": values.astype(np.float16)}
    result = on_arrays(Prune(sparsity=sparsity, scope="global"), arrays)
    final = np.concatenate([in_double(a) for a in arrays.values()])
    expected = np.where(lowest(abs(final), round(sparsity * 180)), 0, final)
    assert np.concatenate([in_double(a) for a in result.values()]).tobytes() == expected.tobytes()


def test_a_range_is_compared_in_the_tensors_own_dtype() -> None:
    for dtype in DTYPES:
        edges = np.array([-0.2, -0.1, 0.1, 0.2]).astype(dtype)  # 0.1 in float16 is less than 0.1
        beyond = np.nextafter(edges[[0, 3]], np.array([-1, 1]).astype(dtype))
        values = np.concatenate([edges, beyond, np.array([0.0, -0.0, 1.0]).astype(dtype)])
        result = on_arrays(Prune(min_value=-0.2, max_value=0.2), {"w": values})["w"]
        assert in_double(result).tolist() == [0, 0, 0, 0, *in_double(beyond).tolist(), 0, 0, 1]
        one_sided = on_arrays(Prune(min_value=0.1, max_value=0.1, set_value=2.0), {"w": values})["w"]
        assert np.flatnonzero(in_double(one_sided) == 2).tolist() == [2]


def test_nan_and_infinities() -> None:
    odd = {"w": np.array([np.nan, -np.inf, np.inf, 0.1, -0.5])}
    kept = on_arrays(Prune(min_value=-0.2, max_value=np.inf), odd)["w"]
    assert kept.tobytes() == np.array([np.nan, -np.inf, 0.0, 0.0, -0.5]).tobytes()
    with pytest.raises(wtool.Refused, match="w holds NaN"):
        on_arrays(Prune(sparsity=0.5), odd)
    finite = {"w": np.array([-np.inf, np.inf, 0.1, -0.5])}
    assert on_arrays(Prune(sparsity=0.5), finite)["w"].tolist() == [-np.inf, np.inf, 0, 0]
    with pytest.raises(wtool.Refused, match="difference has no rank"):
        on_arrays(Prune(sparsity=0.5, criterion="mi"), finite, {"w": np.array([np.inf, 1, 1, 1])})


few = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0])
some = st.lists(st.one_of(few, st.floats(-10, 10, width=16)), min_size=1, max_size=60)


@settings(deadline=None)
@given(some, st.floats(0, 1), st.sampled_from(sorted(CRITERIA)), st.sampled_from(DTYPES), st.data())
def test_exact_counts_with_any_ties(
    values: list[float], sparsity: float, criterion: str, dtype: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    initial_values = data.draw(st.lists(few, min_size=len(values), max_size=len(values)))
    final = {"a": np.array(values[:cut]).astype(dtype), "b": np.array(values[cut:]).astype(dtype)}
    initial = {"a": np.array(initial_values[:cut]).astype(dtype), "b": np.array(initial_values[cut:]).astype(dtype)}
    needed = initial if CRITERIA[criterion].reads_initial else None
    zeros = sum(int(np.count_nonzero(a == 0)) for a in final.values())
    for scope in choices.SCOPES:
        result = on_arrays(Prune(sparsity=sparsity, criterion=criterion, scope=scope), final, needed)
        now = {path: int(np.count_nonzero(a == 0)) for path, a in result.items()}
        if scope == "global":
            assert sum(now.values()) == max(zeros, round(sparsity * len(values)))
        else:
            before = {path: int(np.count_nonzero(a == 0)) for path, a in final.items()}
            assert now == {path: max(before[path], round(sparsity * a.size)) for path, a in final.items()}
        for path, a in final.items():
            assert np.array_equal(result[path][result[path] != 0], a[result[path] != 0])


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(sorted(CRITERIA)), st.sampled_from(choices.SCOPES))
def test_masks_are_nested_under_repeated_pruning(one: float, other: float, criterion: str, scope: str) -> None:
    low, high = sorted((one, other))
    final, initial = model("float16"), model("float16", 1)
    needed = initial if CRITERIA[criterion].reads_initial else None
    once = on_arrays(Prune(sparsity=low, criterion=criterion, scope=scope), final, needed)
    twice = on_arrays(Prune(sparsity=high, criterion=criterion, scope=scope), once, needed)
    for path in final:
        assert not np.any((once[path] == 0) & (twice[path] != 0))
    size = sum(a.size for a in final.values())
    if scope == "global":
        assert sum(int(np.count_nonzero(a == 0)) for a in twice.values()) == round(high * size)


def test_random_pruning_is_uniform() -> None:
    arrays = {"w": np.ones(400, np.float32)}
    counts = sum(on_arrays(Prune(sparsity=0.25, criterion="random"), arrays, seed=n)["w"] == 0 for n in range(800))
    assert counts.sum() == 800 * 100
    assert abs(counts - 200).max() < 5 * math.sqrt(800 * 0.25 * 0.75)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_value": 0.1},
        {"max_value": 0.1},
        {"min_value": 0.2, "max_value": 0.1},
        {"min_value": math.nan, "max_value": 0.1},
        {"sparsity": 1.1},
        {"sparsity": -0.1},
        {"sparsity": math.nan},
        {"sparsity": 0.5, "min_value": 0, "max_value": 1},
        {"sparsity": 0.5, "last_layer_scale": 3},
        {"sparsity": 0.5, "criterion": "best"},
        {"sparsity": 0.5, "scope": "layer"},
        {"sparsity": 0.5, "budget": "ekr"},
        {"sparsity": 0.5, "budget": "erk", "scope": "tensor"},
        {"sparsity": 0.5, "budget": "uniform", "scope": "global"},
        {"sparsity": 0.5, "budget": "uniform+", "last_layer_scale": 0.5},
        {"sparsity": 0.5, "budget": "lamp", "criterion": "mov"},
        {"sparsity": 0.5, "budget": "lamp", "block": "4x4"},
        {"sparsity": 0.5, "pattern": "2:4"},
        {"sparsity": 0.5, "block": "4"},
        {"sparsity": 0.5, "block": "0x4"},
        {"sparsity": 0.5, "block": "65x1"},
        {"sparsity": 0.5, "schedule": "polynomial"},
        {"sparsity": 0.5, "step": "1/2"},
        {"sparsity": 0.5, "schedule": "cubic", "step": "1/2"},
        {"sparsity": 0.5, "schedule": "linear", "step": "3/2"},
        {"sparsity": 0.5, "schedule": "linear", "step": "0/0"},
        {"sparsity": 0.5, "schedule": "linear", "step": "half"},
        {"sparsity": 1, "schedule": "geometric", "step": "1/2"},
        {"pattern": "4:4"},
        {"pattern": "0:4"},
        {"pattern": "2:65"},
        {"pattern": "2"},
        {"pattern": "2:4", "min_value": 0, "max_value": 1},
        {"pattern": "2:4", "budget": "erk"},
        {"pattern": "2:4", "scope": "global"},
        {"pattern": "2:4", "block": "4x4"},
        {"pattern": "2:4", "schedule": "linear", "step": "1/2"},
        {"pattern": "2:4", "last_layer_scale": 0.5},
        {"min_value": 0, "max_value": 1, "budget": "erk"},
        {"min_value": 0, "max_value": 1, "pattern": "2:4"},
        {"min_value": 0, "max_value": 1, "block": "4x4"},
        {"min_value": 0, "max_value": 1, "scope": "global"},
        {"min_value": 0, "max_value": 1, "criterion": "mov"},
    ],
)
def test_words_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(wtool.Usage):
        Prune(**options)


# Order statistics by streaming


@settings(deadline=None)
@given(
    st.lists(st.one_of(few, st.floats(-1e3, 1e3, width=32)), min_size=1, max_size=300),
    st.data(),
    st.sampled_from([4, 16, 1 << 21]),
)
def test_cuts_are_those_of_a_sorted_array(values: list[float], data: st.DataObject, most_kept: int) -> None:
    rank = data.draw(st.integers(1, len(values)))
    array = np.array(values, np.float32)
    old = ranking.MOST_KEPT, ranking.UNSAMPLED, ranking.SAMPLE, ranking.SAMPLE_BLOCK, ranking.SIGMAS
    ranking.MOST_KEPT, ranking.UNSAMPLED, ranking.SAMPLE, ranking.SAMPLE_BLOCK = most_kept, 8, (4, 8), 2
    ranking.SIGMAS = data.draw(st.sampled_from([0.0, 1.0, 8.0]))
    try:
        cut_up = CutUp([{"w": array}], {}, rank)
        group = ranking.Group(tuple(cut_up.sites), rank)
        (cut,) = ranking.cuts(cut_up, [group], lambda site, blocks, start: blocks[0])
    finally:
        ranking.MOST_KEPT, ranking.UNSAMPLED, ranking.SAMPLE, ranking.SAMPLE_BLOCK, ranking.SIGMAS = old
    ordered = np.sort(array)
    assert cut.score == ordered[rank - 1]
    assert cut.ties == np.count_nonzero(array == cut.score)
    assert cut.within == rank - np.count_nonzero(array < cut.score)


def test_what_is_kept_inside_the_bracket_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MOST_KEPT", 1000)
    site = Site("w", (1_000_000,), "float32")
    search = ranking._Search(ranking.Group((site,), 1), low=0.0, high=1.0)
    for start in range(0, 900_000, 10_000):
        block = np.linspace(0, 1, 10_000, dtype=np.float32)
        search.take(ranking._Part(site, start, 10_000, 0, 10_000, block))
    held = [part.values if part.values.base is None else part.values.base for part in search.kept]
    assert sum(values.size for values in held) < 12_000


@pytest.mark.parametrize("kind", ["normal", "sorted", "two values", "one value", "heavy zero"])
def test_cuts_of_many_values(kind: str) -> None:
    rng = np.random.default_rng(0)
    size = 3_000_000
    values = {
        "normal": lambda: rng.standard_normal(size),
        "sorted": lambda: np.sort(rng.standard_normal(size)),
        "two values": lambda: (rng.random(size) < 0.4).astype(float),
        "one value": lambda: np.full(size, 0.25),
        "heavy zero": lambda: np.where(rng.random(size) < 0.9, 0, rng.random(size)),
    }[kind]().astype(np.float32)
    ordered = np.sort(values)
    for rank in (1, size // 3, round(0.6 * size), round(0.9 * size), size):
        data = CutUp([{"w": values}], {}, rank)
        (cut,) = ranking.cuts(data, [ranking.Group(tuple(data.sites), rank)], lambda site, blocks, start: blocks[0])
        assert cut.score == ordered[rank - 1]
        assert cut.within == rank - np.searchsorted(ordered, cut.score, "left")


# Stroke and NeuroPlast


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200_000), st.floats(0, 1), st.integers(0, 2**32))
def test_positions_are_distinct_and_as_many_as_asked_for(size: int, share: float, seed: int) -> None:
    count = round(share * size)
    places, numbers = distinct(stream(seed, "stroke", "w"), size, count).within(0, size)
    assert len(places) == len(set(places.tolist())) == len(numbers) == count
    assert count == 0 or (places.min() >= 0 and places.max() < size)


def test_positions_are_uniform() -> None:
    size = CHUNK + 40_000
    counts = np.zeros(size)
    for seed in range(300):
        counts[distinct(stream(seed, "stroke", "w"), size, 10_000).within(0, size)[0]] += 1
    halves = [counts[:CHUNK].sum() / CHUNK, counts[CHUNK:].sum() / 40_000]
    assert halves == pytest.approx([300 * 10_000 / size] * 2, rel=0.01)
    share = 10_000 / size
    assert counts.var() == pytest.approx(300 * share * (1 - share), rel=0.02)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_stroke_rewrites_exactly_its_share(dtype: str) -> None:
    arrays = model(dtype)
    result = on_arrays(Stroke(volatility_ratio=0.13, low_bound=5.03, high_bound=6.01), arrays, seed=2)
    for path, old in arrays.items():
        changed = result[path] != old
        new = in_double(result[path][changed])
        assert np.count_nonzero(changed) == round(0.13 * old.size)
        assert new.min() >= 5.03
        assert new.max() <= 6.01
    new = in_double(result["large/kernel"][result["large/kernel"] != arrays["large/kernel"]])
    assert np.histogram(new, 4, (5.03, 6.01))[0] / len(new) == pytest.approx([0.25] * 4, abs=0.03)


def test_a_stroke_with_a_value_of_zero_is_one() -> None:
    result = on_arrays(Stroke(volatility_ratio=0.1, set_value=0.0), model())
    assert all(np.count_nonzero(a == 0) == round(0.1 * a.size) for a in result.values())


@pytest.mark.parametrize(
    ("decay", "earlier", "share"), [(None, 3, 0.4), (0.5, 0, 0.4), (0.5, 2, 0.1), (2.0, 1, 0.8), (2.0, 5, 1.0)]
)
def test_strokes_decay(decay: float | None, earlier: int, share: float) -> None:
    arrays = model()
    result = on_arrays(Stroke(0.4, 7.0, 8.0, decay=decay), arrays, seed=1, earlier=earlier)
    assert [np.count_nonzero(result[p] != a) for p, a in arrays.items()] == [
        round(share * a.size) for a in arrays.values()
    ]


@pytest.mark.parametrize("transform", [Stroke(cutoff=2), NeuroPlast(cutoff=2)])
def test_a_cutoff_ends_it(transform: Transform) -> None:
    arrays = model()
    assert not same_bytes(on_arrays(transform, arrays, earlier=1), arrays)
    assert same_bytes(on_arrays(transform, arrays, earlier=2), arrays)
    assert not same_bytes(on_arrays(type(transform)(cutoff=-1), arrays, earlier=9), arrays)  # type: ignore[call-arg]


@pytest.mark.parametrize("dtype", DTYPES)
def test_neuroplast_rewrites_what_is_near_zero(dtype: str) -> None:
    arrays = model(dtype)
    low, high = np.array([-0.3, 0.1]).astype(dtype)
    result = on_arrays(NeuroPlast(-0.3, 0.1, 4.0, 5.0), arrays)
    for path, old in arrays.items():
        inside = (old >= low) & (old <= high)
        assert inside.any()
        assert np.array_equal(result[path][~inside], old[~inside])
        assert in_double(result[path][inside]).min() >= 4
        assert in_double(result[path][inside]).max() <= 5
        assert len(np.unique(in_double(result[path][inside]))) > 3
    zero = on_arrays(NeuroPlast(-0.3, 0.1, set_value=0.0), arrays)
    assert all(np.array_equal(zero[p] == 0, (a >= low) & (a <= high)) for p, a in arrays.items())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Stroke, {"volatility_ratio": 1.5}),
        (Stroke, {"volatility_ratio": -0.1}),
        (Stroke, {"low_bound": 1.0, "high_bound": 0.0}),
        (Stroke, {"high_bound": math.inf}),
        (Stroke, {"decay": -1.0}),
        (NeuroPlast, {"min_value": 1.0, "max_value": 0.0}),
        (NeuroPlast, {"low_bound": math.nan}),
        (Jitter, {"sd": -1.0}),
        (Constant, {"value": 0.0}),
        (Constant, {"value": math.inf}),
    ],
)
def test_numbers_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(wtool.Usage):
        kind(**options)


def test_values_that_are_no_numbers_of_the_dtype_are_refused() -> None:
    half = {"w": np.linspace(-1, 1, 40).astype(np.float16)}
    for transform in (
        Prune(min_value=-1, max_value=1, set_value=math.nan),
        Prune(sparsity=0.5, set_value=1e10),
        Stroke(0.5, set_value=math.inf),
        Stroke(0.5, low_bound=-1e10),
        NeuroPlast(-1, 1, set_value=1e5),
        Jitter(sd=1e10),
        Constant(1e10),
    ):
        with pytest.raises(wtool.Usage, match="no finite float16 value"):
            on_arrays(transform, half, half if transform.reads_initial else None)
    with pytest.raises(wtool.Usage, match="needs initial arrays"):
        on_arrays(Rewind(), half)


GIVEN: dict[str, Any] = {
    "prune": lambda value: Prune(min_value=-1, max_value=1, set_value=value),
    "stroke": lambda value: Stroke(0.5, set_value=value),
    "stroke bounds": lambda value: Stroke(0.5, min(value, 0), max(value, 0)),
    "neuroplast": lambda value: NeuroPlast(-1, 1, set_value=value),
    "neuroplast bounds": lambda value: NeuroPlast(-1, 1, value, value),
    "constant": lambda value: Constant(abs(value)),
    "jitter": lambda value: Jitter(abs(value)),
}
"""From a number to transforms that give values which it tells."""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", GIVEN)
@settings(max_examples=60, deadline=None)
@given(exponent=st.integers(-330, 308), digits=st.floats(1, 9.99), sign=st.sampled_from([1, -1]))
def test_a_number_stays_one_of_its_kind(name: str, dtype: str, exponent: int, digits: float, sign: int) -> None:
    """What is not 0 does not become 0, which would be the mask, and what is finite does not become infinite."""
    value = sign * float(f"{digits}e{exponent}")
    assume(value != 0 and math.isfinite(value))
    weights = {"w": np.linspace(-1, 1, 40).astype(dtype_of(dtype))}
    exact = Fraction(value)
    smallest, most = (Fraction(float(each)) for each in (smallest_positive(dtype), largest(dtype_of(dtype))[0]))
    refused, done = "", weights["w"]
    try:
        done = on_arrays(GIVEN[name](value), weights, weights if name in ("constant", "jitter") else None)["w"]
    except wtool.WtoolError as error:
        refused = error.message
    if refused:
        assert not smallest <= abs(exact) <= most or "bounds" in name or "too large" in refused
        return
    assert np.isfinite(done.astype(np.float64)).all()
    assert abs(exact) > smallest / 2
    if name not in ("stroke bounds", "neuroplast bounds", "jitter"):
        assert (done != 0).all()


def smallest_positive(dtype: str) -> Any:
    """The next number to 0."""
    return np.nextafter(np.zeros((), dtype_of(dtype)), np.ones((), dtype_of(dtype)))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_zero_is_not_in_a_range_above_or_below_it(dtype: str) -> None:
    values = np.array([-1, -0.0, 0, 1], dtype)
    for low, high, wanted in ((1e-60, 2, [-1, 0, 0, 9]), (-2, -1e-60, [9, 0, 0, 1]), (-1e-60, 1e-60, [-1, 9, 9, 1])):
        done = on_arrays(Prune(min_value=low, max_value=high, set_value=9), {"w": values})["w"]
        assert done.tolist() == wanted


def test_a_decay_above_one_ends_at_everything() -> None:
    assert Stroke(decay=1e200).ratio(5) == 1.0


def test_bounds_with_nothing_between_are_refused() -> None:
    with pytest.raises(wtool.Usage, match="no float16 value"):
        on_arrays(Stroke(0.5, 0.10001, 0.10002), {"w": np.ones(100, np.float16)})


def test_draws_do_not_depend_on_where_blocks_begin() -> None:
    source = stream(1, "jitter", "w")
    whole = drawn(source, 150_000, 0, 150_000, lambda generator, count: generator.standard_normal(count))
    for start, stop in ((0, 10), (65_530, 65_540), (70_000, 149_999), (149_999, 150_000), (5, 5)):
        part = drawn(source, 150_000, start, stop, lambda generator, count: generator.standard_normal(count))
        assert np.array_equal(part, whole[start:stop])
    assert whole.std() == pytest.approx(1, rel=0.01)


# Lottery tickets


@pytest.fixture(params=DTYPES)
def pair(request: pytest.FixtureRequest) -> tuple[dict[str, Array], dict[str, Array]]:
    """A pruned model, and its initial values, some of which are zero."""
    return masked(model(request.param)), masked(model(request.param, 1), 0.01, 8)


Pair = tuple[dict[str, Array], dict[str, Array]]
TICKETS = [kind(same_sign=True) for kind in (Jitter, Randomize, Reshuffle, Constant)]


def test_rewinding(pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(Rewind(), pruned, initial)
    for path, wi in initial.items():
        expected = np.array(
            [i if m != 0 else 0 for i, m in zip(wi.ravel(), pruned[path].ravel(), strict=True)], wi.dtype
        )
        assert result[path].ravel().tobytes() == expected.tobytes()


@pytest.mark.parametrize("transform", TICKETS, ids=told)
def test_masks_and_signs_stay(transform: Transform, pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(transform, pruned, initial, initializers=INITIALIZERS)
    for path, wi in initial.items():
        kept = pruned[path] != 0
        assert not np.any(result[path][~kept])
        signs = np.sign(in_double(result[path][kept & (wi != 0)]))
        assert np.mean(signs == np.sign(in_double(wi[kept & (wi != 0)]))) > 0.999  # but for what is rounded to zero
        assert not np.any(signs == -np.sign(in_double(wi[kept & (wi != 0)])))


@pytest.mark.parametrize("kind", [Jitter, Randomize, Constant])
def test_signs_change_where_that_is_asked_for(kind: Any, pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(kind(same_sign=False, **({"sd": 3.0} if kind is Jitter else {})), pruned, initial)
    kept = (pruned["large/kernel"] != 0) & (initial["large/kernel"] != 0)
    same = np.sign(in_double(result["large/kernel"][kept])) == np.sign(in_double(initial["large/kernel"][kept]))
    assert 0.4 < same.mean() < (0.65 if kind is not Jitter else 0.9)


def test_jitter_adds_noise_of_the_given_deviation(pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(Jitter(sd=0.5, same_sign=False), pruned, initial)
    kept = pruned["large/kernel"] != 0
    noise = in_double(result["large/kernel"][kept]) - in_double(initial["large/kernel"][kept])
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    reflected = on_arrays(Jitter(sd=0.5), pruned, initial)["large/kernel"][kept]
    other = result["large/kernel"][kept]
    assert np.array_equal(np.abs(in_double(reflected)), np.abs(in_double(other)))


def test_reshuffling_keeps_the_multiset(pair: Pair) -> None:
    pruned, initial = pair
    signed, free = (on_arrays(Reshuffle(same_sign=same), pruned, initial) for same in (True, False))
    for path, wi in initial.items():
        kept = pruned[path] != 0
        for result in (signed[path], free[path]):
            assert np.array_equal(np.sort(in_double(result[kept])), np.sort(in_double(wi[kept])))
            assert not np.array_equal(in_double(result[kept]), in_double(wi[kept]))
        for side in (wi > 0, wi < 0):
            own = kept & side
            assert np.array_equal(np.sort(in_double(signed[path][own])), np.sort(in_double(wi[own])))


def test_constants(pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(Constant(0.25), pruned, initial)
    for path in initial:
        kept = pruned[path] != 0
        assert set(in_double(np.abs(in_double(result[path][kept]))).tolist()) == {0.25}
    own = on_arrays(Constant(), pruned, initial, initializers=INITIALIZERS)
    kept = pruned["hidden/kernel"] != 0
    expected = np.array(math.sqrt(2 / (30 + 40))).astype(initial["hidden/kernel"].dtype)
    assert set(np.abs(in_double(own["hidden/kernel"][kept])).tolist()) == {float(expected)}
    told_by_nobody = np.array(in_double(initial["large/kernel"]).std()).astype(initial["large/kernel"].dtype)
    found = np.abs(in_double(own["large/kernel"][pruned["large/kernel"] != 0]))
    assert found == pytest.approx(np.full(found.shape, float(told_by_nobody)), rel=1e-6)


def test_a_constant_needs_values_that_vary() -> None:
    same = {"w": np.ones(4)}
    with pytest.raises(wtool.Refused, match="always gives one value"):
        on_arrays(Constant(), same, same, initializers={"w": "zeros"})
    for transform in (Constant(), Randomize()):
        with pytest.raises(wtool.Refused, match="do not vary"):
            on_arrays(transform, same, same)
    assert on_arrays(Randomize(), same, same, initializers={"w": "ones"})["w"].tolist() == [1, 1, 1, 1]


def test_tensors_without_values_are_no_trouble() -> None:
    arrays = {"empty": np.empty((0, 3), np.float32), "w": np.linspace(-1, 1, 50, dtype=np.float32).reshape(10, 5)}
    for transform in VARIANTS:
        result = on_arrays(transform, arrays, arrays if transform.reads_initial else None)
        assert result["empty"].shape == (0, 3)
        assert result["w"].shape == (10, 5)


def test_fresh_values_without_a_configuration_have_the_initial_deviation(pair: Pair) -> None:
    pruned, initial = pair
    result = on_arrays(Randomize(same_sign=False), pruned, initial)["large/kernel"]
    kept = pruned["large/kernel"] != 0
    assert in_double(result[kept]).std() == pytest.approx(in_double(initial["large/kernel"]).std(), rel=0.02)
    assert in_double(result[kept]).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    "operation",
    [Prune(sparsity=1, set_value=-0.0), Stroke(volatility_ratio=1, set_value=-0.0), NeuroPlast(set_value=-0.0)],
    ids=lambda operation: type(operation).__name__,
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_zero_that_was_asked_for_has_no_sign(operation: Prune | Stroke | NeuroPlast, dtype: str) -> None:
    values = np.array([-0.005, 0.003, 0.001]).astype(dtype)
    changed = on_arrays(operation, {"kernel": values})["kernel"]
    assert changed.tobytes() == bytes(values.nbytes)
