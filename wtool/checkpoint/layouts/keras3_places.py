"""The groups of layers in new files of the Keras-3 layout.

Keras calls a layer in a list by its class, and numbers the layers of one class in the order of the list; operations of
a functional model are no layers, and are not counted. A layer that another layer holds is called by its attribute.

Source: `_save_state` and `_save_container_state` of keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from wtool.schema.config import Node, inside
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of an architecture, and where files have it.

    Attributes:
        path: of the layer; "" for the model.
        node: the layer in the architecture.
        group: of the layer in the file; "" for the model.
    """

    path: str
    node: Node
    group: str

    @property
    def variables(self) -> str:
        """The group that holds the layer's own variables."""
        return inside(self.group, "vars")


def places(root: Node, kept: Mapping[str, str] = MappingProxyType({})) -> Iterator[Place]:
    """Yields the place of a model and of each layer inside it, outermost first, in the order in which Keras saves them.

    Args:
        root: the architecture.
        kept: path of a layer -> the name of its group, where that is not to be the name of its attribute.
    """
    yield from _inside(Place("", root, ""), kept)


def _inside(place: Place, kept: Mapping[str, str]) -> Iterator[Place]:
    yield place
    counts: Counter[tuple[str, str]] = Counter()
    for child in sorted(place.node.children, key=_rank):
        path = inside(place.path, child.name)
        name = kept.get(path, child.attribute)
        if child.listed:
            number = counts[child.attribute, child.group]
            counts[child.attribute, child.group] += 1
            name = f"{child.attribute}/{child.group}_{number}" if number else f"{child.attribute}/{child.group}"
        yield from _inside(Place(path, child, inside(place.group, name)), kept)


def _rank(child: Node) -> str:
    """Returns what sorts the layers inside a layer: lists come first, then attributes by name, private ones last."""
    return (
        "" if child.listed else child.attribute.replace("_", "~", 1) if child.attribute[0] == "_" else child.attribute
    )
