"""Which layers and tensors of two models mean the same, where separate runs gave other numbers to automatic names."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Generic, TypeVar

from wtool.values import dataclass

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Pairing(Generic[Key]):
    """The things that two models share, and those that only one of them has.

    Attributes:
        pairs: (key in the first model, key in the second), in the order of the first.
        removed: keys that only the first has.
        added: keys that only the second has.
    """

    pairs: tuple[tuple[Key, Key], ...]
    removed: tuple[Key, ...] = ()
    added: tuple[Key, ...] = ()

    def among(self, left: Mapping[Key, object], right: Mapping[Key, object]) -> Pairing[Key]:
        """Returns the pairing of some keys of the first model with some of the second, in the order of these."""
        return _pairing(list(left), list(right), {one: two for one, two in self.pairs if one in left and two in right})

    def renamed(self, left: Mapping[Key, Key], right: Mapping[Key, Key]) -> Pairing[Key]:
        """Returns the pairing with other keys, which `left` tells for the first model and `right` for the second."""
        pairs = tuple((left[one], right[two]) for one, two in self.pairs)
        return Pairing(pairs, tuple(left[key] for key in self.removed), tuple(right[key] for key in self.added))


def paired_by_key(left: Sequence[Key], right: Sequence[Key]) -> Pairing[Key]:
    """Returns which of two models' keys are equal, and which are in one model only."""
    rights = set(right)
    return _pairing(left, right, {key: key for key in left if key in rights})


def paired_paths(left: Mapping[str, Hashable], right: Mapping[str, Hashable]) -> Pairing[str]:
    """Returns which paths of two models mean the same.

    Paths are compared name by name, from the outermost layer inwards. Where the names inside two layers differ, those
    that are alike but for the numbers of automatic names (`dense_1`) are paired in their order: first those that also
    have the same content, then those with equal names, then the rest, where both models have as many. Archives do not
    tell what custom layers call their variables: `own/0` is the first of the layer `own`.

    Args:
        left: path -> what must be equal in things with the same content (a shape, a class), in the first model's order.
        right: the same of the second model.
    """
    if left.keys() == right.keys():
        return paired_by_key(list(left), list(right))
    contents: dict[Hashable, int] = {}
    found: dict[str, str] = {}
    waiting = deque([(_tree(left, contents), _tree(right, contents))])
    while waiting:
        here, there = waiting.popleft()
        if here.is_path and there.is_path:
            found[here.path] = there.path
        waiting.extend(_paired_names(here.inner, there.inner))
    return _pairing(list(left), list(right), found)


def _pairing(left: Sequence[Key], right: Sequence[Key], partners: Mapping[Key, Key]) -> Pairing[Key]:
    used = set(partners.values())
    return Pairing(
        tuple((key, partners[key]) for key in left if key in partners),
        tuple(key for key in left if key not in partners),
        tuple(key for key in right if key not in used),
    )


@dataclass(slots=True)
class _Name:
    """A name in paths: that of a layer or a variable.

    Attributes:
        path: that ends with the name, if `is_path`.
        is_path: whether such a path was given.
        content: number of the content, which is equal for names with the same content.
        inner: the names behind it, in their order.
    """

    path: str = ""
    is_path: bool = False
    content: int = 0
    inner: dict[str, _Name] = field(default_factory=dict)


def _tree(details: Mapping[str, Hashable], contents: dict[Hashable, int]) -> _Name:
    """Returns the names of some paths, below one without a name; `contents` numbers what they may contain."""
    root = _Name()
    names = [root]
    for path in details:
        name = root
        for part in path.split("/"):
            if part not in name.inner:
                name.inner[part] = _Name()
                names.append(name.inner[part])
            name = name.inner[part]
        name.path, name.is_path = path, True
    for name in reversed(names):  # what is inside a name stands behind it
        inside = tuple((unnumbered(part), each.content) for part, each in name.inner.items())
        content = (details[name.path] if name.is_path else None, inside)
        name.content = contents.setdefault(content, len(contents))
    return root


def _paired_names(left: Mapping[str, _Name], right: Mapping[str, _Name]) -> Iterator[tuple[_Name, _Name]]:
    """Yields which of the names inside two layers mean the same."""
    if left.keys() == right.keys():
        yield from ((left[name], right[name]) for name in left)
        return
    kinds: tuple[dict[str, dict[str, _Name]], ...] = (defaultdict(dict), defaultdict(dict))
    for kind, names in zip(kinds, (left, right), strict=True):
        for name, each in names.items():
            kind[unnumbered(name)][name] = each
    for name, here in kinds[0].items():
        there = kinds[1].get(name, {})
        if here.keys() != there.keys():
            yield from _taken_alike(here, there)
        yield from [(here.pop(each), there.pop(each)) for each in list(here) if each in there]
        if len(here) == len(there):
            yield from [(here.pop(one), there.pop(other)) for one, other in zip(list(here), list(there), strict=True)]
    one, other = ({name: each for some in kind.values() for name, each in some.items()} for kind in kinds)
    is_counted = [all(name.isdecimal() for name in names) for names in (one, other)]
    if is_counted[0] != is_counted[1] and _contents(one) == _contents(other):
        yield from zip(one.values(), other.values(), strict=True)


def _contents(names: Mapping[str, _Name]) -> list[int]:
    return [each.content for each in names.values()]


def _taken_alike(left: dict[str, _Name], right: dict[str, _Name]) -> Iterator[tuple[_Name, _Name]]:
    """Yields names with the same content in their order, where both sides have as many, and takes them out."""
    alike: defaultdict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, names in enumerate((left, right)):
        for name, each in names.items():
            alike[each.content][side].append(name)
    for here, there in alike.values():
        if len(here) == len(there):
            yield from [(left.pop(one), right.pop(other)) for one, other in zip(here, there, strict=True)]


def unnumbered(name: str) -> str:
    """Returns a name without the number of automatic names: `dense` of `dense_3`."""
    return re.sub(r"_\d+$", "", name)
