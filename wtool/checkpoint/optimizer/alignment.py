"""Lining up the weights of a model with the shapes of those that an optimizer keeps slots for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from wtool.checkpoint.layouts.stored import StoredVariable
from wtool.schema.layers import Shape
from wtool.values import dataclass

MAX_STATES = 50_000
"""Ways to place segments, or to interleave lanes, that are looked at before giving up."""

MAX_DEALT = 1_000
"""Ways to deal out the weights so far that are followed at once before giving up."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Weights that stand together.

    Attributes:
        holds: the weights.
        optional: they may be missing, all of them (a layer that may have been frozen).
        loose: any of them may be missing, in any order (inside a layer that only its author knows).
    """

    holds: tuple[StoredVariable, ...]
    optional: bool = False
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Lanes:
    """Layers of a model without configuration: those of a class are in order, classes are interleaved somehow."""

    lanes: tuple[tuple[Segment, ...], ...]


def align(weights: Sequence[Segment] | Lanes, shapes: Sequence[Shape]) -> list[StoredVariable | None] | None:
    """The weight at each position; None where several are possible, or as a whole where nothing fits.

    Args:
        weights: the model's weights, in order; one without a shape fits any.
        shapes: what the optimizer has seen.
    """
    if isinstance(weights, Lanes):
        return _interleaved(weights.lanes, shapes)
    segments = weights
    if not any(segment.optional or segment.loose for segment in segments):
        holds = [held for segment in segments for held in segment.holds]
        fits = len(holds) == len(shapes) and all(map(_fits, holds, shapes))
        return list(holds) if fits else None
    return _certain(segments, shapes)


def _fits(held: StoredVariable, shape: Shape) -> bool:
    return held.shape is None or held.shape == shape


def _certain(segments: Sequence[Segment], shapes: Sequence[Shape]) -> list[StoredVariable | None] | None:
    """Walk all ways to place the segments at once, keep those that reach the end, and see where they agree."""
    reached: list[set[int]] = [{0}]
    steps: list[list[tuple[int, int]]] = []
    looked_at = 0
    for segment in segments:
        spans = [(start, stop) for start in sorted(reached[-1]) for stop in _stops(segment, shapes, start)]
        looked_at += len(spans)
        if looked_at > MAX_STATES + len(segments):
            return None
        steps.append(spans)
        reached.append({stop for _, stop in spans})
    if len(shapes) not in reached[-1]:
        return None
    holders: list[dict[int, StoredVariable]] = [{} for _ in shapes]
    useful = {len(shapes)}
    for segment, spans in zip(reversed(segments), reversed(steps), strict=True):
        kept = [(start, stop) for start, stop in spans if stop in useful]
        useful = {start for start, _ in kept}
        _seat(segment, kept, shapes, holders)
    return [next(iter(found.values())) if len(found) == 1 else None for found in holders]


def _seat(
    segment: Segment,
    spans: Sequence[tuple[int, int]],
    shapes: Sequence[Shape],
    holders: list[dict[int, StoredVariable]],
) -> None:
    """Add a segment's weights to the possible holders of the positions that it may cover."""
    if not segment.loose:
        for start, stop in spans:
            for position, held in zip(range(start, stop), segment.holds):  # noqa: B905
                holders[position][id(held)] = held
        return
    two: dict[Shape | None, list[StoredVariable]] = {}  # of a shape; more would tell no more
    for held in segment.holds:
        if len(two.setdefault(held.shape, [])) < 2:
            two[held.shape].append(held)
    for start, stop in dict(sorted(spans)).items():  # the longest from each start
        for position in range(start, stop):
            holders[position].update((id(held), held) for held in two[shapes[position]])


def _stops(segment: Segment, shapes: Sequence[Shape], start: int) -> Iterator[int]:
    """Where a segment may end that begins at `start`."""
    if segment.loose:
        left = Counter(held.shape for held in segment.holds)
        yield start
        for stop in range(start, len(shapes)):
            if not left[shapes[stop]]:
                return
            left[shapes[stop]] -= 1
            yield stop + 1
        return
    stop = start + len(segment.holds)
    if stop <= len(shapes) and all(map(_fits, segment.holds, shapes[start:stop])):
        yield stop
    if segment.optional and segment.holds:
        yield start


State = tuple[int, ...]  # how many segments of each lane are placed, then how many shapes are covered


def _interleaved(lanes: Sequence[Sequence[Segment]], shapes: Sequence[Shape]) -> list[StoredVariable | None] | None:
    """Walk all ways to interleave the lanes at once, keep those that reach the end, and see where they agree."""
    start: State = (*(0 for _ in lanes), 0)
    end: State = (*map(len, lanes), len(shapes))
    steps: dict[State, list[tuple[State, Segment]]] = {}
    pending = [start]
    while pending:
        state = pending.pop()
        if state in steps:
            continue
        steps[state] = list(_steps(state, lanes, shapes))
        if len(steps) > MAX_STATES:
            return None
        pending += [after for after, _ in steps[state]]
    useful = {end} & steps.keys()
    for state in sorted(steps, key=lambda state: sum(state[:-1]), reverse=True):
        if any(after in useful for after, _ in steps[state]):
            useful.add(state)
    if start not in useful:
        return None
    holders: list[dict[int, StoredVariable]] = [{} for _ in shapes]
    for state in useful:
        for after, segment in steps[state]:
            if after in useful:
                _seat(segment, [(state[-1], after[-1])], shapes, holders)
    return [next(iter(found.values())) if len(found) == 1 else None for found in holders]


def _steps(
    state: State, lanes: Sequence[Sequence[Segment]], shapes: Sequence[Shape]
) -> Iterator[tuple[State, Segment]]:
    for number, lane in enumerate(lanes):
        if state[number] < len(lane):
            segment = lane[state[number]]
            for stop in _stops(segment, shapes, state[-1]):
                yield (*state[:number], state[number] + 1, *state[number + 1 : -1], stop), segment


def deal(
    holds: Sequence[StoredVariable], lists: Sequence[Sequence[Shape]], some_kept: bool
) -> list[list[StoredVariable | None]] | None:
    """Deal the weights of a model out to several optimizers, each of which has them in the order of the model.

    Args:
        holds: the weights.
        lists: the shapes that each optimizer has slots for.
        some_kept: whether weights may go to an optimizer without slots.

    Returns:
        for each of the lists the weights that it got; None in it where several are possible, and as a whole where
        nothing fits.
    """
    start: State = tuple(0 for _ in lists)
    end: State = tuple(map(len, lists))
    reached: list[dict[State, list[tuple[State, int]]]] = [{start: []}]  # state -> where it comes from, and which list
    for held in holds:
        after: dict[State, list[tuple[State, int]]] = {}
        for state in reached[-1]:
            for number, shapes in enumerate(lists):
                if state[number] < len(shapes) and _fits(held, shapes[state[number]]):
                    new = (*state[:number], state[number] + 1, *state[number + 1 :])
                    after.setdefault(new, []).append((state, number))
            if some_kept:
                after.setdefault(state, []).append((state, -1))
        if len(after) > MAX_DEALT:
            return None
        reached.append(after)
    if end not in reached[-1]:
        return None
    holders: list[list[dict[int, StoredVariable]]] = [[{} for _ in shapes] for shapes in lists]
    useful = {end}
    for held, states in zip(reversed(holds), reversed(reached[1:]), strict=True):
        steps = [step for state in useful for step in states.get(state, ())]
        useful = {state for state, _ in steps}
        for state, number in steps:
            if number >= 0:
                holders[number][state[number]][id(held)] = held
    return [[next(iter(each.values())) if len(each) == 1 else None for each in own] for own in holders]
