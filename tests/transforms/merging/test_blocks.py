"""However tensors are cut into blocks, a merge has the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtool.dtypes import Array
from wtool.errors import Refused
from wtool.transforms.change import Blocks, Look, Site
from wtool.transforms.merging.arrays import ModelArrays, merged_arrays
from wtool.transforms.merging.bands import Ranks, bands
from wtool.transforms.merging.registry import METHODS
from wtool.transforms.merging.settings import settings_of
from wtool.transforms.merging.totals import PIECE, totals
from wtool.transforms.streams import CHUNK


@dataclass(frozen=True, slots=True, eq=False)
class Cut(ModelArrays):
    """Arrays whose blocks end at given positions."""

    ends: Sequence[int] = ()

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        for site in sites:
            for start, stop in self.cuts(site.size):
                yield site, start, look(site, self.read(site, start, stop), start)

    def cuts(self, size: int) -> list[tuple[int, int]]:
        ends = sorted({each for each in self.ends if 0 < each < size} | {0, size})
        return list(pairwise(ends))


OPTIONS: dict[str, dict[str, Any]] = {
    "ties": {"density": 0.3},
    "dare-linear": {"density": 0.4, "rescale": "l1"},
    "dare-ties": {"density": 0.4},
    "breadcrumbs": {"density": 0.3, "gamma": 0.1},
    "sce": {"select_topk": 0.3},
    "slerp": {"t": 0.3},
    "nearswap": {"t": 0.1},
}

SIZES = {"kernel": 2 * CHUNK + 999, "bias": PIECE + 5, "small": 7}


def operands(method: str) -> list[Mapping[str, Array]]:
    random = np.random.default_rng(3)
    base = {path: random.standard_normal(size).astype(np.float32) for path, size in SIZES.items()}
    models = [
        {path: each + random.standard_normal(each.shape).astype(np.float32) for path, each in base.items()}
        for _ in range(METHODS[method].most or 3)
    ]
    return models if METHODS[method].base == "unused" else [base, *models]


ENDS = st.integers(1, max(SIZES.values())) | st.sampled_from((PIECE, CHUNK, 2 * CHUNK, CHUNK + 1))


@pytest.mark.parametrize("method", [each for each in METHODS if not each.startswith("della")])  # it has no blocks
@settings(max_examples=4, deadline=None)
@given(st.lists(ENDS, max_size=5))
def test_any_cut_gives_the_same_bits(method: str, ends: list[int]) -> None:
    operands_of = operands(method)
    models = len(operands_of) - (METHODS[method].base != "unused")
    own = OPTIONS.get(method, {})
    options = {"scope": "global", **own} if "scope" in METHODS[method].takes else own
    whole = merged_arrays(
        method, operands_of[len(operands_of) - models :], operands_of[0] if models < len(operands_of) else None,
        seed=5, **options,
    )  # fmt: skip
    sites = [Site(path, (size,), "float32") for path, size in SIZES.items()]
    data = Cut(operands_of, sites, ends)
    numbers = settings_of(METHODS[method], models, options, sites, has_base=models < len(operands_of), seed=5)
    prepared = METHODS[method].prepare(data, numbers)
    for site in sites:
        cuts = [(0, site.size)] if site.path in prepared.whole else data.cuts(site.size)
        parts = [prepared.combines[site.path](data.read(site, low, high), low) for low, high in cuts]
        assert np.concatenate(parts).astype(np.float32).tobytes() == whole[site.path].tobytes()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=60),
    st.integers(1, 20),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_totals(values: list[float], piece: int, ends: list[int]) -> None:
    site = Site("kernel", (len(values),), "float64")
    data = Cut([{"kernel": np.array(values) / 3}], [site], ends)

    def terms(site: Site, blocks: Blocks, start: int) -> list[Array]:
        return [blocks[0], np.square(blocks[0]), np.arange(start, start + len(blocks[0]), dtype=np.float64)]

    found = totals(data, [site], terms, piece)["kernel"]
    array = np.array(values) / 3
    assert found == pytest.approx((array.sum(), np.square(array).sum(), len(values) * (len(values) - 1) / 2), abs=1e-12)
    assert found == totals(Cut([{"kernel": array}], [site]), [site], terms, piece)["kernel"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4).map(float), min_size=1, max_size=12), min_size=1, max_size=3),
    st.data(),
    st.lists(st.integers(0, 12), max_size=3),
)
def test_bands_are_the_ranks_of_a_stable_sort(tensors: list[list[float]], data: st.DataObject, ends: list[int]) -> None:
    arrays = {str(number): np.array(each) + 1 for number, each in enumerate(tensors)}
    sites = tuple(Site(path, array.shape, "float64") for path, array in arrays.items())
    size = sum(site.size for site in sites)
    first = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(0, size))
    asked = [Ranks(sites, first, stop), Ranks(sites[:1], 1, sites[0].size)]
    found = bands(Cut([arrays], sites, ends), asked, lambda site, blocks, start: blocks[0])
    together = np.concatenate(list(arrays.values()))
    expected = np.zeros(size, bool)
    expected[np.argsort(together, kind="stable")[first:stop]] = True
    kept = [found[0][site.path].kept(arrays[site.path], 0) for site in sites]
    np.testing.assert_array_equal(np.concatenate(kept), expected)
    lowest = np.argsort(arrays["0"], kind="stable")[0]
    own = found[1]["0"].kept(arrays["0"], 0)
    assert own.sum() == sites[0].size - 1
    assert not own[lowest]


@dataclass(frozen=True, slots=True, eq=False)
class Counted(ModelArrays):
    """Arrays that note each time a tensor is looked through."""

    walked: list[str]

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        self.walked.extend(site.path for site in sites)
        return ModelArrays.walk(self, look, sites)


@dataclass(frozen=True, slots=True, eq=False)
class Read(ModelArrays):
    """Arrays that note each read."""

    reads: list[tuple[str, int, int]]

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        self.reads.append((site.path, start, stop))
        return ModelArrays.read(self, site, start, stop)


def test_a_sample_is_read_once_for_all_models() -> None:
    arrays = operands("ties")
    sites = [Site(path, (size,), "float32") for path, size in SIZES.items()]
    data = Read(arrays, sites, [])
    METHODS["ties"].prepare(data, settings_of(METHODS["ties"], 3, {"density": 0.3}, sites, has_base=True))
    sampled = [each for each in data.reads if each[2] - each[1] <= 256]
    assert len(sampled) > 100
    assert len(set(sampled)) == len(sampled)


LOOKS = {
    "linear": 0, "task-arithmetic": 0, "dare-linear": 0, "dare-ties": 0, "nearswap": 0, "wise-ft": 0, "della": 0,
    "della-linear": 0, "ties": 1, "breadcrumbs": 1, "breadcrumbs-ties": 1, "model-stock": 1, "slerp": 1, "nuslerp": 1,
    "multislerp": 1, "karcher": 1, "sce": 3,
}  # fmt: skip
"""How often each tensor is looked through before the pass that writes."""


@pytest.mark.parametrize("method", METHODS)
def test_as_many_looks_as_the_definition_needs(method: str) -> None:
    known, arrays = METHODS[method], operands(method)
    has_base = known.base != "unused"
    sites = [Site(path, (size,), "float32") for path, size in SIZES.items()]
    options = {"density": 0.5} if "density" in known.takes else OPTIONS.get(method, {})
    numbers = settings_of(known, len(arrays) - has_base, options, sites, has_base=has_base)
    data = Counted(arrays, sites, [])
    known.prepare(data, numbers)
    assert sorted(data.walked) == sorted(list(SIZES) * LOOKS[method])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_what_is_not_finite_is_refused_with_tensor_and_model(method: str, value: float, place: int) -> None:
    known = METHODS[method]
    base = {"bias": np.ones(3), "kernel": np.arange(1.0, 9)}
    models = [{path: each + 0.1 * np.sqrt(each) for path, each in base.items()} for _ in range(known.most or 2)]
    worst = [base, *models][place] if known.base != "unused" or place else models[0]
    worst["kernel"][3] = value
    which = "the base" if worst is base else f"model {next(at for at, each in enumerate(models, 1) if each is worst)}"
    with pytest.raises(Refused, match=f"kernel of {which} holds NaN or infinite values"):
        merged_arrays(method, models, None if known.base == "unused" else base, **OPTIONS.get(method, {}))
