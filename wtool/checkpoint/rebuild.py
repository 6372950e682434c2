"""A new checkpoint with another structure: layers more, fewer, or of other classes, and arrays of other shapes."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from wtool.checkpoint.layouts import keras3, legacy
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.legacy_names import names_attribute
from wtool.checkpoint.lineage import KEY, Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.patch import rewrite
from wtool.dtypes import Array, dtype_of
from wtool.errors import Refused
from wtool.hdf5.reader import Dataset, Index, Value, read_index
from wtool.hdf5.writer import Room, write_skeleton
from wtool.io.json_text import parse_object
from wtool.io.places import Target
from wtool.io.source import STREAM_BLOCK, Region, Source
from wtool.schema import config as architecture
from wtool.schema.archive_members import CONFIG
from wtool.schema.config import Node

OLD_ROOT = keras3.OLD_ROOT
Make = Callable[[], Array]


@dataclass(frozen=True, eq=False)
class Fresh:
    """An array that is new, or has another shape or values than before."""

    shape: tuple[int, ...]
    dtype: str
    make: Make


@dataclass(frozen=True, eq=False)
class Structure:
    """What a checkpoint is to become.

    Attributes:
        config: its architecture.
        changed: path of a tensor -> what takes its place; others stay.
        added: path of a layer -> its new variables by name, behind those that it has.
        keep_optimizer: False leaves its state out.
        slots: path of an added variable -> whatever the optimizer keeps for it: name of the slot -> array.
        paths: of all variables of the new model.
        frozen: those that are not trained.
    """

    config: dict[str, Any]
    changed: Mapping[str, Fresh]
    added: Mapping[str, Mapping[str, Fresh]]
    keep_optimizer: bool
    slots: Mapping[str, Mapping[str, Fresh]]
    paths: frozenset[str]
    frozen: frozenset[str]


@dataclass(slots=True)
class _Layout:
    """The new HDF5 file: its groups, and what its arrays are and come from."""

    groups: dict[str, Mapping[str, Value]] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    sources: dict[str, Dataset | Fresh] = field(default_factory=dict)

    def put(self, path: str, source: Dataset | Fresh, attributes: Mapping[str, Value]) -> None:
        """Room for an array, and where its values come from."""
        if path in self.rooms:
            raise Refused(f"two arrays would be called {path}")
        dtype = source.dtype
        if isinstance(source, Fresh) and dtype == "bfloat16":
            dtype = "opaque2"
        self.rooms[path] = Room(source.shape, dtype, attributes)
        self.sources[path] = source

    def add(self, path: str, fresh: Fresh) -> None:
        """Room for an array that was not there, marked as Keras 3 marks it."""
        self.put(path, fresh, {"dtype": fresh.dtype} if fresh.dtype == "bfloat16" else {})


def restructure(
    base: Checkpoint,
    structure: Structure,
    target: Target,
    lineage: Callable[[tuple[str, ...]], Sequence[Record]],
    unhashed: tuple[str, ...],
    progress: Callable[[int, int], None] | None,
    stack: ExitStack,
) -> None:
    """Write a checkpoint of another structure, in the base's format.

    Args:
        base: a whole model, `.keras` or `.h5`.
        structure: what it becomes.
        target: where the checkpoint goes.
        lineage: from the content hash of the base's file to the records.
        unhashed: what stands for the hash until it is known.
        progress: called with bytes done and bytes in all.
        stack: throws drafts away when it closes.

    Raises:
        Refused: the new file would not be one that can be read.
        WtoolError: the target cannot be written.
    """
    layout, names = _laid_out(base, structure)
    made, index = _opened(layout, base, structure, stack)
    texts = {CONFIG: structure_text(structure.config)} if base.format == "keras" else {}
    new = rewrite(made, target, lineage(unhashed), stack, texts, names)
    total = sum(dataset.nbytes for dataset in index.datasets.values())
    done = 0
    for path, dataset in sorted(index.datasets.items(), key=lambda item: item[1].offset):
        for start, data in _blocks(base, layout.sources[path], path):
            new.replace(0, dataset.offset + start, data)
            done += len(data)
            if progress is not None:
                progress(done, total)
    new.copy_rest()
    new.publish(lineage(base.finish()))


def check_structure(base: Checkpoint, structure: Structure, stack: ExitStack) -> Checkpoint:
    """The new checkpoint without its values: its names are those that files of this structure have.

    Raises:
        Refused: the new file would not be one that can be read.
    """
    return _opened(_laid_out(base, structure)[0], base, structure, stack)[0]


def structure_text(config: Mapping[str, Any]) -> bytes:
    """An architecture as JSON, as Keras writes it."""
    import json

    return json.dumps(config).encode()


def _laid_out(base: Checkpoint, structure: Structure) -> tuple[_Layout, dict[str, str]]:
    """The new HDF5 file, and members of the archive that are called otherwise: old name -> new name."""
    if base.format != "keras":
        return _legacy_layout(base, structure), {}
    moves = _Moves(base, structure)
    return _keras3_layout(base, structure, moves), _assets(base, moves)


def _opened(layout: _Layout, base: Checkpoint, structure: Structure, stack: ExitStack) -> tuple[Checkpoint, Index]:
    with TemporaryFile() as file:
        write_skeleton(file, layout.groups, layout.rooms)
        file.flush()
        source = Source(os.dup(file.fileno()), base.name)
    stack.callback(source.close)
    region = Region(source, 0, source.size)
    index = read_index(region.read, region.size)
    if base.format == "keras":
        contents = keras3.contents(index, structure.config, base.keras_version)
    else:
        training = index.groups[""].get("training_config")
        parsed = parse_object(training, "the attribute training_config") if isinstance(training, str) else None
        contents = legacy.contents(index, structure.config, parsed, base.keras_version)
    made = replace(base, config=structure.config, contents=contents, regions=(region,), indexes=(index,))
    return made, index


def _blocks(base: Checkpoint, source: Dataset | Fresh, path: str) -> Iterator[tuple[int, bytes | memoryview]]:
    """The bytes of a new array, from old ones or made."""
    if isinstance(source, Fresh):
        values = source.make()
        if values.shape != source.shape or values.dtype != dtype_of(source.dtype):
            raise AssertionError(f"{path} became {values.dtype} {values.shape}")
        if values.nbytes:
            yield 0, values.reshape(-1).view(np.uint8).data
        return
    region = base.regions[0]
    for start in range(0, source.nbytes, STREAM_BLOCK):
        yield start, region.read(source.offset + start, min(STREAM_BLOCK, source.nbytes - start))


# --- Keras 3 ---


def _keras3_layout(base: Checkpoint, structure: Structure, moves: _Moves) -> _Layout:
    index = base.indexes[0]
    layout = _Layout()
    by_place = {tensor.stored: tensor.path for tensor in base.tensors}
    gone = {tensor.stored for tensor in base.weights if tensor.path not in structure.paths}
    optimizer = {path for path in index.groups if path.split("/")[0] == "optimizer"}
    for path, attributes in index.groups.items():
        if path in optimizer or (moved := moves.of(path)) is None:
            continue
        layout.groups[moved] = {name: value for name, value in attributes.items() if path or name != KEY}
    for path, dataset in index.datasets.items():
        if path in gone or path.split("/")[0] == "optimizer" or (moved := moves.of(path)) is None:
            continue
        source = structure.changed.get(by_place.get(path, ""), dataset)
        layout.put(moved, source, dataset.attributes)
    named = any("name" in attributes for path, attributes in index.groups.items() if path.endswith("vars"))
    for layer, variables in structure.added.items():
        group = f"{moves.new[layer]}/vars"
        attributes = {"name": layer.rpartition("/")[2]} if named else {}
        layout.groups.setdefault(group, attributes)
        taken = sum(path.startswith(f"{group}/") for path in layout.rooms)
        for number, fresh in enumerate(variables.values(), taken):
            layout.add(f"{group}/{number}", fresh)
    if structure.keep_optimizer:
        _number_slots(base, structure, layout, optimizer)
    return layout


class _Moves:
    """From groups of the old file to groups of the new one.

    Attributes:
        new: path of each layer -> its group in the new file.
    """

    def __init__(self, base: Checkpoint, structure: Structure) -> None:
        if base.config is None:
            raise Refused("it has no architecture, only weights; this needs a whole model")
        root, _ = architecture.read(base.config, base.keras_version)
        old = dict(keras3.places(Groups(base.indexes[0]), root))
        self.new = dict(_named_places(architecture.read(structure.config, base.keras_version)[0], "", "", old))
        self._layers = {group: layer for layer, group in reversed(old.items())}

    def of(self, path: str) -> str | None:
        """Where something of the old file is in the new one; None if its layer is gone."""
        group = owner_of(path, self._layers)
        above = "" if group is None else self.new.get(self._layers[group])
        if above is None:
            return None
        rest = path[len(group or "") :]
        return above + (rest.replace(OLD_ROOT, "layers") if rest.strip("/") == OLD_ROOT else rest)


def _named_places(node: Node, path: str, group: str, old: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Where the layers of an architecture are in files of Keras 3."""
    counts: dict[str, int] = {}
    for child in node.children:
        if child.listed:
            number = counts.get(child.group, 0)
            counts[child.group] = number + 1
            name = f"{child.attribute}/{child.group}_{number}" if number else f"{child.attribute}/{child.group}"
        else:
            before = old.get(_below(path, child.name))
            name = before.rpartition("/")[2] if before is not None else child.attribute
        place = f"{group}/{name}" if group else name
        yield _below(path, child.name), place
        yield from _named_places(child, _below(path, child.name), place, old)


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _assets(base: Checkpoint, moves: _Moves) -> dict[str, str]:
    """Members of the archive whose layers are elsewhere now."""
    found = {}
    for member in base.members:
        folder, _, rest = member.name.partition("/")
        moved = moves.of(rest) if folder == "assets" else rest
        if moved is not None and moved != rest:
            found[member.name] = f"{folder}/{moved}"
    return found


def _number_slots(base: Checkpoint, structure: Structure, layout: _Layout, groups: set[str]) -> None:
    """The optimizer's variables, which files only number."""
    index = base.indexes[0]
    for group in sorted(groups):
        layout.groups[group] = index.groups[group]
    stored: dict[str, list[Tensor]] = {}
    for tensor in base.slots:
        stored.setdefault(tensor.stored.rpartition("/")[0], []).append(tensor)
    known = {tensor.stored for tensor in base.slots}
    ranks = _Ranks(base, structure)
    for path, dataset in index.datasets.items():
        if path.split("/")[0] == "optimizer" and path not in known:
            layout.put(path, dataset, dataset.attributes)
    for group, tensors in stored.items():
        for number, (old, fresh) in enumerate(_with_slots(tensors, structure, ranks)):
            if old is not None:
                dataset = index.datasets[old.stored]
                layout.put(f"{group}/{number}", structure.changed.get(old.path, dataset), dataset.attributes)
            elif fresh is not None:
                layout.add(f"{group}/{number}", fresh)


def _with_slots(
    tensors: Sequence[Tensor], structure: Structure, ranks: _Ranks
) -> Iterator[tuple[Tensor | None, Fresh | None]]:
    """An optimizer's variables in the order of the new model's weights; what belongs to no weight stays where it is.

    Files do not say to which weight a slot belongs: Keras gives them out in the order of the weights, one after the
    other, or first one kind for all weights and then the next.
    """
    track: dict[str, list[Tensor]] = {}
    last = None
    for tensor in tensors:
        weight = tensor.slot.weight if tensor.slot else None
        if weight is None or (weight in track and weight != last):
            yield from _track(track, structure, ranks)
            track = {}
        if weight is None:
            yield tensor, None
        elif weight in structure.paths:
            track.setdefault(weight, []).append(tensor)
        last = weight
    yield from _track(track, structure, ranks)


def _track(
    track: Mapping[str, list[Tensor]], structure: Structure, ranks: _Ranks
) -> Iterator[tuple[Tensor | None, Fresh | None]]:
    """A stretch in which every weight comes once, with one slot or with all of them."""
    names = list(dict.fromkeys(tensor.slot.name for slots in track.values() for tensor in slots if tensor.slot))
    added = {path: [slots[name] for name in names if name in slots] for path, slots in structure.slots.items()}
    for path in ranks.ordered(list(track), [path for path in added if track]):
        yield from ((tensor, None) for tensor in track.get(path, ()))
        yield from ((None, fresh) for fresh in added.get(path, ()) if path not in track)


class _Ranks:
    """Where the layers of weights are in the old model and in the new one."""

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
        """Weights as the new model has them, layer by layer; those of one layer stay in their order.

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
    return list(_listed(architecture.read(config, version)[0], ""))


def _listed(node: Node, path: str) -> Iterator[str]:
    for child in node.children:
        if child.listed and child.attribute == "layers":
            yield _below(path, child.name)
            yield from _listed(child, _below(path, child.name))


def owner_of(layer: str, known: Container[str]) -> str | None:
    """The nearest layer of a list that a layer is, or is inside of; names may have slashes themselves."""
    while layer and layer not in known:
        layer = layer.rpartition("/")[0]
    return layer or None


# --- older files ---


def _legacy_layout(base: Checkpoint, structure: Structure) -> _Layout:
    index = base.indexes[0]
    layout = _Layout()
    root, _ = architecture.read(structure.config, base.keras_version)
    names = [child.name for child in root.children]
    groups = dict(index.groups)
    layout.groups[""] = {name: value for name, value in groups[""].items() if name != KEY}
    layout.groups[""] = {**layout.groups[""], "model_config": structure_text(structure.config).decode()}
    if not structure.keep_optimizer:
        groups = {path: each for path, each in groups.items() if path.split("/")[0] != "optimizer_weights"}
    own = {**_without(groups["model_weights"], "layer_names"), **names_attribute("layer_names", names)}
    layout.groups["model_weights"] = own
    by_place = {tensor.stored: tensor for tensor in base.tensors}
    ranks = _Ranks(base, structure)
    added: dict[str | None, dict[str, Fresh]] = {}
    for layer, variables in structure.added.items():
        own_paths = {f"{layer}/{name}": fresh for name, fresh in variables.items()}
        added.setdefault(owner_of(layer, names), {}).update(own_paths)
    for name in [*names, *(["top_level_model_weights"] if "model_weights/top_level_model_weights" in groups else [])]:
        _legacy_layer(base, structure, layout, ranks, name, added.get(name, {}), by_place)
    if "optimizer_weights" in groups:
        _legacy_slots(base, structure, layout, ranks)
    return layout


def _without(attributes: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in attributes.items() if not key.startswith(name)}


def _legacy_layer(
    base: Checkpoint,
    structure: Structure,
    layout: _Layout,
    ranks: _Ranks,
    name: str,
    added: Mapping[str, Fresh],
    by_place: Mapping[str, Tensor],
) -> None:
    """A group of a layer of the outermost model: its weights in order, by name."""
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
    layout.groups[group] = {
        **_without(index.groups.get(group, {}), "weight_names"),
        **names_attribute("weight_names", [key for key, _ in ordered]),
    }
    for key, source in ordered:
        layout.put(f"{group}/{key}", source, source.attributes if isinstance(source, Dataset) else {})


def _legacy_slots(base: Checkpoint, structure: Structure, layout: _Layout, ranks: _Ranks) -> None:
    index, group = base.indexes[0], "optimizer_weights"
    by_place = {tensor.stored: tensor for tensor in base.slots}
    stored = [dataset.path for _, dataset in legacy.stored_weights(index, group)]
    tensors = [by_place[path] for path in stored if path in by_place]
    keys = []
    added = 0
    for old, fresh in _with_slots(tensors, structure, ranks):
        if old is not None:
            key = old.stored.removeprefix(f"{group}/")
            dataset = index.datasets[old.stored]
            layout.put(f"{group}/{key}", structure.changed.get(old.path, dataset), dataset.attributes)
        elif fresh is not None:
            added += 1
            key = f"added/slot_{added}"
            layout.put(f"{group}/{key}", fresh, {})
        keys.append(key)
    layout.groups[group] = {
        **_without(index.groups[group], "weight_names"),
        **names_attribute("weight_names", keys),
    }
