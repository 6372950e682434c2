"""Scores of channels against those of Torch-Pruning 1.6.1, and against the formulas written out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models import Array
from wtool.errors import Refused
from wtool.transforms import importance
from wtool.transforms.importance import NAMES, Kind, Part, scores
from wtool.transforms.streams import stream

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "torch_pruning.json").read_text())
"""What Torch-Pruning says of three convolutions with a residual sum, six digits behind the point."""
WEIGHTS = dict(np.load(HERE / "torch_pruning.npz"))

RESIDUAL = [("c1", "kernel", 0), ("b1", "gamma", 0), ("c2", "kernel", 1), ("c3", "kernel", 1), ("b2", "gamma", 0)]
GROUPS: dict[str, list[tuple[str, Kind, int]]] = {
    "c1": [*RESIDUAL, ("c2", "kernel", 0)],  # type: ignore[list-item]
    "c3": [("c3", "kernel", 0), ("b3", "gamma", 0), ("f", "kernel", 1)],
}
"""The axes here are PyTorch's: outputs first."""

SOURCE = stream(1, "shrink", "c1")


def part(values: Array, axis: int, kind: Kind = "kernel", channels: Array | None = None) -> Part:
    return Part("w", kind, axis, np.arange(values.shape[axis]) if channels is None else channels, lambda: values)


def parts_of(group: str, power: int = 1) -> list[Part]:
    return [part(WEIGHTS[f"{layer}.weight"] ** power, axis, kind) for layer, kind, axis in GROUPS[group]]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(("theirs", "name"), [("MagL2", "l2"), ("BNScale", "bn-scale"), ("LAMP", "lamp")])
def test_scores_are_those_of_torch_pruning(group: str, theirs: str, name: str) -> None:
    found = scores(name, parts_of(group), len(WEIGHTS[f"{group}.bias"]), SOURCE)
    np.testing.assert_allclose(found, REFERENCE[f"{theirs} {group}"], rtol=2e-5)


@pytest.mark.parametrize("group", GROUPS)
def test_fpgm_is_of_the_weights_and_theirs_of_the_squares(group: str) -> None:
    """Torch-Pruning measures distances between squared weights, the paper between the weights."""
    found = scores("fpgm", parts_of(group, power=2), len(WEIGHTS[f"{group}.bias"]), SOURCE)
    np.testing.assert_allclose(found, REFERENCE[f"FPGM {group}"], rtol=2e-5)


@pytest.mark.parametrize("group", ["c1", "c2", "c3"])
def test_the_first_producer_alone_is_the_criterion_of_li(group: str) -> None:
    expected = np.asarray(REFERENCE[f"MagL1,first,none {group}"])
    found = scores("l1", [part(WEIGHTS[f"{group}.weight"], 0)], len(expected), SOURCE)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=2e-6)


def sums(values: Array, axis: int, channels: Array, size: int, power: int) -> Array:
    """The formula, one position after another."""
    found = np.zeros(size)
    for position, channel in enumerate(channels):
        if channel >= 0:
            found[channel] += (np.abs(values.take(position, axis).astype(np.float64)) ** power).sum()
    return found


def distances(values: Array, axis: int, channels: Array, size: int) -> Array:
    filters = [values.take(np.flatnonzero(channels == each), axis).ravel() for each in range(size)]
    return np.asarray([sum(np.linalg.norm(one - other) for other in filters) for one in filters])


CHANNELS = [
    (np.arange(6), 6),
    (np.asarray([0, 1, 2, 0, 1, 2]), 3),
    (np.asarray([0, 0, 1, 1, 2, 2]), 3),
    (np.asarray([-1, 1, 0, -1, 0, 1]), 2),
]


@pytest.mark.parametrize(("channels", "size"), CHANNELS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 7, 1 << 18])
def test_channels_with_several_positions(
    channels: Array, size: int, axis: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "BLOCK", block)
    monkeypatch.setattr(importance, "ROWS", block)
    shape = [3, 4, 5]
    shape[axis] = len(channels)
    values = np.random.default_rng(axis).standard_normal(shape)
    for name, expected in [
        ("l1", sums(values, axis, channels, size, 1)),
        ("l2", sums(values, axis, channels, size, 2)),
        ("fpgm", distances(values, axis, channels, size)),
    ]:
        found = scores(name, [part(values, axis, channels=channels)], size, SOURCE)
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-12)


def test_a_channel_of_fewer_positions_lacks_them() -> None:
    values, channels = np.asarray([[3.0], [4.0], [5.0]]), np.asarray([1, 0, 0])
    found = scores("fpgm", [part(values, 0, channels=channels)], 2, SOURCE)
    assert found is not None
    assert list(found) == [1, 1]  # both are sqrt((4 - 3)^2 + 5^2)


def test_the_mean_is_over_the_weights_that_have_the_channel() -> None:
    whole, half = np.asarray([[1.0, 2.0]]), np.asarray([[4.0]])
    parts = [part(whole, 1), part(half, 1, channels=np.asarray([1]))]
    assert np.array_equal(scores("l1", parts, 2, SOURCE), np.asarray([1, 3]) / 2)  # type: ignore[arg-type]


def test_lamp_divides_by_what_is_no_lower_and_equals_differ_by_position() -> None:
    found = scores("lamp", [part(np.asarray([[1.0, 0.5, 0.5, 0.0]]), 1)], 4, SOURCE)
    assert found is not None
    np.testing.assert_allclose(found, [1, 0.25 / 1.5, 0.25 / 1.25, 0])


@pytest.mark.parametrize("name", NAMES)
def test_zeros_score_zero_and_nothing_is_nan(name: str) -> None:
    zeros = [part(np.zeros((2, 3), np.float32), 1), part(np.zeros(3, np.float32), 0, "gamma")]
    found = scores(name, zeros, 3, SOURCE)
    assert found is not None
    assert np.isfinite(found).all()
    assert name == "random" or not found.any()


def test_equal_filters_have_no_distance() -> None:
    """Rounding of the squares must not make a distance of none."""
    found = scores("fpgm", [part(np.full((2, 50), 1 / 3), 0)], 2, SOURCE)
    assert found is not None
    assert not found.any()


def test_too_many_filters_for_distances_are_refused() -> None:
    with pytest.raises(Refused, match="a layer has 65,537 channels, too many for fpgm"):
        scores("fpgm", [part(np.ones((1, 65_537), np.float32), 1)], 65_537, SOURCE)


def test_without_a_gamma_there_is_no_scale() -> None:
    assert scores("bn-scale", [part(np.ones((2, 3)), 1)], 3, SOURCE) is None


def test_random_scores_depend_on_the_seed_and_the_group() -> None:
    found = [
        scores("random", [], 5, stream(*key)) for key in [(1, "shrink", "a"), (1, "shrink", "b"), (2, "shrink", "a")]
    ]
    assert len({tuple(each) for each in found if each is not None}) == 3
    again = scores("random", [], 5, stream(1, "shrink", "a"))
    assert np.array_equal(again, found[0])  # type: ignore[arg-type]


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(Refused, match="w has values that are not finite"):
        scores("l1", [part(np.asarray([[1.0, np.nan]]), 1)], 2, SOURCE)
