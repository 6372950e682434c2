"""The order of weights and slots in a rebuilt checkpoint: Keras tells many of them apart only by their order."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh, Structure
from wtool.schema.config import Node, inside, read_architecture


class WeightOrder:
    """The places of the layers of weights in the old model and in the new one."""

    def __init__(self, base: Checkpoint, structure: Structure) -> None:
        assert base.config is not None
        self._old = {path: rank for rank, path in enumerate(listed(base.config, base.keras_version))}
        self._new = {path: rank for rank, path in enumerate(listed(structure.config, base.keras_version))}
        self._layers = {tensor.path: tensor.layer for tensor in base.weights}
        self._layers |= {f"{layer}/{name}": layer for layer, own in structure.added.items() for name in own}
        self._frozen = structure.frozen

    def _of(self, path: str, ranks: Mapping[str, int]) -> int:
        owner = owner_of(self._layers.get(path, ""), ranks)
        return len(ranks) if owner is None else ranks[owner]

    def ordered(self, old: Sequence[str], added: Sequence[str], frozen_last: bool = False) -> list[str]:
        """Returns the weights in the new model's order, layer by layer; those of one layer stay in their order.

        Where old ones did not come layer by layer, only their author knows why: they stay as they are.
        """

        def rank(path: str, ranks: Mapping[str, int]) -> tuple[bool, int]:
            return frozen_last and path in self._frozen, self._of(path, ranks)

        before = [rank(path, self._old) for path in old]
        if before == sorted(before):
            return sorted([*old, *added], key=lambda path: rank(path, self._new))
        found = list(old)
        for path in added:
            behind = [at for at, each in enumerate(found) if rank(each, self._new) <= rank(path, self._new)]
            found.insert(max(behind, default=-1) + 1, path)
        return found


def listed(config: Mapping[str, Any], version: str | None) -> list[str]:
    """Paths of the layers in a model's lists and in those of the models inside it, in model order."""
    return list(_listed(read_architecture(config, version)[0], ""))


def _listed(node: Node, path: str) -> Iterator[str]:
    for child in node.children:
        if child.listed and child.attribute == "layers":
            yield inside(path, child.name)
            yield from _listed(child, inside(path, child.name))


def owner_of(layer: str, known: Container[str]) -> str | None:
    """Returns the nearest layer of a list that a layer is, or is inside of; names may have slashes themselves."""
    while layer and layer not in known:
        layer = layer.rpartition("/")[0]
    return layer or None


def with_slots(
    tensors: Sequence[Tensor], structure: Structure, ranks: WeightOrder
) -> Iterator[tuple[Tensor | None, Fresh | None]]:
    """Returns an optimizer's variables in the order of the new weights; variables of no weight stay where they are.

    Files do not say to which weight a slot belongs: Keras gives them out in the order of the weights, one after the
    other, or first one kind for all weights and then the next.
    """
    kinds = {tensor.slot.name for tensor in tensors if tensor.slot}
    track: dict[str, list[Tensor]] = {}
    last = None
    for tensor in tensors:
        weight = tensor.slot.weight if tensor.slot else None
        if weight is None or (weight in track and weight != last):
            yield from _track(track, structure, ranks, kinds)
            track = {}
        if weight is None:
            yield tensor, None
        elif weight in structure.paths:
            track.setdefault(weight, []).append(tensor)
        last = weight
    yield from _track(track, structure, ranks, kinds)


def _track(
    track: Mapping[str, list[Tensor]], structure: Structure, ranks: WeightOrder, kinds: Collection[str]
) -> Iterator[tuple[Tensor | None, Fresh | None]]:
    """Yields the new variables of a track: a run in which every weight comes once, with one slot or with all."""
    names = {tensor.slot.name for slots in track.values() for tensor in slots if tensor.slot}
    added = {path: list(_of_track(slots, names, kinds)) for path, slots in structure.slots.items()}
    for path in ranks.ordered(list(track), [path for path in added if track]):
        yield from ((tensor, None) for tensor in track.get(path, ()))
        yield from ((None, fresh) for fresh in added.get(path, ()) if path not in track)


def _of_track(slots: Mapping[str, Fresh], names: Collection[str], kinds: Collection[str]) -> Iterator[Fresh]:
    """Returns the slots of a new weight that are stored in one track.

    Args:
        slots: all slots of the weight, in the order of the file.
        names: names of the slots in the stretch.
        kinds: names of the slots in the whole file; a slot that no old weight has stands behind the one before it.
    """
    before = None
    for name, fresh in slots.items():
        before = name if name in kinds else before
        if before in names:
            yield fresh
