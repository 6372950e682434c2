"""Names of layers as Keras 3 takes them: a name with a slash, which would be a path, is refused there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from wtool.schema.upgrade.context import Context, Place


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
