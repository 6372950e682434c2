"""Orders of variables against the shapes that a file has: which variable is which slot, and of which weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from wtool.checkpoint.layouts.stored import StoredVariable
from wtool.checkpoint.optimizer.alignment import Lanes, Segment, align
from wtool.checkpoint.optimizer.candidates import Candidates
from wtool.schema.layers import Shape
from wtool.schema.optimizer_orders import VariableOrder, variable_orders
from wtool.schema.optimizer_settings import Settings, innermost_settings
from wtool.schema.optimizers import SlotKind
from wtool.values import dataclass

Slots = tuple[tuple[str, StoredVariable | None], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The slot that every stored variable is, and its weight where that is certain; `exact` if nothing was loosened."""

    slots: Slots
    exact: bool


@dataclass(frozen=True, slots=True)
class PartVariables:
    """The variables of an optimizer whose weights are not known yet.

    Attributes:
        slots: the name of each variable, and the number of its weight.
        weights: the shapes of these weights.
    """

    slots: Sequence[tuple[str, int | None]]
    weights: Sequence[Shape]


def fits(shapes: Sequence[Shape], settings: Settings, guesses: Candidates, exactly: bool) -> Iterator[Match]:
    """Yields the ways to read an optimizer's variables, the likeliest first: one for each order that fits.

    Args:
        shapes: shapes of the stored variables.
        settings: class and configuration of the optimizer.
        guesses: which weights it may have kept slots for.
        exactly: whether to try the guesses that loosen nothing, or the others.
    """
    for order in dict.fromkeys(variable_orders(settings)):
        if order.depends_on_weights:
            found = _by_weight(order, shapes, settings, guesses, exactly)
        else:
            found = _alike(order, shapes, guesses, exactly)
        if found is not None:
            yield Match(found, exactly)


def _alike(order: VariableOrder, shapes: Sequence[Shape], guesses: Candidates, exactly: bool) -> Slots | None:
    """Returns the first reading of an order in which all weights have the same slots."""
    weights = _trained_shapes(order, shapes)
    for segments, strict in guesses if weights is not None else ():
        if strict is exactly and (held := align(segments, weights or ())) is not None:
            return tuple((each.name, None if i is None else held[i]) for each, i in order.variables(len(weights or ())))
    return None


def _trained_shapes(order: VariableOrder, shapes: Sequence[Shape]) -> list[Shape] | None:
    """Returns the shapes of the weights that have slots; None if the stored shapes do not follow the order."""
    count = order.weights(len(shapes))
    if count is None:
        return None
    of_weight: list[list[tuple[SlotKind, Shape]]] = [[] for _ in range(count)]
    for (each, number), shape in zip(order.variables(count), shapes, strict=True):
        if number is None and shape not in ((), (1,)):
            return None
        if number is not None:
            assert isinstance(each, SlotKind)
            of_weight[number].append((each, shape))
    found = []
    for slots in of_weight:
        whole = next((shape for kind, shape in slots if kind.has_shape_of_weight), slots[0][1])
        if not all(shape in (kind.shape(whole), kind.placeholder) for kind, shape in slots):
            return None
        found.append(whole)
    return found


def _by_weight(
    order: VariableOrder, shapes: Sequence[Shape], settings: Settings, guesses: Candidates, exactly: bool
) -> Slots | None:
    """Returns the first reading of an order in which some weights have slots that others do not have.

    Each weight is lined up as often as it has slots. Where the settings do not explain the file (Keras looks for their
    words in names of its own), the shapes alone have to tell who has these slots.
    """
    inner = innermost_settings(settings)
    head, stop = len(order.head), len(shapes) - len(order.tail)
    if stop < head or any(shapes[:head]) or any(shapes[stop:]):
        return None
    tries = [(segments, False) for segments, strict in guesses if strict is exactly]
    for segments, loosely in [*tries, *((segments, True) for segments, _ in guesses if not exactly)]:
        expansion = _Expansion(inner.config, loosely)
        expanded = expansion.of(segments, order)
        found = align(expanded, shapes[head:stop]) if expanded is not None else None
        if found is not None:
            slots = (("unknown", None) if each is None else expansion.meaning[id(each)] for each in found)
            return (*((s.name, None) for s in order.head), *slots, *((s.name, None) for s in order.tail))
    return None


@dataclass(frozen=True, slots=True)
class _Expansion:
    """Weights, each as often as it has slots.

    Attributes:
        config: the settings of the optimizer that has the slots.
        loosely: whether each weight may lack the slots that only some weights have, whatever the settings say.
        meaning: identity of a copy of a weight -> the name of its slot, and the weight itself.
    """

    config: Mapping[str, Any]
    loosely: bool
    meaning: dict[int, tuple[str, StoredVariable]] = field(default_factory=dict)
    copies: list[StoredVariable] = field(default_factory=list)

    def of(self, segments: Sequence[Segment] | Lanes, order: VariableOrder) -> Sequence[Segment] | Lanes | None:
        """Returns the expanded weights; None for several groups of slots of weights whose order is not known."""
        if not isinstance(segments, Lanes):
            return [each for group in order.groups for segment in segments for each in self._segments(segment, group)]
        if len(order.groups) != 1:
            return None
        lanes = ((part for each in lane for part in self._segments(each, order.groups[0])) for lane in segments.lanes)
        return Lanes(tuple(map(tuple, lanes)))

    def _segments(self, segment: Segment, group: Sequence[SlotKind]) -> Iterator[Segment]:
        """Yields a segment with a copy of each weight for each slot of a group; uncertain slots are on their own."""
        row: list[StoredVariable] = []
        for held in segment.holds:
            for kind in group:
                keeps = self._keeps(kind, held)
                if keeps is False:
                    continue
                copy = _as_slot(held, kind)
                self.meaning[id(copy)] = kind.name, held
                self.copies.append(copy)  # or its identity could be another's
                if keeps or segment.loose:
                    row.append(copy)
                else:
                    yield from [Segment(tuple(row), segment.optional)] if row else []
                    yield Segment((copy,), optional=True)
                    row = []
        yield from [Segment(tuple(row), segment.optional, segment.loose)] if row else []

    def _keeps(self, kind: SlotKind, held: StoredVariable) -> bool | None:
        """Returns whether a weight has a slot; None where that is uncertain."""
        if kind.keeps is None or kind.keeps(held.shape or (), "", {}):
            return True
        return None if self.loosely else kind.keeps(held.shape or (), held.path, self.config)


def _as_slot(held: StoredVariable, kind: SlotKind) -> StoredVariable:
    """Returns a copy of a weight that has the shape of its slot."""
    if held.dataset is None or kind.has_shape_of_weight:
        return replace(held)
    return replace(held, dataset=replace(held.dataset, shape=kind.shape(held.dataset.shape)))


def first_part(shapes: Sequence[Shape], settings: Settings) -> PartVariables | None:
    """Returns the likeliest reading of the variables of an optimizer that trains unknown weights.

    Args:
        shapes: shapes of the stored variables.
        settings: class and configuration of the optimizer.
    """
    for order in dict.fromkeys(variable_orders(settings)):
        if order.depends_on_weights:
            part = _part(order, shapes)
            if part is not None:
                return part
            continue
        weights = _trained_shapes(order, shapes)
        if weights is not None:
            return PartVariables([(each.name, number) for each, number in order.variables(len(weights))], weights)
    return None


def _part(order: VariableOrder, shapes: Sequence[Shape]) -> PartVariables | None:
    """Returns the reading in which the shape of a weight alone tells its slots; None if the shapes do not follow it."""
    stop = len(shapes) - len(order.tail)
    if len(order.groups) != 1 or stop < len(order.head) or any(shapes[: len(order.head)]) or any(shapes[stop:]):
        return None
    slots: list[tuple[str, int | None]] = [(scalar.name, None) for scalar in order.head]
    weights: list[Shape] = []
    while len(slots) < stop:
        shape = shapes[len(slots)]
        names = [kind.name for kind in order.groups[0] if kind.keeps is None or kind.keeps(shape, "", {})]
        if list(shapes[len(slots) : len(slots) + len(names)]) != [shape] * len(names):
            return None
        slots += [(name, len(weights)) for name in names]
        weights.append(shape)
    return PartVariables([*slots, *((scalar.name, None) for scalar in order.tail)], weights)
