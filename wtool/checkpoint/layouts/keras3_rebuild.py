"""The groups and assets of a `.keras` model of another structure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.keras3 import OLD_ROOT
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.keras3_places import places
from wtool.checkpoint.lineage import KEY
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Skeleton, Structure
from wtool.checkpoint.weight_order import WeightOrder, owner_of, with_slots
from wtool.errors import Refused
from wtool.schema.config import read_architecture
from wtool.schema.upgrade.upgraded import moved_path


def skeleton_of(base: Checkpoint, structure: Structure, moves: Moves) -> Skeleton:
    """Returns the new HDF5 file of a `.keras` model."""
    index = base.indexes[0]
    skeleton = Skeleton()
    by_place = {tensor.stored: tensor.path for tensor in base.tensors}
    gone = {tensor.stored for tensor in base.weights if tensor.path not in structure.paths}
    optimizer = {path for path in index.groups if path.split("/")[0] == "optimizer"}
    for path, attributes in index.groups.items():
        if path in optimizer or (moved := moves.of(path)) is None:
            continue
        skeleton.groups[moved] = {name: value for name, value in attributes.items() if path or name != KEY}
    for path, dataset in index.datasets.items():
        if path in gone or path.split("/")[0] == "optimizer" or (moved := moves.of(path)) is None:
            continue
        source = structure.changed.get(by_place.get(path, ""), dataset)
        skeleton.put(moved, source, dataset.attributes)
    named = any("name" in attributes for path, attributes in index.groups.items() if path.endswith("vars"))
    for layer, variables in structure.added.items():
        group = f"{moves.new[layer]}/vars"
        attributes = {"name": layer.rpartition("/")[2]} if named else {}
        skeleton.groups.setdefault(group, attributes)
        taken = sum(path.startswith(f"{group}/") for path in skeleton.rooms)
        for number, fresh in enumerate(variables.values(), taken):
            skeleton.add(f"{group}/{number}", fresh)
    if structure.keep_optimizer:
        _number_slots(base, structure, skeleton, optimizer)
    return skeleton


class Moves:
    """From groups of the old file to groups of the new one.

    Args:
        base: the old model.
        config: the new architecture.
        moved: old path -> new path of layers whose paths change.

    Attributes:
        new: new path of each layer -> its group in the new file.
    """

    def __init__(
        self, base: Checkpoint, config: Mapping[str, Any], moved: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        if base.config is None:
            raise Refused("it has no architecture, only weights; this needs a whole model")
        root, _ = read_architecture(base.config, base.keras_version)
        old = dict(keras3.places(Groups(base.indexes[0]), root))
        old = {moved_path(path, moved): group for path, group in old.items()}
        new, _ = read_architecture(config, base.keras_version)
        kept = {path: group.rpartition("/")[2] for path, group in old.items()}
        _, *inner = places(new, kept)
        self.new = {place.path: place.group for place in inner}
        self._layers = {group: layer for layer, group in reversed(old.items())}

    def of(self, path: str) -> str | None:
        """Returns the path in the new file of something in the old one; None if its layer is gone."""
        group = owner_of(path, self._layers)
        above = "" if group is None else self.new.get(self._layers[group])
        if above is None:
            return None
        rest = path[len(group or "") :]
        return above + (rest.replace(OLD_ROOT, "layers") if rest.strip("/") == OLD_ROOT else rest)


def moved_assets(base: Checkpoint, moves: Moves) -> dict[str, str]:
    """Returns old name -> new name of the archive's members whose layers have other groups now."""
    found = {}
    for member in base.members:
        folder, _, rest = member.name.partition("/")
        moved = moves.of(rest) if folder == "assets" else rest
        if moved is not None and moved != rest:
            found[member.name] = f"{folder}/{moved}"
    return found


def _number_slots(base: Checkpoint, structure: Structure, skeleton: Skeleton, groups: set[str]) -> None:
    """Number the optimizer's variables, whose only names in files are numbers."""
    index = base.indexes[0]
    for group in sorted(groups):
        skeleton.groups[group] = index.groups[group]
    stored: dict[str, list[Tensor]] = {}
    for tensor in base.slots:
        stored.setdefault(tensor.stored.rpartition("/")[0], []).append(tensor)
    known = {tensor.stored for tensor in base.slots}
    ranks = WeightOrder(base, structure)
    for path, dataset in index.datasets.items():
        if path.split("/")[0] == "optimizer" and path not in known:
            skeleton.put(path, dataset, dataset.attributes)
    for group, tensors in stored.items():
        for number, (old, fresh) in enumerate(with_slots(tensors, structure, ranks)):
            if old is not None:
                dataset = index.datasets[old.stored]
                skeleton.put(f"{group}/{number}", structure.changed.get(old.path, dataset), dataset.attributes)
            elif fresh is not None:
                skeleton.add(f"{group}/{number}", fresh)
