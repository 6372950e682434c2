"""The groups of a whole-model `.h5` of another structure, and the order of the weights in them."""

from __future__ import annotations

from collections.abc import Mapping

from wtool.checkpoint.layouts import legacy
from wtool.checkpoint.layouts.legacy_names import names_attribute
from wtool.checkpoint.lineage import KEY
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.structure import Fresh, Skeleton, Structure, structure_text
from wtool.checkpoint.weight_order import WeightOrder, owner_of, with_slots
from wtool.hdf5.reader import Dataset, Value
from wtool.schema.config import read_architecture


def skeleton_of(base: Checkpoint, structure: Structure) -> Skeleton:
    """Returns the new HDF5 file of a whole-model `.h5`."""
    index = base.indexes[0]
    skeleton = Skeleton()
    root, _ = read_architecture(structure.config, base.keras_version)
    names = [child.name for child in root.children]
    groups = dict(index.groups)
    skeleton.groups[""] = {name: value for name, value in groups[""].items() if name != KEY}
    skeleton.groups[""] = {**skeleton.groups[""], "model_config": structure_text(structure.config).decode()}
    if not structure.keep_optimizer:
        groups = {path: each for path, each in groups.items() if path.split("/")[0] != "optimizer_weights"}
    own = {**_without(groups["model_weights"], "layer_names"), **names_attribute("layer_names", names)}
    skeleton.groups["model_weights"] = own
    by_place = {tensor.stored: tensor for tensor in base.tensors}
    ranks = WeightOrder(base, structure)
    added: dict[str | None, dict[str, Fresh]] = {}
    for layer, variables in structure.added.items():
        own_paths = {f"{layer}/{name}": fresh for name, fresh in variables.items()}
        added.setdefault(owner_of(layer, names), {}).update(own_paths)
    for name in [*names, *(["top_level_model_weights"] if "model_weights/top_level_model_weights" in groups else [])]:
        _legacy_layer(base, structure, skeleton, ranks, name, added.get(name, {}), by_place)
    if "optimizer_weights" in groups:
        _legacy_slots(base, structure, skeleton, ranks)
    return skeleton


def _without(attributes: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in attributes.items() if not key.startswith(name)}


def _legacy_layer(
    base: Checkpoint,
    structure: Structure,
    skeleton: Skeleton,
    ranks: WeightOrder,
    name: str,
    added: Mapping[str, Fresh],
    by_place: Mapping[str, Tensor],
) -> None:
    """Add the group of a layer of the outermost model, with the names of its weights in order."""
    index, group = base.indexes[0], f"model_weights/{name}"
    stored = legacy.stored_weights(index, group) if group in index.groups else ()
    rows: dict[str, tuple[str, Dataset | Fresh]] = {}
    for _, dataset in stored:
        tensor = by_place.get(dataset.path)
        path = tensor.path if tensor is not None else dataset.path
        if tensor is None or tensor.path in structure.paths:
            rows[path] = dataset.path.removeprefix(f"{group}/"), structure.changed.get(path, dataset)
    old = list(rows)
    rows |= {path: (path, fresh) for path, fresh in added.items()}
    ordered = [rows[path] for path in ranks.ordered(old, list(added), frozen_last=True)]
    skeleton.groups[group] = {
        **_without(index.groups.get(group, {}), "weight_names"),
        **names_attribute("weight_names", [key for key, _ in ordered]),
    }
    for key, source in ordered:
        skeleton.put(f"{group}/{key}", source, source.attributes if isinstance(source, Dataset) else {})


def _legacy_slots(base: Checkpoint, structure: Structure, skeleton: Skeleton, ranks: WeightOrder) -> None:
    index, group = base.indexes[0], "optimizer_weights"
    by_place = {tensor.stored: tensor for tensor in base.slots}
    stored = [dataset.path for _, dataset in legacy.stored_weights(index, group)]
    tensors = [by_place[path] for path in stored if path in by_place]
    keys = []
    added = 0
    for old, fresh in with_slots(tensors, structure, ranks):
        if old is not None:
            key = old.stored.removeprefix(f"{group}/")
            dataset = index.datasets[old.stored]
            skeleton.put(f"{group}/{key}", structure.changed.get(old.path, dataset), dataset.attributes)
        elif fresh is not None:
            added += 1
            key = f"added/slot_{added}"
            skeleton.put(f"{group}/{key}", fresh, {})
        keys.append(key)
    skeleton.groups[group] = {
        **_without(index.groups[group], "weight_names"),
        **names_attribute("weight_names", keys),
    }
