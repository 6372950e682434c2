"""Weights alone of the Keras-3 layout in another container: groups and arrays keep their names.

Nobody needs to know the architecture for that.
"""

from __future__ import annotations

from wtool.checkpoint.composition import Composition, Outline
from wtool.checkpoint.layouts.shards import merged_index
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.errors import Refused

KERAS3_FORMATS = ("keras", "weights.h5", "weights.json", "safetensors")
"""Formats with the Keras-3 layout of HDF5 files, whose places safetensors files of Keras models tell."""


def same_outline(base: Checkpoint, composition: Composition) -> Outline:
    """Returns an HDF5 file with the groups of a base, and with those of its arrays that the composition names.

    Raises:
        Refused: the base has another layout, or an array is none of the base.
    """
    if base.format not in KERAS3_FORMATS:
        raise Refused("it has no architecture, only weights; the layout of Keras 3 needs one")
    index = merged_index({}, (), base.indexes)
    outline = Outline()
    for group, attributes in index.groups.items():
        if group.endswith("vars") and (composition.slots or group.split("/")[0] != "optimizer"):
            outline.skeleton.groups[group] = attributes
    pairs = [(source, None) for source in composition.variables.values()]
    slots = [(source, slot) for own in composition.slots.values() for slot, source in own]
    for source, meaning in (*pairs, *slots):
        if not isinstance(source, Tensor):
            raise Refused("it has no architecture, only weights, and these can only be copied")
        outline.add(source.stored, source, meaning)
    return outline
