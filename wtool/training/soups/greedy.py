"""Which models go into a soup: pure functions of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from wtool.schema.losses import Mode
from wtool.values import dataclass

Score = Callable[[tuple[int, ...]], float]
"""From the numbers of models, in increasing order, to the score of their mean."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A mean that was scored.

    Attributes:
        candidate: number of the model that was tried; None where all models went in together.
        tried: numbers of the models whose mean was scored, in increasing order.
        score: of the mean.
        kept: whether the candidate is in the soup since then; None for a model that was scored alone.
        soup: numbers of the models that are in the soup since then, in increasing order; none before the first one is.
    """

    candidate: int | None
    tried: tuple[int, ...]
    score: float
    kept: bool | None
    soup: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The models of a soup.

    Attributes:
        soup: their numbers, in increasing order.
        score: of their mean.
        alone: score of each model alone.
        best: number of the model that is best alone; of equals, the first.
    """

    soup: tuple[int, ...]
    score: float
    alone: tuple[float, ...]
    best: int


def is_better(score: float, than: float, mode: Mode) -> bool:
    """Whether a score is strictly better than another; NaN is worse than any number."""
    return _rank(score, mode) > _rank(than, mode)


def _rank(score: float, mode: Mode) -> float:
    if math.isnan(score):
        return -math.inf
    return score if mode == "max" else -score


def uniform(count: int, score: Score, mode: Mode, told: Callable[[Trial], None]) -> Chosen:
    """The soup of all models.

    Args:
        count: how many models there are.
        score: gives the score of a mean.
        mode: whether a high score is a good one.
        told: is called with every trial.
    """
    alone = _alone(count, score, told)
    everyone = tuple(range(count))
    found = alone[0] if count == 1 else score(everyone)
    told(Trial(None, everyone, found, True, everyone))
    return Chosen(everyone, found, alone, _from_best(alone, mode)[0])


def greedy(count: int, score: Score, mode: Mode, rounds: int, told: Callable[[Trial], None]) -> Chosen:
    """The soup into which a model goes if it makes the mean better.

    The models are tried from the best to the worst; of equals, the first comes first. The best is the first ingredient;
    each next one stays if the mean with it has a strictly better score than the best soup so far.

    Args:
        count: how many models there are.
        score: gives the score of a mean.
        mode: whether a high score is a good one.
        rounds: how often those that did not go in are tried; no further round follows one in which none went in.
        told: is called with every trial.

    Source: Wortsman et al., Model soups, arXiv:2203.05482, recipe 1.
    """
    alone = _alone(count, score, told)
    order = _from_best(alone, mode)
    soup: tuple[int, ...] = (order[0],)
    best = alone[order[0]]
    told(Trial(order[0], soup, best, True, soup))
    for _ in range(rounds):
        before = soup
        for candidate in order:
            if candidate in soup:
                continue
            tried = tuple(sorted((*soup, candidate)))
            found = score(tried)
            kept = is_better(found, best, mode)
            if kept:
                soup, best = tried, found
            told(Trial(candidate, tried, found, kept, soup))
        if soup == before:
            break
    return Chosen(soup, best, alone, order[0])


def _from_best(alone: Sequence[float], mode: Mode) -> list[int]:
    """Numbers of the models from the best to the worst; equals stay in their order."""
    return sorted(range(len(alone)), key=lambda each: -_rank(alone[each], mode))


def _alone(count: int, score: Score, told: Callable[[Trial], None]) -> tuple[float, ...]:
    scores: list[float] = []
    for number in range(count):
        scores.append(score((number,)))
        told(Trial(number, (number,), scores[-1], None))
    return tuple(scores)


def names_of(numbers: Sequence[int], models: Sequence[str]) -> list[str]:
    """The names of models, by their numbers."""
    return [models[number] for number in numbers]
