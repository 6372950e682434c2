"""The groups of a Keras-3 weights file: which of them are objects, their variables and their names."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator

from wtool.errors import Differs, Refused
from wtool.hdf5.reader import Dataset, Index


class Groups:
    """An index seen as a tree. A group is an object if it has a group `vars`; other groups only contain objects."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._children: dict[str, list[str]] = {}
        self._members: dict[str, list[str]] = {}
        for path in index.groups:
            if path:
                above, _, name = path.rpartition("/")
                self._children.setdefault(above, []).append(name)
        for path in index.datasets:
            above, _, name = path.rpartition("/")
            self._members.setdefault(above, []).append(name)
        self._first: dict[str, int] = {}
        for path, dataset in index.datasets.items():
            above = path
            while above:
                above = above.rpartition("/")[0]
                self._first[above] = min(dataset.offset, self._first.get(above, dataset.offset))

    @staticmethod
    def join(group: str, name: str) -> str:
        """Returns a path inside a group; the root is ""."""
        return f"{group}/{name}" if group else name

    def children(self, group: str) -> list[str]:
        """Returns the names of the groups in a group."""
        return self._children.get(group, [])

    def exists(self, group: str) -> bool:
        """Returns whether the file has a group."""
        return group in self.index.groups

    def is_object(self, group: str) -> bool:
        """Returns whether a group is one of an object that Keras saves, and not a mere container."""
        return self.exists(self.join(group, "vars"))

    def check_vars(self, group: str) -> None:
        """Refuse an array where the group of an object's variables should be.

        Raises:
            Refused: there is such an array.
        """
        path = self.join(group, "vars")
        if path in self.index.datasets:
            raise Refused(f"{path} is an array, where the variables of {group or 'the model'} should be")

    def name(self, group: str) -> str | None:
        """Returns the name that an object had when it was saved, or None; Keras stores names since 3.6."""
        name = self.index.groups.get(self.join(group, "vars"), {}).get("name")
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        return name if isinstance(name, str) and name else None

    def variables(self, group: str) -> list[tuple[str, Dataset]]:
        """Returns the arrays of an object by key, numbers in numeric order; keys may have slashes."""
        base = self.join(group, "vars")
        keys = list(self._keys(base, ""))
        keys.sort(key=_order)
        return [(key, self.index.datasets[f"{base}/{key}"]) for key in keys]

    def _keys(self, base: str, below: str) -> Iterator[str]:
        here = self.join(base, below) if below else base
        for name in self._members.get(here, ()):
            yield self.join(below, name)
        for name in self.children(here):
            yield from self._keys(base, self.join(below, name))

    def objects(self, group: str, skip: tuple[str, ...], known: Container[str] = ()) -> list[str]:
        """Returns the objects in a group, without those inside them or known ones, in the order of their arrays."""
        found = []
        pending = deque(self.join(group, name) for name in self.children(group) if name not in skip)
        while pending:
            path = pending.popleft()
            if path in known:
                continue
            if self.is_object(path) or self.join(path, "vars") in self.index.datasets:
                found.append(path)
            else:
                pending.extend(self.join(path, name) for name in self.children(path))
        return sorted(found, key=self.first_byte)

    def first_byte(self, group: str) -> int:
        """Returns the offset of the first array in a group: Keras writes layers in the order of the model."""
        return self._first.get(group, self.index.size)

    def holds_variables(self, group: str) -> bool:
        """Returns whether there are arrays anywhere inside a group."""
        return group in self._first

    def one_of(self, group: str, *names: str) -> str:
        """Returns the group that exists of several, else the first: versions of Keras have other names for it.

        Raises:
            Differs: two of them have arrays, so that each version would read another one.
        """
        paths = dict.fromkeys(self.join(group, name) for name in names)
        there = [path for path in paths if self.exists(path)]
        if sum(map(self.holds_variables, there)) > 1:
            raise Differs(f"the file has both {there[0]} and {there[1]}; versions of Keras read one or the other")
        return next((path for path in there if self.holds_variables(path)), (there or [*paths])[0])


def _order(key: str) -> tuple[bool, int, str]:
    return (False, int(key), "") if key.isdecimal() and len(key) < 10 else (True, 0, key)
