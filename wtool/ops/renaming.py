"""New names for the layers of a model: its architecture and its arrays, under the new names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import field, replace
from typing import Any

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.optimizer.kept import stored_state
from wtool.checkpoint.relabelling import Relabelled
from wtool.checkpoint.structure import Fresh
from wtool.errors import Refused, a_few, in_short
from wtool.graphs.layer_names import rename_layers
from wtool.ops.assets import moved_files
from wtool.run.pipeline import Edit
from wtool.run.rebuilding import fresh_of
from wtool.schema.config import COMPILED, inside
from wtool.schema.upgrade.upgraded import Upgraded, moved_path
from wtool.values import dataclass

SINGLE = ("h5", "h5-weights", "weights.h5")
"""Formats of single HDF5 files."""


@dataclass(frozen=True, slots=True, eq=False)
class Renamed:
    """A model whose layers have new names.

    Attributes:
        config: its architecture; None for weights alone.
        paths: path of each tensor -> its new path.
        moved: path of each layer -> its new path, where that is another one; empty where no layer has a new name.
        training: how a model in an `.h5` was compiled; None where it was not.
    """

    config: dict[str, Any] | None
    paths: Mapping[str, str]
    moved: Mapping[str, str] = field(default_factory=dict)
    training: dict[str, Any] | None = None


def renamed(base: Checkpoint, names: Mapping[str, str]) -> Renamed:
    """Returns a model whose layers have new names.

    Args:
        base: a model in an archive or a folder of Keras 3, or a single HDF5 file.
        names: path of a layer -> its new name.

    Raises:
        Refused: the file is none, a layer is not there, or two layers would have one name.
    """
    is_archive = base.format == "keras"
    if (base.config is None or is_old(base)) if is_archive else base.format not in SINGLE:
        raise Refused(
            "layers are renamed in .keras models of Keras 3 and in single HDF5 files: wtool convert makes one of this"
        )
    config = deepcopy(base.config)
    training = None if is_archive else training_config(base)
    if config is None:
        moved = _moved_alone(base, names)
    else:
        named = config if is_archive else {**config, COMPILED: training}
        try:
            moved = rename_layers(named, names)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Refused(
                f"its configuration has something where Keras has something else ({in_short(error):.120})"
            ) from None
    paths = {tensor.path: moved_path(tensor.path, moved) for tensor in base.tensors if tensor.slot is None}
    for tensor in base.slots:
        weight = tensor.slot.weight if tensor.slot else None
        is_named = weight is not None and tensor.path.endswith(f"/{weight}")
        stem = tensor.path.removesuffix(f"/{weight}")
        paths[tensor.path] = f"{stem}/{moved_path(str(weight), moved)}" if is_named else tensor.path
    return Renamed(config, paths, moved, training)


def _moved_alone(base: Checkpoint, names: Mapping[str, str]) -> dict[str, str]:
    """Returns path -> new path of the layers of weights alone."""
    known = {tensor.layer for tensor in base.weights}
    known |= {"/".join(layer.split("/")[:count]) for layer in known for count in range(1, layer.count("/") + 1)}
    if missing := [path for path in names if path not in known]:
        raise Refused(f"has no layer {a_few(missing)} with weights that could be renamed")
    moved: dict[str, str] = {}
    for path in sorted(known, key=len):
        above, _, name = path.rpartition("/")
        new = inside(moved.get(above, above), names.get(path, name))
        if new in moved.values():
            raise Refused(f"two layers would be called {new}")
        moved[path] = new
    return {old: new for old, new in moved.items() if old != new}


def relabelled(base: Checkpoint, new: Renamed, edits: Sequence[Edit], others: Sequence[Checkpoint]) -> Relabelled:
    """Returns the new names of layers in a single HDF5 file; the arguments are those of `composed`."""
    layers = {*(tensor.layer for tensor in base.weights), *(each.name for each in base.contents.layers), *new.moved}
    moved = {path: moved_path(path, new.moved) for path in layers}
    return Relabelled(
        new.config,
        new.training,
        {old: path for old, path in moved.items() if old != path},
        {edit.target.path: fresh_of(base, edit, others) for edit in edits},
    )


def composed(base: Checkpoint, new: Renamed, edits: Sequence[Edit], others: Sequence[Checkpoint]) -> Composition:
    """Returns the model with new names of layers.

    Args:
        base: the model.
        new: its new names.
        edits: give new values of its tensors.
        others: the checkpoints that the edits read besides the base.
    """
    assert new.config is not None
    moved = new.moved
    fresh: dict[str, Tensor | Fresh] = {edit.target.path: fresh_of(base, edit, others) for edit in edits}
    slots = {
        group: [
            (
                replace(slot, weight=None if slot.weight is None else moved_path(slot.weight, moved)),
                _source(fresh, each),
            )
            for slot, each in kept
        ]
        for group, kept in stored_state(base).items()
    }
    return Composition(
        "keras",
        new.config,
        base.keras_version,
        {new.paths[tensor.path]: fresh.get(tensor.path, tensor) for tensor in base.weights},
        slots,
        assets=moved_files(base, Upgraded(new.config, moved=moved)),
    )


def _source(fresh: Mapping[str, Tensor | Fresh], each: Tensor | Fresh) -> Tensor | Fresh:
    return fresh.get(each.path, each) if isinstance(each, Tensor) else each
