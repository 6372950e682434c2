"""The same arrays in a single HDF5 file that calls layers otherwise, or says that the model was compiled otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field, replace
from typing import Any

from wtool.checkpoint.layouts import keras3, legacy
from wtool.checkpoint.layouts.legacy_names import listed_names, with_names
from wtool.checkpoint.lineage import KEY, Record
from wtool.checkpoint.model import Checkpoint, Contents, Tensor
from wtool.checkpoint.patch import rewrite
from wtool.checkpoint.structure import Fresh, Skeleton, structure_text
from wtool.checkpoint.unfilled import Rebuilt, arrays_of, unfilled
from wtool.errors import Refused, a_few
from wtool.hdf5.reader import Index, Value
from wtool.io.places import Target
from wtool.schema.config import inside
from wtool.values import dataclass

WEIGHTS, OPTIMIZER, NAMES = "model_weights", "optimizer_weights", "weight_names"


@dataclass(frozen=True, slots=True, eq=False)
class Relabelled:
    """What a checkpoint in a single HDF5 file is to say.

    Attributes:
        config: its architecture; None for weights alone.
        training: how the model was compiled, as `training_config` has it; None where it was not.
        moved: path of each layer -> its new path, where that is another one.
        changed: path of a tensor -> its new values; others stay.
    """

    config: dict[str, Any] | None
    training: dict[str, Any] | None
    moved: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, Fresh] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """Returns the new path of a variable."""
        layer, _, name = path.rpartition("/")
        return f"{self.moved[layer]}/{name}" if layer in self.moved else path


def relabel(
    base: Checkpoint, wanted: Relabelled, target: Target, lineage: Sequence[Record], stack: ExitStack
) -> Rebuilt:
    """Start writing a checkpoint with other labels to `target`, in the base's format.

    Args:
        base: a single HDF5 file; it stays open until the new one is published.
        wanted: its labels.
        target: where the checkpoint goes.
        lineage: see `patch.rewrite`.
        stack: throws drafts away when it closes.

    Raises:
        Refused: the new file would be read otherwise than it is meant.
        WtoolError: the target cannot be written.
    """
    skeleton = _skeleton_of(base, wanted)
    made = _opened(base, wanted, skeleton, stack)
    return Rebuilt(rewrite(made, target, lineage, stack), tuple(arrays_of(made.indexes[0], skeleton)))


def check_labels(base: Checkpoint, wanted: Relabelled, stack: ExitStack) -> None:
    """Refuse labels with which the new file would be read otherwise than it is meant."""
    _opened(base, wanted, _skeleton_of(base, wanted), stack)


def _opened(base: Checkpoint, wanted: Relabelled, skeleton: Skeleton, stack: ExitStack) -> Checkpoint:
    region, index = unfilled(skeleton, base.name, stack)
    contents = _contents(index, base, wanted)
    if wrong := list(_misread(base, wanted, skeleton, contents)):
        raise Refused(f"the new file would be read otherwise than it is meant: {a_few(wrong)}")
    return replace(base, config=wanted.config, contents=contents, regions=(region,), indexes=(index,))


def _contents(index: Index, base: Checkpoint, wanted: Relabelled) -> Contents:
    if base.format == "weights.h5":
        return keras3.contents(index, None, None)
    return legacy.contents(index, wanted.config, wanted.training, base.keras_version)


def _misread(base: Checkpoint, wanted: Relabelled, skeleton: Skeleton, contents: Contents) -> Iterator[str]:
    """Yields the arrays of the new file that would be taken for something else than they are."""
    old = {tensor.stored: tensor for tensor in base.tensors}
    changed = {id(fresh): path for path, fresh in wanted.changed.items()}
    named = {tensor.path: tensor for tensor in base.tensors}
    origins = {
        path: named[changed[id(source)]] if id(source) in changed else old.get(getattr(source, "path", ""))
        for path, source in skeleton.sources.items()
    }
    found = {tensor.stored: tensor for tensor in contents.tensors}
    for path, origin in origins.items():
        tensor = found.get(path)
        if (tensor is None) != (origin is None):
            yield path
        elif tensor is not None and origin is not None and not _is_meant(tensor, origin, wanted):
            yield f"{wanted.path(origin.path)} would be {tensor.path}"


def _is_meant(tensor: Tensor, origin: Tensor, wanted: Relabelled) -> bool:
    if tensor.dtype != origin.dtype or (tensor.slot is None) != (origin.slot is None):
        return False
    if tensor.slot is None or origin.slot is None:
        return tensor.path == wanted.path(origin.path)
    weight = origin.slot.weight
    return (tensor.slot.name, tensor.slot.weight) == (origin.slot.name, weight and wanted.path(weight))


def _skeleton_of(base: Checkpoint, wanted: Relabelled) -> Skeleton:
    if base.format == "weights.h5":
        return _numbered(base, wanted)
    index = base.indexes[0]
    groups = {path: dict(attributes) for path, attributes in index.groups.items()}
    groups[""].pop(KEY, None)
    if wanted.config is not None:
        groups[""]["model_config"] = structure_text(wanted.config).decode()
    groups[""].pop("training_config", None)
    if wanted.training is not None:
        groups[""]["training_config"] = json.dumps(wanted.training)
    labels = _Labels(base, wanted)
    top = WEIGHTS if WEIGHTS in index.groups else ""
    layers = listed_names(index.groups[top], "layer_names", top) or []
    groups[top] = with_names(groups[top], "layer_names", [wanted.moved.get(name, name) for name in layers])
    places: dict[str, str] = {}
    skeleton = Skeleton()
    for name in layers:
        group, moved = inside(top, name), inside(top, wanted.moved.get(name, name))
        own = groups.pop(group)
        for path in [each for each in groups if each.startswith(f"{group}/")]:
            groups.pop(path)  # the groups between hold nothing but arrays
        names = listed_names(own, NAMES, group) or []
        places |= {inside(group, key): inside(moved, labels.of(inside(group, key), key)) for key in names}
        skeleton.groups[moved] = with_names(own, NAMES, [places[inside(group, key)][len(moved) + 1 :] for key in names])
    if OPTIMIZER in groups:
        names = listed_names(groups[OPTIMIZER], NAMES, OPTIMIZER) or []
        places |= {f"{OPTIMIZER}/{key}": f"{OPTIMIZER}/{labels.of(f'{OPTIMIZER}/{key}', key)}" for key in names}
        kept = [places[f"{OPTIMIZER}/{key}"][len(OPTIMIZER) + 1 :] for key in names]
        groups[OPTIMIZER] = with_names(groups[OPTIMIZER], NAMES, kept)
        groups = {path: each for path, each in groups.items() if not path.startswith(f"{OPTIMIZER}/")}
    skeleton.groups = {**groups, **skeleton.groups}
    _put_arrays(base, wanted, skeleton, places)
    return skeleton


def _numbered(base: Checkpoint, wanted: Relabelled) -> Skeleton:
    """Returns the file of weights of Keras 3, whose groups have the names of layers in an attribute."""
    groups = {path: dict(attributes) for path, attributes in base.indexes[0].groups.items()}
    groups[""].pop(KEY, None)
    for tensor in base.weights:
        if tensor.layer in wanted.moved:
            above = tensor.stored.split("/")
            own = ["/".join((*above[:count], "vars")) for count in range(1, len(above) - 1)]
            named = [group for group in own if "name" in groups.get(group, {})]
            old, new = tensor.layer.split("/"), wanted.moved[tensor.layer].split("/")
            if [_text(base.indexes[0].groups[group]["name"]) for group in named] != old:
                raise Refused(f"the file does not tell that {tensor.layer} is called so: it cannot be renamed there")
            for group, name in zip(named, new, strict=True):
                groups[group]["name"] = name
    skeleton = Skeleton({**groups})
    _put_arrays(base, wanted, skeleton, {})
    return skeleton


def _text(value: Value) -> Value:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _put_arrays(base: Checkpoint, wanted: Relabelled, skeleton: Skeleton, places: Mapping[str, str]) -> None:
    paths = {tensor.stored: tensor.path for tensor in base.tensors}
    for path, dataset in base.indexes[0].datasets.items():
        source = wanted.changed.get(paths.get(path, ""), dataset)
        skeleton.put(places.get(path, path), source, dataset.attributes)


class _Labels:
    """New names of arrays, which have the names of layers for parts."""

    def __init__(self, base: Checkpoint, wanted: Relabelled) -> None:
        self._tensors = {tensor.stored: tensor for tensor in base.tensors}
        self._layers = {tensor.path: tensor.layer for tensor in base.weights}
        self._wanted = wanted

    def of(self, stored: str, key: str) -> str:
        """Returns the name of an array in the list of its group.

        Args:
            stored: path of the array in the file.
            key: its name there.
        """
        tensor = self._tensors.get(stored)
        if tensor is None:
            return key
        weight = tensor.path if tensor.slot is None else tensor.slot.weight
        layer = self._layers.get(weight or "")
        if weight is None or layer is None or layer not in self._wanted.moved:
            return key
        start, found = 0, key
        for old, new in self._pairs(layer):
            match = re.compile(rf"(?:^|(?<=/)){re.escape(old)}(?=/)").search(found, start)
            if match is not None:
                found = found[: match.start()] + new + found[match.end() :]
                start = match.start() + len(new)
        joined = weight.replace("/", "_")  # as Keras 3 calls slots: dense_kernel_momentum
        return found if found != key else key.replace(joined, self._wanted.path(weight).replace("/", "_"))

    def _pairs(self, layer: str) -> Iterator[tuple[str, str]]:
        """Yields old and new name of a layer and of those around it, where these differ; the outermost first."""
        moved, old, new = self._wanted.moved, "", ""
        for path in sorted((each for each in moved if f"{layer}/".startswith(f"{each}/")), key=len):
            names = path.removeprefix(f"{old}/"), moved[path].removeprefix(f"{new}/")
            if names[0] != names[1] and "/" not in names[1]:
                yield names
            old, new = path, moved[path]
