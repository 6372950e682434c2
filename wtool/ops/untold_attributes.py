"""The attributes in which layers of custom classes hold their layers: who has to name them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from wtool.checkpoint.layouts.tensorflow import FORMATS
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.weight_order import owner_of
from wtool.ops.convert_words import MODEL
from wtool.schema.config import Node, read_architecture
from wtool.schema.upgrade.upgraded import Change, Upgraded, moved_path


def untold_attributes(
    base: Checkpoint, upgraded: Upgraded, wanted: str, attributes: Mapping[str, tuple[str, ...]]
) -> Iterator[Change]:
    """Yields a refusal for each layer of a custom class whose attributes nobody tells, though the result needs them.

    What the user says of a layer that the model does not have is refused as well.

    Files in the layout of Keras 3 call what a layer holds by the attribute; an `.h5` calls it by its name.

    Args:
        base: the checkpoint.
        upgraded: the new architecture.
        wanted: format of the result.
        attributes: path of a layer -> what the user says.
    """
    is_needed = base.format in ("h5", "h5-weights") and wanted != "h5"
    nodes = dict(read_architecture(upgraded.config)[0].paths()) if attributes or is_needed else {}
    for name in sorted(set(attributes) - set(nodes)):
        yield Change(name, "", "unused wish", f"--attribute names {name}, but no layer is called so")
    if base.format in FORMATS and wanted == "keras":
        yield from _in_containers(told_attributes(base, upgraded), upgraded, attributes)
    if not is_needed:
        return
    for owner, objects in _held_inside(base, upgraded, nodes).items():
        if len(attributes.get(owner, ())) != len(objects):
            names = ",".join(f"NAME{number}" for number in range(1, len(objects) + 1))
            yield Change(
                owner, nodes[owner].class_name, "untold attributes",
                f"it holds {', '.join(objects)} in attributes that an .h5 does not tell; name these in this order by "
                f"--attribute '{owner or MODEL}={names}', or convert it to .h5",
            )  # fmt: skip


def _in_containers(
    told: Mapping[str, tuple[str, ...]], upgraded: Upgraded, attributes: Mapping[str, tuple[str, ...]]
) -> Iterator[Change]:
    """Yields a refusal for each layer that holds layers in a list or a dictionary for which Keras 3 has other names."""
    nodes = dict(read_architecture(upgraded.config)[0].paths()) if told else {}
    for owner, objects in told.items():
        other = [name for name in objects if not all(map(str.isidentifier, name.split("/")))]
        if not other or owner in attributes:
            continue
        words = ",".join(f"{re.split('[/[]', name)[0]}/NAME" if name in other else name for name in objects)
        yield Change(
            owner, nodes[owner].class_name, "untold attributes",
            f"it holds {', '.join(objects)}, and Keras 3 calls what is in a list or a dictionary by the class of the "
            f"layer (dense, then dense_1, ...); name these in this order by --attribute '{owner or MODEL}={words}' "
            "with such a name in the place of each NAME, or save the model as .keras and convert that",
        )  # fmt: skip


def told_attributes(base: Checkpoint, upgraded: Upgraded) -> dict[str, tuple[str, ...]]:
    """Returns path of each layer of a custom class -> the attributes that hold its layers, where TensorFlow tells them.

    Args:
        base: the checkpoint. TensorFlow calls what a layer holds by the attribute.
        upgraded: the new architecture.
    """
    if base.format not in FORMATS:
        return {}
    nodes = dict(read_architecture(upgraded.config)[0].paths())
    return {owner: tuple(objects) for owner, objects in _held_inside(base, upgraded, nodes).items()}


def _held_inside(base: Checkpoint, upgraded: Upgraded, nodes: Mapping[str, Node]) -> dict[str, dict[str, None]]:
    """Returns path of each layer of a custom class that holds layers -> paths of these inside the layer, in order.

    Args:
        base: the checkpoint.
        upgraded: the new architecture.
        nodes: path of each layer in the new architecture -> the layer.
    """
    held: dict[str, dict[str, None]] = {}
    for tensor in base.weights:
        layer = moved_path(tensor.path, upgraded.moved).rpartition("/")[0]
        owner = owner_of(layer, nodes) or ""
        if nodes[owner].variants is None and layer != owner:
            held.setdefault(owner, {})[layer[len(owner) :].lstrip("/")] = None
    return held
