"""Where the weights of a layer in an older file belong, as their names tell."""

from __future__ import annotations

import heapq
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from wtool.checkpoint.layouts.stored import StoredLayer
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import Variables, variants


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A weight that a group lists.

    Attributes:
        number: its index in the list.
        inner: names between the layer and the weight.
        name: its own name there.
        key: its whole name.
        dataset: its array.
    """

    number: int
    inner: str
    name: str
    key: str
    dataset: Dataset


@dataclass(slots=True, eq=False)
class Seat:
    """A layer of the architecture, where weights may belong.

    Attributes:
        node: what the configuration says of it.
        inner: names from the listed layer to it.
        owner: the layer, whose variables are filled in.
        choices: the variables that it may have; None where only its author knows.
        wrapper: names to the layer that holds nothing but this one, by which Keras 2 may call it; else empty.
        parts: the layers inside it.
        found: its weights by the names of its variables; those of unknown layers by the paths of their arrays.
        chosen: the variables that it turned out to have.
    """

    node: Node
    inner: str
    owner: StoredLayer
    choices: tuple[Variables, ...] | None
    wrapper: str = ""
    parts: list[Seat] = field(default_factory=list)
    found: dict[str, Weight] = field(default_factory=dict)
    chosen: Variables | None = None

    def walk(self) -> Iterator[Seat]:
        """The seat and all seats inside, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def likeness(self, inner: str) -> tuple[int, int]:
        """How much its path is like that of a weight; the more, the greater."""
        return max(_likeness(self.inner, inner), _likeness(self.wrapper, inner))

    def names(self) -> frozenset[str]:
        """The names of the variables that it may have."""
        return frozenset(v.name for choice in self.choices or () for v in choice.created if not v.alias)

    def next_free(self) -> Iterator[tuple[str, int | None]]:
        """For each set of variables that its settings tell: the first that it has not yet, and its rank."""
        for choice in self.node.variants or ():
            free = next((v for v in choice.created if v.name not in self.found and not v.alias), None)
            if free is not None:
                yield free.name, free.rank


def seat_of(node: Node, path: str, inner: str, group: str) -> Seat:
    """A layer and those inside it, without weights."""
    known = node.variants is not None
    seat = Seat(
        node, inner, StoredLayer(path, node.class_name, group, node.trainable, created=[] if known else None), None
    )
    if node.variants is not None:
        # Keras before 3.3 did not write into the configuration that a layer had LoRA factors.
        seat.choices = node.variants + (variants(node.class_name, {**node.config, "lora_rank": 1}) or ())
    for child in node.children:
        deeper = f"{inner}/{child.name}" if inner else child.name
        part = seat_of(child, seat.owner.inside(child.name), deeper, group)
        part.wrapper = inner if child.attribute == "layer" and not seat.names() else ""
        seat.parts.append(part)
        seat.owner.parts.append(part.owner)
    return seat


def _likeness(path: str, other: str) -> tuple[int, int]:
    """How many names at the end of two paths are equal, without and with regard to numbers."""
    ours, theirs = _backwards(path), _backwards(other)
    alike = exact = 0
    for a, b in zip(ours, theirs):  # noqa: B905
        if plain(a) != plain(b):
            break
        alike += 1
        exact += a == b
    return alike, exact


def plain(name: str) -> str:
    """A name without its number: Keras 2 counts on where a name is taken."""
    return re.sub(r"_\d+$", "", name)


def _backwards(path: str) -> list[str]:
    return path.split("/")[::-1] if path else []


MAX_NAMES = 8
"""How many names at the end of a path are looked at."""


def _ends(path: str) -> Iterator[str]:
    """The ends of a path, the longest first; the last is empty."""
    names = path.split("/")[-MAX_NAMES:] if path else []
    yield from ("/".join(names[start:]) for start in range(len(names) + 1))


def _plain_end(path: str) -> str:
    return "/".join(map(plain, path.split("/")))


class Seats:
    """The seats of one listed layer. Finding one takes a time that does not depend on how many there are."""

    def __init__(self, root: Seat) -> None:
        self.seats = list(root.walk())
        self.guessed: set[Weight] = set()  # their names told nothing
        self._left: Counter[str] = Counter()
        self._ending: dict[tuple[str, str], deque[int]] = {}  # by a variable's name and an end of its layer's path
        self._with_room: dict[int | None, list[int]] = {}  # heaps, by the rank of the next variable
        for number, seat in enumerate(self.seats):
            names = seat.names() if seat.choices is not None else {_ANY}
            self._left.update(names)
            paths = {seat.inner, seat.wrapper or seat.inner}
            ends = {end for path in paths for exact in _ends(path) for end in (f"={exact}", _plain_end(exact))}
            for name in names:
                for end in ends:
                    self._ending.setdefault((name, end), deque()).append(number)
            self._make_room(number)

    def take(self, weight: Weight) -> bool:
        """Put a weight where its name says; where it says nothing, into the first layer with room for its rank."""
        name, number = weight.name, self._named(weight.inner, weight.name)
        if number is None and plain(name) != name:
            name, number = plain(name), self._named(weight.inner, plain(name))
        if number is None:
            free = self._next_free(len(weight.dataset.shape))
            if free is None:
                return False
            name, number = free
            self.guessed.add(weight)
        seat = self.seats[number]
        if seat.choices is None:
            name = weight.dataset.path
        else:
            self._left[name] -= 1
        seat.found[name] = weight
        self._make_room(number)
        return True

    def _named(self, inner: str, name: str) -> int | None:
        """The layer whose path ends most like the weight's; Keras 2 leaves names out, or adds numbers to them."""
        for end in _ends(inner):
            if not end and inner:
                break
            found = [self._first(known, key) for key in (f"={end}", _plain_end(end)) for known in (name, _ANY)]
            for pair in (found[:2], found[2:]):
                likely = [number for number in pair if number is not None]
                if likely:
                    return min(likely)
        unlike = self._first(_ANY, "")
        return unlike if unlike is not None else self._first(name, "") if self._left[name] == 1 else None

    def _first(self, name: str, end: str) -> int | None:
        waiting = self._ending.get((name, end), deque())
        while waiting and name in self.seats[waiting[0]].found:
            waiting.popleft()
        return waiting[0] if waiting else None

    def _make_room(self, number: int) -> None:
        for _, rank in self.seats[number].next_free():
            heapq.heappush(self._with_room.setdefault(rank, []), number)

    def _next_free(self, rank: int) -> tuple[str, int] | None:
        """Where names tell nothing (Keras 1): the first layer whose next variable may have this rank."""
        found = []
        for wanted in (rank, None):
            heap = self._with_room.get(wanted, [])
            while heap:
                number = heap[0]
                name = next((name for name, other in self.seats[number].next_free() if other == wanted), None)
                if name is not None:
                    found.append((number, name))
                    break
                heapq.heappop(heap)  # it has been filled since
        return (min(found)[1], min(found)[0]) if found else None


_ANY = "*"
"""The name of whatever a layer may have that only its author knows."""
