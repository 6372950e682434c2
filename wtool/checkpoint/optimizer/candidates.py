"""Which weights an optimizer may have kept slots for: what the configuration says now need not have held then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable
from wtool.checkpoint.optimizer.alignment import Lanes, Segment
from wtool.schema.layers import CODES

_FLOATING = ("float16", "float32", "float64", "bfloat16")
_ORIGINALS = (*CODES, "bias")


Candidates = list[tuple[list[Segment] | Lanes, bool]]


def candidates(model: StoredLayer) -> Candidates:
    """The weights that may have been trained, in the order of creation; True where nothing had to be loosened.

    In order: as the configuration says; with frozen layers trained (frozen after compiling); before quantisation and
    LoRA; and with any layer frozen.
    """
    found: Candidates = []
    thaws = (False, True) if any(owner.trainable is False for owner in model.walk()) else (False,)
    for pick in (_as_now, _as_before):
        for thawed in thaws:
            found.append((_arranged(model, pick, thawed, optional=False), True))
    for pick in (_as_now, _as_before):
        found.append((_arranged(model, pick, thawed=True, optional=True), False))
    unique: Candidates = []
    for item in found:
        if item not in unique:
            unique.append(item)
    return unique


def sorted_by_name(model: StoredLayer) -> Candidates:
    """The weights in the order of their names in the graph, by which Keras up to 2.0.5 sorted them before training."""
    found: Candidates = []
    for thawed in (False, True):
        segments = list(_segments(model, _as_now, thawed, optional=False))
        holds = sorted((held for segment in segments for held in segment.holds), key=lambda held: f"{held.key}:0")
        item = ([Segment(tuple(holds), loose=any(segment.loose for segment in segments))], True)
        if item not in found:
            found.append(item)
    return found


def scattered(guesses: Candidates) -> Candidates:
    """The same weights, of which an optimizer has only some: each may be missing, as those of another optimizer are."""
    found: Candidates = []
    for segments, _ in guesses:
        lanes = segments.lanes if isinstance(segments, Lanes) else (segments,)
        single = tuple(tuple(part for segment in lane for part in _single(segment)) for lane in lanes)
        item = (Lanes(single) if isinstance(segments, Lanes) else list(single[0]), False)
        if item not in found:
            found.append(item)
    return found


def _single(segment: Segment) -> list[Segment]:
    return [segment] if segment.loose else [Segment((held,), optional=True) for held in segment.holds]


Pick = Callable[[StoredLayer], list[StoredVariable]]


def _arranged(model: StoredLayer, pick: Pick, thawed: bool, optional: bool) -> list[Segment] | Lanes:
    if not model.interleaved:
        return list(_merged(_segments(model, pick, thawed, optional)))
    lanes: dict[str, list[Segment]] = {}
    for part in sorted(model.parts, key=_number):  # where their arrays are tells less: small ones fill gaps
        weights = list(_segments(part, pick, thawed, optional))
        if any(segment.loose for segment in weights):
            weights = [_loose(part)]
        elif weights and not optional:
            weights = [Segment(tuple(held for segment in weights for held in segment.holds))]
        lanes.setdefault(part.class_name or part.path, []).extend(weights)
    return Lanes(tuple(tuple(lane) for lane in lanes.values() if lane))


def _number(part: StoredLayer) -> int:
    """The number of a layer among those of its class, in the order of the model."""
    number = part.group.rpartition("_")[2]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


def _as_now(owner: StoredLayer) -> list[StoredVariable]:
    return [held for held in owner.created or () if held.trainable and held.slots]


def _as_before(owner: StoredLayer) -> list[StoredVariable]:
    """The weights as they were before quantisation and LoRA: kernel, then bias."""
    created = [held for held in owner.created or () if held.slots]
    if all(held.name not in _ORIGINALS[:4] or held.trainable for held in created):
        return [held for held in created if held.trainable]
    originals = [_of_any_shape(held) if held.dtype not in _FLOATING else held for held in created]
    return sorted((held for held in originals if held.name in _ORIGINALS), key=lambda held: _ORIGINALS.index(held.name))


def _of_any_shape(held: StoredVariable) -> StoredVariable:
    """Integer codes are packed, so that their shape is not the weight's."""
    return StoredVariable(held.name, held.role, None, held.dtype, True, key=held.key, path=held.path)


def _segments(owner: StoredLayer, pick: Pick, thawed: bool, optional: bool) -> Iterator[Segment]:
    if (owner.trainable is False and not thawed) or not any(part.holds for part in owner.walk()):
        return
    if owner.created is None:
        yield _loose(owner)
        return
    own = tuple(pick(owner))
    if own:
        yield Segment(own, optional)
    if owner.ordered:
        for part in owner.parts:
            yield from _segments(part, pick, thawed, optional)
    elif owner.parts:
        yield Segment(tuple(held for part in owner.parts for held in _loose(part).holds), loose=True)


def _loose(owner: StoredLayer) -> Segment:
    holds = (held for part in owner.walk() for held in part.holds)
    return Segment(tuple(h for h in holds if h.trainable is not False and h.dtype in _FLOATING), loose=True)


def _merged(segments: Iterator[Segment]) -> Iterator[Segment]:
    """Neighbouring loose segments become one: where one ends and the next begins cannot be told."""
    for loose, run in groupby(segments, key=lambda segment: segment.loose):
        if loose:
            yield Segment(tuple(held for segment in run for held in segment.holds), loose=True)
        else:
            yield from run
