"""Matching of the arrays that an older file lists for a layer with the variables of the layers inside it, by name."""

from __future__ import annotations

import heapq
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import field

from wtool.checkpoint.layouts.stored import StoredLayer
from wtool.hdf5.reader import Dataset
from wtool.schema.config import Node
from wtool.schema.layers import Variables, variants
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class ListedWeight:
    """An array that a group lists.

    Attributes:
        number: index in the list.
        inner: names between the listed layer and the variable.
        name: of the variable.
        key: the whole name in the list.
        dataset: the array.
    """

    number: int
    inner: str
    name: str
    key: str
    dataset: Dataset


@dataclass(slots=True, eq=False)
class ExpectedLayer:
    """A layer of the architecture, with the arrays that were matched to it so far.

    Attributes:
        node: the layer in the configuration.
        inner: names from the listed layer to this one.
        owner: the stored layer, whose variables are filled in at the end.
        choices: the sets of variables that the layer may have; None for unknown classes.
        wrapper: names to the wrapper around this layer, by which Keras 2 may call it; empty where there is none.
        parts: the layers inside it.
        found: name of a variable -> its array; for unknown classes, path of an array -> the array.
        chosen: the set of variables that the layer turned out to have.
    """

    node: Node
    inner: str
    owner: StoredLayer
    choices: tuple[Variables, ...] | None
    wrapper: str = ""
    parts: list[ExpectedLayer] = field(default_factory=list)
    found: dict[str, ListedWeight] = field(default_factory=dict)
    chosen: Variables | None = None

    def walk(self) -> Iterator[ExpectedLayer]:
        """Yields the layer and all layers inside it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def likeness(self, inner: str) -> tuple[int, int]:
        """Returns how much the layer's path is like that of an array; a pair that is greater the more names agree."""
        return max(_likeness(self.inner, inner), _likeness(self.wrapper, inner))

    def names(self) -> frozenset[str]:
        """Returns the names of all variables that the layer may have."""
        return frozenset(v.name for choice in self.choices or () for v in choice.created if not v.alias)

    def next_free(self) -> Iterator[tuple[str, int | None]]:
        """Yields name and rank of the first variable without an array, for each set that the settings allow."""
        for choice in self.node.variants or ():
            free = next((v for v in choice.created if v.name not in self.found and not v.alias), None)
            if free is not None:
                yield free.name, free.rank


def expected_layer(node: Node, path: str, inner: str, group: str) -> ExpectedLayer:
    """Returns a layer and the layers inside it, without arrays.

    Args:
        node: the layer in the configuration.
        path: of the layer.
        inner: names from the listed layer to this one.
        group: of the listed layer in the file.
    """
    known = node.variants is not None
    layer = ExpectedLayer(
        node, inner, StoredLayer(path, node.class_name, group, node.trainable, created=[] if known else None), None
    )
    if node.variants is not None:
        # Keras before 3.3 did not write into the configuration that a layer had LoRA factors.
        layer.choices = node.variants + (variants(node.class_name, {**node.config, "lora_rank": 1}) or ())
    for child in node.children:
        deeper = f"{inner}/{child.name}" if inner else child.name
        part = expected_layer(child, layer.owner.inside(child.name), deeper, group)
        part.wrapper = inner if child.attribute == "layer" and not layer.names() else ""
        layer.parts.append(part)
        layer.owner.parts.append(part.owner)
    return layer


def _likeness(path: str, other: str) -> tuple[int, int]:
    """Returns how many names at the ends of two paths are equal, without their numbers and with them."""
    ours, theirs = _backwards(path), _backwards(other)
    alike = exact = 0
    for a, b in zip(ours, theirs):  # noqa: B905
        if plain(a) != plain(b):
            break
        alike += 1
        exact += a == b
    return alike, exact


def plain(name: str) -> str:
    """Returns a name without its number: Keras 2 appends one where a name is taken."""
    return re.sub(r"_\d+$", "", name)


def _backwards(path: str) -> list[str]:
    return path.split("/")[::-1] if path else []


MAX_NAMES = 8
"""Number of names at the end of a path that are compared, so that deep paths cost no more."""


def _ends(path: str) -> Iterator[str]:
    """Yields the ends of a path, the longest first; the last one is empty."""
    names = path.split("/")[-MAX_NAMES:] if path else []
    yield from ("/".join(names[start:]) for start in range(len(names) + 1))


def _plain_end(path: str) -> str:
    return "/".join(map(plain, path.split("/")))


class ExpectedLayers:
    """All layers of one listed layer, found by names of arrays in a time that does not depend on how many there are."""

    def __init__(self, root: ExpectedLayer) -> None:
        self.layers = list(root.walk())
        self.guessed: set[ListedWeight] = set()  # arrays whose names told nothing
        self._left: Counter[str] = Counter()
        self._ending: dict[tuple[str, str], deque[int]] = {}  # by a variable's name and an end of its layer's path
        self._with_room: dict[int | None, list[int]] = {}  # heaps, by the rank of the next variable
        for number, layer in enumerate(self.layers):
            names = layer.names() if layer.choices is not None else {_ANY}
            self._left.update(names)
            paths = {layer.inner, layer.wrapper or layer.inner}
            ends = {end for path in paths for exact in _ends(path) for end in (f"={exact}", _plain_end(exact))}
            for name in names:
                for end in ends:
                    self._ending.setdefault((name, end), deque()).append(number)
            self._make_room(number)

    def take(self, weight: ListedWeight) -> bool:
        """Match an array with a variable: by its name, or else with the first free variable of its rank.

        Returns:
            False if there is no such variable.
        """
        name, number = weight.name, self._named(weight.inner, weight.name)
        if number is None and plain(name) != name:
            name, number = plain(name), self._named(weight.inner, plain(name))
        if number is None:
            free = self._next_free(len(weight.dataset.shape))
            if free is None:
                return False
            name, number = free
            self.guessed.add(weight)
        layer = self.layers[number]
        if layer.choices is None:
            name = weight.dataset.path
        else:
            self._left[name] -= 1
        layer.found[name] = weight
        self._make_room(number)
        return True

    def _named(self, inner: str, name: str) -> int | None:
        """Returns the index of the layer whose path ends most like an array's; Keras 2 leaves out or numbers names."""
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
        while waiting and name in self.layers[waiting[0]].found:
            waiting.popleft()
        return waiting[0] if waiting else None

    def _make_room(self, number: int) -> None:
        for _, rank in self.layers[number].next_free():
            heapq.heappush(self._with_room.setdefault(rank, []), number)

    def _next_free(self, rank: int) -> tuple[str, int] | None:
        """Returns name and layer index of the first free variable of this rank, if names tell nothing (Keras 1)."""
        found = []
        for wanted in (rank, None):
            heap = self._with_room.get(wanted, [])
            while heap:
                number = heap[0]
                name = next((name for name, other in self.layers[number].next_free() if other == wanted), None)
                if name is not None:
                    found.append((number, name))
                    break
                heapq.heappop(heap)  # it has been filled since
        return (min(found)[1], min(found)[0]) if found else None


_ANY = "*"
"""Stands for the name of any variable of a layer of an unknown class."""
