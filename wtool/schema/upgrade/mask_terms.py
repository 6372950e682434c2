"""Masks as terms: what each mask of a graph is made of. Two masks are equal where their terms are."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import field

from wtool.values import dataclass

NONE = 0
"""No mask."""

EVERY = 1
"""A mask that lets every step pass, which computes as no mask does."""


@dataclass(frozen=True, slots=True)
class Term:
    """A mask.

    Attributes:
        kind: `nonzero` and `nonempty` of a tensor, whose layers are Embedding and Masking; `tensor`, which is a mask
            itself; `and`, `or` and `steps` (one behind the other) of other masks; `any` over the last axis of one;
            `maybe` one or no mask; `given` to a model from outside; `elsewhere`, known only to be itself.
        parts: numbers of other terms for the kinds that have some; for the others what tells one from the other.
        rank: number of axes, with the batch; None where nobody knows.
    """

    kind: str
    parts: tuple[Hashable, ...] = ()
    rank: int | None = None

    @property
    def masks(self) -> tuple[int, ...]:
        """Numbers of the terms in this one."""
        inner = self.kind in ("and", "or", "steps", "any", "maybe")
        return tuple(part for part in self.parts if isinstance(part, int)) if inner else ()


@dataclass(slots=True)
class Terms:
    """All masks of a model: each is there once, under its number."""

    terms: list[Term] = field(default_factory=lambda: [Term("none"), Term("every")])
    numbers: dict[tuple[str, tuple[Hashable, ...]], int] = field(default_factory=dict)

    def __getitem__(self, number: int) -> Term:
        return self.terms[number]

    def of(self, kind: str, *parts: Hashable, rank: int | None = None) -> int:
        """Returns the number of a term."""
        key = kind, parts
        if key not in self.numbers:
            self.numbers[key] = len(self.terms)
            self.terms.append(Term(kind, parts, rank))
        return self.numbers[key]

    def all_of(self, masks: Iterable[int]) -> int:
        """Returns the mask that lets pass what all masks do; inputs without a mask do not count."""
        return self._joined("and", {mask for mask in masks if mask not in (NONE, EVERY)})

    def any_of(self, masks: Iterable[int]) -> int:
        """Returns the mask that lets pass what one of some masks does."""
        found = set(masks)
        return EVERY if EVERY in found else self._joined("or", found)

    def in_turn(self, masks: Iterable[int]) -> int:
        """Returns the mask of steps that are put behind each other."""
        found = tuple(masks)
        ranks = [self[mask].rank for mask in found if mask != NONE]
        return self.of("steps", *found, rank=ranks[0]) if ranks else NONE

    def _joined(self, kind: str, masks: set[int]) -> int:
        if len(masks) < 2:
            return next(iter(masks), NONE)
        return self.of(kind, *sorted(masks), rank=self[min(masks)].rank)

    def implies(self, mask: int, other: int) -> bool:
        """Whether all that one mask lets pass is seen to pass another, so that both together are the first one."""
        if other in (NONE, EVERY) or mask == other:
            return True
        if self[other].kind == "maybe":
            return self.implies(mask, self[other].masks[0])
        mine = self[mask].masks if self[mask].kind == "and" else (mask,)
        its = self[other].masks if self[other].kind == "or" else (other,)
        return bool({mask, *mine} & {other, *its})


def same(one: int, other: int) -> bool:
    """Whether a layer computes the same by two masks."""
    return one == other or (one in (NONE, EVERY) and other in (NONE, EVERY))
