"""Greedy soups, against the recipe of the paper written out over made-up scores."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.training.soups.greedy import Trial, greedy, uniform

Scores = Callable[[tuple[int, ...]], float]


def recipe(alone: list[float], scores: Scores) -> tuple[list[int], float]:
    """Recipe 1 of arXiv:2203.05482, with a high score as a good one and equals in their order."""
    order = sorted(range(len(alone)), key=lambda each: -alone[each])
    ingredients = [order[0]]
    best = alone[order[0]]
    for each in order[1:]:
        found = scores(tuple(sorted([*ingredients, each])))
        if found > best:
            ingredients.append(each)
            best = found
    return sorted(ingredients), best


@given(st.lists(st.integers(0, 4).map(float), min_size=1, max_size=7), st.integers(0, 2**32))
def test_as_the_recipe_has_it(alone: list[float], seed: int) -> None:
    def scores(tried: tuple[int, ...]) -> float:
        return alone[tried[0]] if len(tried) == 1 else float(hash((tried, seed)) % 7)

    asked: list[Trial] = []
    chosen = greedy(len(alone), scores, "max", 1, asked.append)
    assert (list(chosen.soup), chosen.score) == recipe(alone, scores)
    negative = greedy(len(alone), lambda tried: -scores(tried), "min", 1, lambda trial: None)
    assert (negative.soup, negative.score) == (chosen.soup, -chosen.score)
    assert chosen.alone == tuple(alone)
    assert chosen.best == alone.index(max(alone))
    # Each model alone, the first ingredient, and each other one once.
    assert [trial.tried for trial in asked[: len(alone)]] == [(number,) for number in range(len(alone))]
    assert sorted(trial.candidate for trial in asked[len(alone) :]) == list(range(len(alone)))
    assert [trial.soup for trial in asked if trial.kept][-1] == chosen.soup


def test_a_mean_with_the_same_score_does_not_go_in() -> None:
    chosen = greedy(3, lambda tried: 0.9, "max", 3, lambda trial: None)
    assert chosen.soup == (0,)


def test_what_stayed_out_is_tried_again_while_rounds_help() -> None:
    scores = {(0,): 3.0, (1,): 2.0, (2,): 1.0, (0, 1): 2.5, (0, 2): 4.0, (0, 1, 2): 5.0}
    asked: list[Trial] = []
    assert greedy(3, scores.__getitem__, "max", 1, lambda trial: None).soup == (0, 2)
    assert greedy(3, scores.__getitem__, "max", 9, asked.append).soup == (0, 1, 2)
    assert len(asked) == 3 + 1 + 2 + 1


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_model_without_a_score_never_goes_in(mode: str) -> None:
    def scores(tried: tuple[int, ...]) -> float:
        return math.nan if 0 in tried else float(len(tried) if mode == "max" else -len(tried))

    assert greedy(3, scores, mode, 2, lambda trial: None).soup == (1, 2)  # type: ignore[arg-type]


def test_all_models_are_in_a_uniform_soup() -> None:
    asked: list[Trial] = []
    chosen = uniform(3, lambda tried: float(sum(tried)), "min", asked.append)
    assert (chosen.soup, chosen.score, chosen.best) == ((0, 1, 2), 3.0, 0)
    assert asked[-1] == Trial(None, (0, 1, 2), 3.0, True, (0, 1, 2))
