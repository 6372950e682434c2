"""In which order checkpoints are averaged, and what is said where that order may be another than the one meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from wtool.checkpoint.inputs import natural_key
from wtool.checkpoint.model import Checkpoint
from wtool.errors import Usage, WtoolError, counted
from wtool.io.tree import changed_at
from wtool.ops.average_inputs import Named
from wtool.ops.numbered_names import columns, own_names
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """The order of checkpoints.

    Attributes:
        paths: from oldest to newest.
        notes: what may be meant otherwise, one line each.
    """

    paths: list[str]
    notes: tuple[str, ...] = ()


def ordered(named: Named, order: str | None, method: str, matters: bool) -> Order:
    """The checkpoints from oldest to newest.

    Args:
        named: the models that the words mean, in the order of the words.
        order: one of `choices.ORDERS`; None for the usual one.
        method: name of the coefficients in `transforms.averaging.COEFFICIENTS`.
        matters: whether the values of the average depend on the order; otherwise only the choice of the newest does.

    Raises:
        Usage: it is not clear what is meant.
    """
    paths = [path for _, path in named]
    if order == "given":
        return Order(paths)
    if order == "mtime":
        return _by_time(paths)
    natural = sorted(paths, key=natural_key)
    if order is None and method == "coefficients":
        found, typed = _as_typed(paths, natural)
        is_one_by_one = all(word == path for word, path in named)
        return Order(found, (*typed, *(() if is_one_by_one else _of_names(found, matters))))
    typed = [] if order == "natural" else _otherwise_than_typed(named, natural, matters)
    return Order(natural, (*typed, *_of_names(natural, matters)))


def _by_time(paths: list[str]) -> Order:
    if "-" in paths:
        raise Usage("standard input has no time of change; choose another --order")
    times = {path: _modified(path) for path in paths}
    found = sorted(paths, key=lambda path: (times[path], natural_key(path)))
    same = [(a, b) for a, b in pairwise(found) if a != b and times[a] == times[b]]
    return Order(found, tuple(f"{a} and {b} changed at the same time: ordered by name" for a, b in same[:1]))


def _modified(path: str) -> int:
    try:
        return changed_at(path)
    except OSError as error:
        raise WtoolError(error.strerror or str(error), path) from None


def _as_typed(paths: list[str], natural: list[str]) -> tuple[list[str], list[str]]:
    """The order of coefficients: that of the words, and within a folder or pattern that of the names.

    Shells sort what a pattern matches by characters, so words in such an order were perhaps not typed in any.
    """
    keys = [natural_key(path) for path in paths]
    if any(a < b and left > right for (a, b), (left, right) in zip(pairwise(paths), pairwise(keys), strict=True)):
        raise Usage(f"the coefficients may be meant as typed or by number ({_sequence(natural)}); --order says which")
    differs = f"coefficients in the order of the words, not of the names: {_sequence(paths)}"
    return paths, [] if paths == natural else [differs]


def _otherwise_than_typed(named: Named, natural: list[str], matters: bool) -> list[str]:
    """A note where files that are named one by one were typed in an order that is neither the natural nor a shell's."""
    paths = [path for _, path in named]
    is_one_by_one = all(word == path for word, path in named)
    if not is_one_by_one or paths in (natural, sorted(paths)) or (not matters and paths[-1] == natural[-1]):
        return []
    return [f"in the order of the names, {natural[-1]} is the newest, not {paths[-1]}; see --order"]


def _of_names(paths: list[str], matters: bool) -> list[str]:
    """Notes on what the names of checkpoints, in their order, leave open."""
    return [*_without_number(paths, matters), *(_of_several_numbers(paths) if matters else [])]


def _without_number(paths: list[str], matters: bool) -> list[str]:
    """Notes on names without a number among names that have one: these may be the newest or not."""
    has_number = [re.search("[0-9]", name) is not None for name in own_names(paths)]
    if not any(has_number):
        return []
    found = []
    for at, path in enumerate(paths):
        is_newest = at == len(paths) - 1
        if not has_number[at] and (matters or is_newest):
            place = "the newest" if is_newest else "the oldest" if at == 0 else f"number {at + 1} of {len(paths)}"
            found.append(f"{path} has no number in its name, and comes as {place} because of its letters; see --order")
    return found


def _of_several_numbers(paths: list[str]) -> list[str]:
    """A note where the first number in which names differ may not be the one that counts: a loss, a day before a month.

    The numbers of names are compared one after the other. That is the order of each number, unless a later one falls
    while it should grow, or an earlier one is no whole number.
    """
    try:
        found = [each for each in columns(paths) if each.varies]
    except Usage:
        return []  # names of several forms
    whole = [each for each in found if each.is_whole]
    if len(found) < 2 or not whole:
        return []
    falls = any(left > right for each in whole for left, right in pairwise(each.values))
    if not falls and found[0].is_whole:
        return []
    seen = ", then ".join(each.texts[-1] for each in found)
    return [
        f"names differ in several numbers, and are in the order of the first one ({paths[-1]}: {seen}); see --order"
    ]


def against_steps(checkpoints: Sequence[Checkpoint], steps: Sequence[int | None]) -> list[str]:
    """A note where the optimizers' step counts say otherwise than the order of the checkpoints.

    Args:
        checkpoints: in their order, oldest first.
        steps: of their optimizers; None where a file does not tell.
    """
    known = [(step, each.name) for step, each in zip(steps, checkpoints, strict=True) if step is not None]
    for (left, older), (right, newer) in pairwise(known):
        if left > right:
            return [
                f"{older} was trained for {counted(left, 'step')} and comes before {newer} with {right:,}; see --order"
            ]
    return []


def _sequence(paths: Sequence[str]) -> str:
    return ", ".join(paths) if len(paths) < 5 else f"{paths[0]}, {paths[1]}, ..., {paths[-1]}"
