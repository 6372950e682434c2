"""The layout of Keras-3 weights: `.weights.h5` files, and the member of `.keras` archives.

Groups are called by the attributes of Keras's objects (`layers/dense_1/vars`), and arrays in `vars` by numbers. A group
in a list of layers is called by class and position in the list, not by the layer's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wtool.checkpoint.demands import stored_dtype
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.keras3_layers import anonymous, held_by, unknown
from wtool.checkpoint.layouts.stored import StoredLayer, StoredVariable, layers_of, settle_paths, tensors_of
from wtool.checkpoint.model import Contents, Tensor
from wtool.checkpoint.optimizer import nested as optimizer_tree
from wtool.checkpoint.optimizer import slots as optimizer
from wtool.errors import Differs, Note, Refused, a_few, counted
from wtool.hdf5.reader import Dataset, Index
from wtool.schema.config import COMPILED, Node, inside, read_architecture
from wtool.schema.lost_settings import lost_settings

OLD_ROOT = "_layer_checkpoint_dependencies"  # TensorFlow 2.12 and 2.13; `layers` since
_NOT_LAYERS = ("vars", "optimizer", "metrics")


def contents(index: Index, config: Mapping[str, Any] | None, version: str | None) -> Contents:
    """Returns tensors, layers and optimizer of a file in the layout of Keras 3 (and of `.keras` since TensorFlow 2.12).

    Args:
        index: of the HDF5 file; of all shards together for sharded checkpoints.
        config: the parsed `config.json`; None for weights alone, whose names then come from the groups.
        version: of the Keras that saved the file; None where the file does not tell.

    Raises:
        Refused: the file and the configuration contradict each other, or hold what Keras does not write.
    """
    groups = Groups(index)
    _check_roots(groups)
    keras2 = OLD_ROOT in index.groups or (version or "").startswith("2")
    notes: list[str] = []
    model = _model(groups, config, "2" if keras2 else version, notes)
    metrics = list(_metrics(groups))
    settle_paths([model, *metrics])
    compiled = config.get(COMPILED) if config is not None else None
    entry = compiled.get("optimizer") if isinstance(compiled, Mapping) else None
    settings, slots, told = optimizer_tree.read(groups, entry, model)
    notes += told
    weights = [tensor for root in (model, *metrics) for tensor in tensors_of(root)]
    notes += _leftover(index)
    return Contents(
        tensors=unique([*weights, *slots]),
        layers=tuple(layers_of(model)),
        optimizer=optimizer.described(settings, slots),
        notes=tuple(notes),
    )


def _check_roots(groups: Groups) -> None:
    """Refuse layers in both places where versions of Keras look for them, since each version would load others."""
    for path in groups.index.groups:
        above, _, name = path.rpartition("/")
        if name == OLD_ROOT and groups.holds_variables(path):
            other = groups.join(above, "layers")
            if groups.holds_variables(other):
                raise Differs(f"the file has layers in {path} and in {other}; versions of Keras read one or the other")


def unique(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Returns the tensors; a path that several of them have is replaced by their paths in the file."""
    paths = Counter(tensor.path for tensor in tensors)
    if len(paths) == len(tensors):
        return tuple(tensors)
    return tuple(replace(tensor, path=tensor.stored) if paths[tensor.path] > 1 else tensor for tensor in tensors)


def _model(groups: Groups, config: Mapping[str, Any] | None, version: str | None, notes: list[str]) -> StoredLayer:
    if config is None:
        return _without_config(groups, version == "2")
    root, told = read_architecture(config, version)
    notes += [*told, *lost_settings(config)]
    model = _Reader(groups, version, _is_empty(groups), notes, _elsewhere(groups, root)).owner(root, "", "")
    if _is_empty(groups) and any(_needed(node) for node in root.walk()):
        notes.append(Note("the model had no weights yet when it was saved", "note"))
    return model


def _is_empty(groups: Groups) -> bool:
    return all(path.startswith(_NOT_LAYERS[1:]) for path in groups.index.datasets)


def _needed(node: Node) -> bool:
    return node.variants is not None and all(choice.saved for choice in node.variants)


class _Reader:
    """Reads the groups of one file along an architecture."""

    def __init__(
        self, groups: Groups, version: str | None, empty: bool, notes: list[str], elsewhere: frozenset[str]
    ) -> None:
        self.groups = groups
        self.elsewhere = elsewhere
        self.keras2 = (version or "").startswith("2")
        self.empty = empty
        self.notes = notes

    def owner(self, node: Node, group: str, path: str) -> StoredLayer:
        """Returns a layer of the architecture with the variables in its group, and all layers inside it."""
        self.groups.check_vars(group)
        owner = StoredLayer(path, node.class_name, group, node.trainable)
        keys = self.groups.variables(group)
        if node.variants is None:
            unknown(owner, keys, node.policy)
        else:
            held_by(owner, node, keys, absent=self.empty or self._unbuilt(node, group, keys))
        taken = self._parts(owner, node, group)
        self._rest(owner, node, group, taken)
        return owner

    def _unbuilt(self, node: Node, group: str, keys: Sequence[tuple[str, Dataset]]) -> bool:
        """Returns whether a layer was never built: its group is empty, and no input shape was recorded for it."""
        return not keys and not self.keras2 and node.input_shape is None and self.groups.is_object(group)

    def _parts(self, owner: StoredLayer, node: Node, group: str) -> set[str]:
        taken: set[str] = set()
        for child, found in _located(self.groups, node, group):
            if found in self.elsewhere:
                continue
            if not self.groups.exists(found):
                self._miss(child, found)
            taken.add(found)
            self._compare_name(child, found)
            self._check_order(child, found)
            owner.parts.append(self.owner(child, found, owner.inside(child.name)))
        return taken

    def _miss(self, child: Node, group: str) -> None:
        if not self.empty and any(_needed(node) for node in child.walk()):
            raise Refused(f"the file has no group {group}, where layer {child.name} ({child.class_name}) should be")

    def _compare_name(self, child: Node, group: str) -> None:
        name = self.groups.name(group)
        if child.listed and name is not None and name != child.name:
            told = f"{group} is called {name} in the file, but {child.name} in the configuration"
            self.notes.append(Note(told, "differs"))

    def _check_order(self, child: Node, group: str) -> None:
        """Refuse a layer that Keras counts in another order than the configuration, if no name tells which it is."""
        if child.moved and self.groups.name(group) is None and self.groups.holds_variables(group):
            raise Differs(
                f"Keras loads {group} into layer {child.name}, but the configuration lists the layers of that class in "
                "another order; save the model again with Keras"
            )

    def _rest(self, owner: StoredLayer, node: Node, group: str, taken: set[str]) -> None:
        """Add the objects that the configuration does not mention: those inside custom layers, and strays."""
        orphans = node.variants is not None
        for found in self.groups.objects(group, _NOT_LAYERS if not group else ("vars",), known=taken):
            if not self.groups.holds_variables(found):
                continue
            part = anonymous(self.groups, found, owner, self.keras2, node.policy)
            if orphans:
                part = anonymous(self.groups, found, StoredLayer(found.rpartition("/")[0], None, ""), self.keras2, None)
                part.trainable = None
                self.notes.append(f"{found} belongs to no layer of the configuration")
            elif owner.trainable is False:
                for inner in part.walk():
                    inner.trainable = False
            owner.parts.append(part)


def _elsewhere(groups: Groups, root: Node) -> frozenset[str]:
    """Returns the groups of layers that are stored in another group, since Keras makes one layer of several entries.

    Keras stores a layer where it meets the layer first, but in a list of layers it counts each layer once.

    Raises:
        Differs: the entries are not of one layer, or more than one of them has variables in the file.
    """
    counts = Counter(node.shared for node in root.walk())
    found: dict[tuple[str | float | None, ...], list[tuple[Node, str]]] = {}
    waiting = [(root, "")] if any(count > 1 for shared, count in counts.items() if shared) else []
    while waiting:
        node, group = waiting.pop()
        for child, place in _located(groups, node, group):
            if child.shared:
                found.setdefault(child.shared, []).append((child, place))
            waiting.append((child, place))
    shared = [each for each in found.values() if len(each) > 1]
    return frozenset(place for each in shared for place in _empty_places(groups, each))


def _empty_places(groups: Groups, entries: Sequence[tuple[Node, str]]) -> list[str]:
    """Returns the groups of one layer in which it is not stored; none if it is stored nowhere."""
    first = entries[0][0]
    lists = Counter(place.rpartition("/")[0] for child, place in entries if child.listed)
    alike = all((node.class_name, node.name) == (first.class_name, first.name) for node, _ in entries)
    if not alike or max(lists.values(), default=0) > 1:
        raise Differs(
            f"Keras makes one layer of {first.name} ({first.class_name}) and of another entry with its number"
        )
    holding = [place for _, place in entries if groups.holds_variables(place)]
    if len(holding) > 1:
        raise Differs(f"Keras makes one layer of {first.name}, but the file has it in {holding[0]} and in {holding[1]}")
    return [place for _, place in entries if place not in holding] if holding else []


def places(groups: Groups, node: Node, group: str = "", path: str = "") -> Iterator[tuple[str, str]]:
    """Yields path and group of each layer inside another, outermost first."""
    for child, found in _located(groups, node, group):
        yield inside(path, child.name), found
        yield from places(groups, child, found, inside(path, child.name))


def _located(groups: Groups, node: Node, group: str) -> Iterator[tuple[Node, str]]:
    """Yields every layer directly inside another, with the group where Keras would look for it."""
    counts: Counter[str] = Counter()
    ranks: dict[str, list[str]] | None = None
    for child in node.children:
        if not child.listed:
            yield child, groups.one_of(group, child.attribute, f"_{child.attribute}", child.attribute.lstrip("_"))
            continue
        number = counts[child.group]
        counts[child.group] += 1
        old = groups.join(group, OLD_ROOT)
        if child.attribute == "layers" and groups.exists(old):
            if ranks is None:
                ranks = _numbered(groups, old)
                _check_numbers(node, ranks)
            found = ranks.get(child.group, [])
            yield child, found[number] if number < len(found) else groups.join(old, f"{child.group} {number}")
            continue
        name = f"{child.group}_{number}" if number else child.group
        yield child, groups.join(group, f"{child.attribute}/{name}")


def _numbered(groups: Groups, container: str) -> dict[str, list[str]]:
    """Returns class -> its groups in the order of their numbers, which have gaps in TensorFlow 2.12 and 2.13."""
    found: dict[str, list[tuple[int, str]]] = {}
    for child in groups.children(container):
        found.setdefault(child, []).append((0, child))
        match = re.fullmatch(r"(.+)_(\d{1,9})", child)
        if match is not None:
            found.setdefault(match[1], []).append((int(match[2]), child))
    return {name: [groups.join(container, child) for _, child in sorted(each)] for name, each in found.items()}


def _check_numbers(node: Node, found: Mapping[str, Sequence[str]]) -> None:
    layers = [child for child in node.children if child.attribute == "layers"]
    counts = Counter(child.group for child in layers)
    for child in layers:
        stored, wanted = len(found.get(child.group, ())), counts[child.group]
        if stored != wanted and _needed(child):
            raise Refused(f"the file has {stored} layers of class {child.class_name}, the configuration {wanted}")


def _without_config(groups: Groups, keras2: bool) -> StoredLayer:
    root = anonymous(groups, "", None, keras2, None, skip=_NOT_LAYERS)
    direct = any(groups.is_object(child) for child in groups.children("") if child not in _NOT_LAYERS)
    if not direct and not root.holds:
        root.created, root.interleaved = [], True  # a list of layers, but sorted by class in the file
    return root


def _metrics(groups: Groups) -> Iterator[StoredLayer]:
    for found in groups.objects("metrics", skip=()):
        name = found.rpartition("/")[2]
        class_name = "".join(word.capitalize() for word in re.sub(r"_\d+$", "", name).split("_"))
        owner = StoredLayer(found, class_name, found, False, created=[])
        owner.holds = [
            StoredVariable(key, "metric", dataset, stored_dtype(dataset), False)
            for key, dataset in groups.variables(found)
        ]
        yield owner


def _leftover(index: Index) -> list[str]:
    stray = [path for path in index.datasets if "/vars/" not in f"/{path}"]
    if not stray:
        return []
    return [f"{counted(len(stray), 'array is', 'arrays are')} no layer's variables, and left alone: {a_few(stray)}"]
