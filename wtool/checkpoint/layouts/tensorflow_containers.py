"""Layers that a layer of a custom class holds in lists and dictionaries: what Keras 3 calls them.

TensorFlow calls an element of a list by its position and one of a dictionary by its key; Keras 3 calls both by their
class, `dense` and `dense_1`, in the order of the container.
Source: `_save_container_state` of keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from wtool.schema.keras_metadata import SavedLayer
from wtool.schema.layers import snake_case


def names_in_container(children: Mapping[str, int], layers: Mapping[int, SavedLayer]) -> dict[str, str]:
    """Returns names of the layers that a container holds, as TensorFlow has them -> those of Keras 3.

    Several layers of one class in a dictionary are left out, since nothing tells their order.

    Args:
        children: of the container's object: name -> number of the object.
        layers: number of an object -> what the SavedModel tells of the layer.
    """
    held = {name: _class_of(layers[number]) for name, number in children.items() if number in layers}
    is_list = all(name.isdecimal() for name in held)
    counts = Counter(held.values())
    found: dict[str, str] = {}
    used: Counter[str] = Counter()
    for name in sorted(held, key=int) if is_list else held:
        class_name = held[name]
        if class_name and (is_list or counts[class_name] == 1):
            found[name] = f"{class_name}_{used[class_name]}" if used[class_name] else class_name
            used[class_name] += 1
    return found


def _class_of(layer: SavedLayer) -> str:
    """Returns the class of a layer in small letters, without its package; empty where the metadata do not tell it."""
    return snake_case(str(layer.metadata.get("class_name") or "").rpartition(">")[2])
