"""Which channels stay, by layer and over all layers, against a choice that goes channel by channel."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models import Array
from wtool.transforms.channel_choice import Choice, Scored

REFERENCE = json.loads((Path(__file__).parent / "torch_pruning.json").read_text())


def scored(*values: float, bound: tuple[int, ...] = ()) -> Scored:
    return Scored(np.asarray(values, float), np.isin(np.arange(len(values)), bound))


def stay(choice: Choice, *groups: Scored) -> list[list[int]]:
    return [np.flatnonzero(each).tolist() for each in choice.kept(groups)]


@pytest.mark.parametrize("is_global", [False, True])
def test_as_many_channels_stay_as_torch_pruning_keeps(is_global: bool) -> None:
    groups = [scored(*REFERENCE[f"MagL2 {each}"]) for each in ("c1", "c3")]
    shapes = REFERENCE[f"after .5 global={is_global}"]
    found = Choice(0.5, is_global).kept(groups)
    assert [int(each.sum()) for each in found] == [shapes["c1.weight"][0], shapes["c3.weight"][0]]
    for group, kept in zip(groups, found, strict=True):
        assert group.scores[kept].min() > group.scores[~kept].max()


@pytest.mark.parametrize(
    ("size", "sparsity", "staying"), [(8, 0.5, 4), (10, 0.9, 1), (10, 0.8, 2), (7, 0.5, 3), (3, 0.0, 3), (3, 1.0, 1)]
)
def test_shares_are_decimal_numbers(size: int, sparsity: float, staying: int) -> None:
    """10 * (1 - .8) is below 2 in binary."""
    assert [len(each) for each in stay(Choice(sparsity), scored(*range(size)))] == [staying]


def test_equal_scores_go_from_the_front() -> None:
    assert stay(Choice(0.5), scored(1, 1, 1, 1)) == [[2, 3]]
    assert stay(Choice(0.5, is_global=True), scored(1, 1, 1, 1), scored(1, 1, 1, 1)) == [[3], [1, 2, 3]]


def test_bound_channels_stay() -> None:
    assert stay(Choice(0.5), scored(0, 1, 2, 3, bound=(0,))) == [[0, 3]]
    assert stay(Choice(1.0), scored(0, 1, 2, 3, bound=(0, 1))) == [[0, 1]]
    assert stay(Choice(0.9, is_global=True), scored(0, 1, bound=(0, 1)), scored(5, 6, 7)) == [[0, 1], [2]]


def test_over_all_groups_the_lowest_go() -> None:
    assert stay(Choice(0.5, is_global=True), scored(1, 2, 9, 8), scored(3, 7, 4, 6)) == [[2, 3], [1, 3]]


def test_no_group_loses_more_than_its_share() -> None:
    groups = scored(1, 2, 3, 4), scored(11, 12, 13, 14)
    assert stay(Choice(0.5, is_global=True), *groups) == [[3], [1, 2, 3]]
    assert stay(Choice(0.5, is_global=True, most=0.5), *groups) == [[2, 3], [2, 3]]
    assert stay(Choice(0.75, most=0.5), *groups) == [[2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("size", "multiple", "staying"), [(20, 8, 8), (16, 8, 8), (12, 8, 8), (8, 8, 8), (6, 8, 6), (40, 8, 16), (10, 1, 5)]
)
def test_multiples(size: int, multiple: int, staying: int) -> None:
    assert [len(each) for each in stay(Choice(0.5, multiple=multiple), scored(*range(size)))] == [staying]


def test_rounding_takes_no_more_than_a_group_may_lose() -> None:
    assert [len(each) for each in stay(Choice(0.5, most=0.5, multiple=8), scored(*range(20)))] == [16]
    assert [len(each) for each in stay(Choice(0.5, multiple=4), scored(*range(8), bound=(0, 1, 2, 3, 4)))] == [8]


def one_by_one(choice: Choice, groups: tuple[Scored, ...]) -> list[Array]:
    """Takes out the lowest channel that may go, as often as there are channels to be taken out."""
    cap = Fraction(repr(choice.most))
    kept = [np.ones(group.size, bool) for group in groups]
    total = sum(group.size for group in groups)
    for _ in range(total - int(total * (1 - Fraction(repr(choice.sparsity))))):
        free = [
            (group.scores[channel], number, channel)
            for number, group in enumerate(groups)
            for channel in np.flatnonzero(kept[number] & ~group.bound)
            if kept[number].sum() > 1 and group.size - kept[number].sum() + 1 <= cap * group.size
        ]
        if not free:
            break
        _, number, channel = min(free)
        kept[number][channel] = False
    return kept


def group_of(numbers: list[tuple[int, bool]]) -> Scored:
    values, bound = zip(*numbers, strict=True)
    return Scored(np.asarray(values, float), np.asarray(bound, bool))


GROUPS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8), min_size=1, max_size=4)


@given(GROUPS, st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), st.sampled_from([0.25, 0.5, 1.0]), st.booleans())
def test_the_choice_is_that_of_one_channel_after_another(
    numbers: list[list[tuple[int, bool]]], sparsity: float, most: float, is_global: bool
) -> None:
    groups = tuple(map(group_of, numbers))
    choice = Choice(sparsity, is_global, most)
    together = [groups] if is_global else [(group,) for group in groups]
    expected = [kept for each in together for kept in one_by_one(choice, each)]
    for own, kept in zip(expected, choice.kept(groups), strict=True):
        assert np.array_equal(own, kept)
