"""The variables of layers of custom classes in a composed model of the Keras-3 layout.

Nobody but the author of a class knows its variables. Files of Keras 3 have the keys of the variables and the attributes
that hold the layers inside, and a new file keeps both. Older `.h5` files have only names, in the order of creation: the
layer's own variables are numbered in this order, as Keras does unless the class says otherwise, and the user has to
name the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.keras3_copy import KERAS3_FORMATS
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.keras3_places import Place
from wtool.checkpoint.layouts.shards import merged_index
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh, old_tensor
from wtool.checkpoint.weight_order import owner_of
from wtool.errors import a_few
from wtool.hdf5.reader import Index
from wtool.schema.config import inside, read_architecture


class CustomLayers:
    """What the base tells of layers of custom classes.

    Args:
        base: the checkpoint of whose tensors the model is composed.
        composition: the model.
    """

    def __init__(self, base: Checkpoint, composition: Composition) -> None:
        self._attributes = composition.attributes
        self._index = merged_index({}, (), base.indexes) if base.format in KERAS3_FORMATS else None
        self._groups = _groups_of(base, self._index, composition) if self._index is not None else frozenset()

    def add(self, outline: Outline, place: Place, own: Mapping[str, Tensor | Fresh]) -> list[str]:
        """Add the variables of a layer of a custom class, and of the objects inside that no configuration describes.

        Args:
            outline: of the new file.
            place: of the layer.
            own: path inside the layer -> what fills the variable, for all of them, in order.

        Returns:
            What keeps the layer from being written, in words.
        """
        untold: dict[str, Tensor | Fresh] = {}
        for path, source in own.items():
            below = self._told(source)
            if below is None:
                untold[path] = source
                continue
            self._add_names(outline, place, source, below)
            outline.add(inside(place.group, below), source, None)
        objects = list(dict.fromkeys(path.rpartition("/")[0] for path in untold if "/" in path))
        attributes = self._attributes.get(place.path) or self._attributes.get(place.node.name, ())
        if len(objects) != len(attributes):
            who = f"layer {place.path or place.node.name} ({place.node.class_name})"
            if not objects:
                return [f"{who} holds nothing in attributes that the model does not tell: leave out its --attribute"]
            told = f"{len(attributes)} are named" if attributes else "nothing tells them"
            return [f"{who} holds {a_few(objects)} in attributes, and {told}; name them with --attribute"]
        if wrong := [name for name in attributes if not all(map(str.isidentifier, name.split("/")))]:
            return [f"{a_few(wrong)} cannot be the attribute of a layer, such as inner or blocks/dense_1"]
        groups = {"": "", **dict(zip(objects, attributes, strict=True))}
        for name in objects:
            outline.skeleton.groups[f"{inside(place.group, groups[name])}/vars"] = {"name": name.rpartition("/")[2]}
        counts = dict.fromkeys(groups, 0)
        for path, source in untold.items():
            name = path.rpartition("/")[0]
            group = inside(inside(place.group, groups[name]) if name else place.group, "vars")
            outline.add(f"{group}/{counts[name]}", source, None)
            counts[name] += 1
        return []

    def _told(self, source: Tensor | Fresh) -> str | None:
        """Returns the place of a variable in the group of its layer, as the base tells it; None where nothing tells."""
        tensor = old_tensor(source)
        if self._index is None or tensor is None:
            return None
        group = owner_of(tensor.stored, self._groups) or ""
        rest = tensor.stored[len(group) :].lstrip("/")
        return "/".join("layers" if part == keras3.OLD_ROOT else part for part in rest.split("/"))

    def _add_names(self, outline: Outline, place: Place, source: Tensor | Fresh, below: str) -> None:
        """Keep the names of the objects around a variable, by which files without an architecture are read."""
        assert self._index is not None
        tensor = old_tensor(source)
        assert tensor is not None
        old, new = tensor.stored.rpartition("/vars/")[0], below.rpartition("/vars/")[0]
        if new:
            attributes = self._index.groups.get(f"{old}/vars", {})
            outline.skeleton.groups.setdefault(f"{inside(place.group, new)}/vars", attributes)


def _groups_of(base: Checkpoint, index: Index, composition: Composition) -> frozenset[str]:
    """Returns the groups of layers in a base; where the base has no architecture, the new one tells them."""
    config = base.config or composition.config or {}
    root, _ = read_architecture(config, base.keras_version)
    return frozenset(group for _, group in keras3.places(Groups(index), root))
