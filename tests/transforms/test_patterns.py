"""Patterns and blocks, against loops over groups and blocks in plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests.models import Array
from tests.transforms.test_transforms import CutUp
from wtool.transforms import blocks as block_module
from wtool.transforms import patterns
from wtool.transforms.change import ArrayData, Site, on_arrays, put
from wtool.transforms.pruning import Prune

KERNELS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "dense": ((11, 6), (0,), (1,)),
    "conv": ((3, 2, 10, 5), (2,), (3,)),
    "transposed": ((2, 2, 5, 9), (3,), (2,)),
    "heads": ((7, 3, 4), (0,), (1, 2)),
    "of heads": ((3, 4, 7), (0, 1), (2,)),
    "heads first": ((3, 9, 4), (1,), (0, 2)),
    "embeddings": ((9, 10), (1,), (0,)),
    "one output": ((12, 1), (0,), (1,)),
    "one input": ((1, 12), (0,), (1,)),
}
"""Shape, axes of inputs, axes of output units."""


@dataclass(frozen=True)
class Kernels(CutUp):
    """Arrays with the axes of `KERNELS`."""

    @property
    def sites(self) -> list[Site]:
        return [
            replace(site, input_axes=KERNELS[site.path][1], unit_axes=KERNELS[site.path][2])
            for site in ArrayData(self.arrays[0]).sites
        ]


def pruned(transform: Prune, arrays: Mapping[str, Array], cut: int = 0) -> dict[str, Array]:
    """Blocks of any size, in any order."""
    data = Kernels([arrays], {}, cut)
    prepared = transform.prepare(data, 0, 0)
    result = {path: a.copy() for path, a in arrays.items()}
    for site in reversed(data.sites):
        for start, stop in reversed([*data.blocks(site)]) if site.path in prepared.changes else ():
            change = prepared.changes[site.path](data.read(site, start, stop), start)
            put(result[site.path].reshape(-1)[start:stop], change)
    return result


def model(seed: int, ties: bool = False) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    values = {path: rng.standard_normal(shape).astype(np.float32) for path, (shape, *_) in KERNELS.items()}
    return {path: np.round(a) if ties else a for path, a in values.items()}


def groups_of(path: str, length: int) -> Iterator[Array]:
    """The positions in the flat kernel of each group of neighbouring inputs of one unit and place of the window."""
    shape, inputs, _ = KERNELS[path]
    places = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), inputs, range(-len(inputs), 0))
    rows = places.reshape(-1, math.prod(shape[axis] for axis in inputs))
    for row in rows:
        for start in range(0, rows.shape[1] - length + 1, length):
            yield row[start : start + length]


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("kept", "length"), [(2, 4), (1, 4), (1, 2), (5, 8), (3, 12)])
def test_each_group_keeps_what_matters_most(kept: int, length: int, ties: bool, cut: int) -> None:
    arrays = model(length, ties)
    result = pruned(Prune(pattern=f"{kept}:{length}"), arrays, cut)
    for path, values in arrays.items():
        expected = values.reshape(-1).copy()
        for group in groups_of(path, length):
            order = np.argsort(np.abs(expected[group]), kind="stable")
            expected[group[order[: length - kept]]] = 0
        assert np.array_equal(result[path].reshape(-1), expected), path


@pytest.mark.parametrize("chunk", [4, 16, 64])
def test_wide_kernels_are_read_in_parts(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = model(1, True)
    expected = pruned(Prune(pattern="2:4"), arrays)
    monkeypatch.setattr(patterns, "CHUNK", chunk)
    for cut in (0, 1, 2):
        result = pruned(Prune(pattern="2:4"), arrays, cut)
        assert all(np.array_equal(result[path], expected[path]) for path in arrays)


def test_pruned_weights_count_and_masks_are_nested() -> None:
    arrays = {"dense": model(3)["dense"]}
    half = on_arrays(Prune(pattern="2:4"), arrays)
    quarter = on_arrays(Prune(pattern="1:4"), half)
    assert np.array_equal(quarter["dense"], on_arrays(Prune(pattern="1:4"), arrays)["dense"])
    assert np.array_equal(on_arrays(Prune(pattern="2:4"), half)["dense"], half["dense"])
    sparse = {"dense": arrays["dense"].copy()}
    sparse["dense"][[1, 2]] = 0  # two of the first four inputs
    assert np.array_equal(on_arrays(Prune(pattern="2:4"), sparse)["dense"][:4], sparse["dense"][:4])


def test_what_is_left_over_is_told() -> None:
    prepared = Prune(pattern="2:4").prepare(Kernels([model(0)], {}, 0), 0, 0)
    assert prepared.notes == (
        "inputs that 4 does not divide stay dense: 3 of 11 in dense, 2 of 10 in conv, 1 of 9 in transposed and 4 more",
    )
    assert "one input" not in prepared.changes


def test_nan_has_no_rank_in_a_group() -> None:
    values = np.array([[1.0], [np.nan], [2.0], [3.0]])
    with pytest.raises(wtool.Refused, match="w holds NaN"):
        on_arrays(Prune(pattern="2:4"), {"w": values})


def test_vectors_have_no_inputs() -> None:
    for words in ({"pattern": "2:4"}, {"sparsity": 0.5, "block": "2x2"}):
        with pytest.raises(wtool.Usage, match="need axes of inputs, and nothing tells any of bias"):
            on_arrays(Prune(**words), {"bias": np.ones(8)})  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.data(), st.integers(2, 9))
def test_ranks_are_those_of_a_stable_sort(data: st.DataObject, length: int) -> None:
    count = data.draw(st.integers(1, length - 1))
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=6 * length, max_size=6 * length)), float)
    grouped = scores.reshape(2, length, 3)
    expected = np.argsort(np.argsort(grouped, axis=1, kind="stable"), axis=1, kind="stable") < count
    assert np.array_equal(patterns.lowest_of(grouped, count), expected)


# Blocks


def blocks_of(path: str, inputs: int, outputs: int) -> list[Array]:
    """The positions of each block, in the order of the kernel in memory."""
    shape, own, units = KERNELS[path]
    places = np.arange(math.prod(shape)).reshape(shape)
    last = max(own) < max(units)  # the matrix of the last axes of inputs and of units
    if path == "of heads":
        matrices = places.reshape(1, 12, 7)
    elif path == "heads":
        matrices = places.reshape(1, 7, 12)
    else:
        matrices = places.reshape(-1, *shape[-2:])
    height, width = (inputs, outputs) if last else (outputs, inputs)
    return [
        matrix[row : row + height, column : column + width].ravel()
        for matrix in matrices
        for row in range(0, matrix.shape[0], height)
        for column in range(0, matrix.shape[1], width)
    ]


def without_blocks(arrays: Mapping[str, Array], size: tuple[int, int], share: float, scope: str) -> dict[str, Array]:
    result = {path: a.reshape(-1).copy() for path, a in arrays.items()}
    blocks = [(path, block) for path in arrays for block in blocks_of(path, *size)]
    for path in arrays if scope == "tensor" else [""]:
        own = [each for each in blocks if path in ("", each[0])]
        scores = [np.abs(result[name][at].astype(np.float64)).mean() for name, at in own]
        gone = np.argsort([round(score, 12) for score in scores], kind="stable")[: round(share * len(own))]
        for number in gone:
            name, at = own[number]
            result[name][at] = 0
    return {path: a.reshape(arrays[path].shape) for path, a in result.items()}


@pytest.mark.parametrize("scope", ["tensor", "global"])
@pytest.mark.parametrize("size", [(2, 2), (4, 1), (1, 4), (3, 5), (64, 64)])
def test_blocks_with_the_lowest_means_go(size: tuple[int, int], scope: str) -> None:
    arrays = model(sum(size))
    transform = Prune(sparsity=0.6, block=f"{size[0]}x{size[1]}", scope=scope)
    expected = without_blocks(arrays, size, 0.6, scope)
    for cut in (0, 1):
        result = pruned(transform, arrays, cut)
        for path, values in expected.items():
            assert np.array_equal(result[path], values), path


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_blocks_do_not_depend_on_how_much_is_read(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = model(4)
    expected = pruned(Prune(sparsity=0.5, block="3x2", scope="global"), arrays)
    monkeypatch.setattr(block_module, "CHUNK", chunk)
    result = pruned(Prune(sparsity=0.5, block="3x2", scope="global"), arrays, 2)
    assert all(np.array_equal(result[path], expected[path]) for path in arrays)


def test_blocks_of_one_value_are_values() -> None:
    arrays = model(6, ties=True)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            pruned(Prune(sparsity=0.7, block="1x1", scope="global"), arrays).values(),
            pruned(Prune(sparsity=0.7, scope="global"), arrays).values(),
            strict=True,
        )
    )


def test_empty_blocks_come_first_and_budgets_count_blocks() -> None:
    kernel = np.arange(1, 65, dtype=np.float32).reshape(8, 8)
    kernel[4:, 4:] = 0
    once = on_arrays(Prune(sparsity=0.25, block="4x4"), {"w": kernel})["w"]
    assert np.array_equal(once, kernel)
    twice = on_arrays(Prune(sparsity=0.5, block="4x4"), {"w": kernel})["w"]
    assert np.count_nonzero(twice[:4, :4]) == 0 < np.count_nonzero(twice[:4, 4:])
    arrays = {"a": np.ones((40, 40), np.float32), "b": np.ones((8, 8), np.float32)}
    found = on_arrays(Prune(sparsity=0.5, block="4x4", budget="erk"), arrays)
    blocks = [np.count_nonzero(a == 0) / 16 for a in found.values()]
    assert blocks == [52, 0]  # of 100 and 4: what stays of 8x8 is 4, by e * 16 / 64
