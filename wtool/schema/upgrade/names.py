"""Names of layers as Keras 3 takes them: a name with a slash, which would be a path, is refused there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from wtool.schema.config import inside
from wtool.schema.inbound_nodes import layer_name
from wtool.schema.layers import class_of, snake_case
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.masks import layers_within
from wtool.schema.upgrade.rules import RECURRENT

MAX_OWNERS = 8
"""In how many layers, one inside another, the path that a name looks like may be."""


class Names:
    """The names of one model's layers: each is given once."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Begins with names that are taken."""
        self._taken = set(names)
        self._numbers: Counter[str] = Counter()

    def free(self, wanted: str) -> str:
        """Takes a name that is free, and returns the name: the wanted one, or that with a number."""
        name = wanted
        while name in self._taken:
            self._numbers[wanted] += 1
            name = f"{wanted}_{self._numbers[wanted]}"
        self._taken.add(name)
        return name


def renamed(
    names: Iterable[str], place: Place, context: Context, taken: Collection[str] = frozenset()
) -> dict[str, str]:
    """Returns old name -> new name for the layers of one model, in which every name is there once.

    Args:
        names: of all layers of the model. Names that Keras 3 takes stay; in the others `/` becomes `_`.
        place: of the model.
        context: notes the layers that are called otherwise.
        taken: names among them that Keras will give to something else.
    """
    old = list(names)
    wanted = {name: f"{name}_layer" if name in taken else name.replace("/", "_") for name in old}
    free = Names(name for name in old if wanted[name] == name)
    new = {name: name if wanted[name] == name else free.free(wanted[name]) for name in old}
    for name in old:
        if new[name] != name:
            context.move(place.path, name, new[name])
            context.change(place.inner(name, ""), "name", f"it is called {new[name]!r} now")
    return new


def refuse_equal_paths(entries: Mapping[str, Mapping[str, Any]], place: Place, context: Context) -> None:
    """Refuses layers whose names are the paths of what is inside another layer: `x/kernel` beside a layer `x`.

    Args:
        entries: name of each layer of one model -> its entry in the old model.
        place: of the model.
        context: knows the paths of all variables, and takes the refusals.
    """

    @cache
    def within(owner: str) -> frozenset[str]:
        kind = class_of(entries[owner])
        cell = [f"{snake_case(kind)}_cell"] if kind in RECURRENT else []
        return frozenset(
            (*cell, *(layer_name(each) for each in layers_within(entries[owner]) if each is not entries[owner]))
        )

    for name in entries:
        parts = name.split("/")
        for count in range(1, min(len(parts), MAX_OWNERS)):
            owner, inner = "/".join(parts[:count]), "/".join(parts[count:])
            if owner not in entries:
                continue
            is_variable = inside(place.path, name) in context.shapes
            if is_variable or inner in within(owner):
                context.refuse(
                    place.inner(name, class_of(entries[name]) or ""), "equal names",
                    f"its name {name!r} is also the path of the {'variable' if is_variable else 'layer'} {inner!r} in "
                    f"layer {owner!r}, so that weights are not told apart; give one of the two layers another name in "
                    "the code that made the model, and save the model again",
                )  # fmt: skip
