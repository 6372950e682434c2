"""New names for the layers of a model: its architecture and its arrays, under the new names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.optimizer.kept import stored_state
from wtool.checkpoint.structure import Fresh
from wtool.errors import Refused, in_short
from wtool.graphs.layer_names import rename_layers
from wtool.ops.assets import moved_files
from wtool.run.pipeline import Edit
from wtool.run.rebuilding import fresh_of
from wtool.schema.upgrade.upgraded import Upgraded, moved_path


@dataclass(frozen=True, slots=True, eq=False)
class Renamed:
    """A model whose layers have new names.

    Attributes:
        config: its architecture; None where no layer has a new name.
        paths: path of each tensor -> its new path.
        moved: path of each layer -> its new path, where that is another one.
    """

    config: dict[str, Any] | None
    paths: Mapping[str, str]
    moved: Mapping[str, str] | None = None


def renamed(base: Checkpoint, names: Mapping[str, str]) -> Renamed:
    """Returns a model whose layers have new names.

    Args:
        base: a whole model of Keras 3, in an archive or a folder.
        names: path of a layer -> its new name.

    Raises:
        Refused: the file is none, a layer is not there, or two layers would have one name.
    """
    if base.config is None or base.format != "keras" or is_old(base):
        raise Refused("only layers of .keras models of Keras 3 are renamed; wtool convert makes one of this file")
    config = deepcopy(base.config)
    try:
        moved = rename_layers(config, names)
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
    return Renamed(config, paths, moved)


def composed(base: Checkpoint, new: Renamed, edits: Sequence[Edit], others: Sequence[Checkpoint]) -> Composition:
    """Returns the model with new names of layers.

    Args:
        base: the model.
        new: its new names.
        edits: give new values of its tensors.
        others: the checkpoints that the edits read besides the base.
    """
    assert new.config is not None
    moved = new.moved or {}
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
        "unzipped" if base.parts else "keras",
        new.config,
        base.keras_version,
        {new.paths[tensor.path]: fresh.get(tensor.path, tensor) for tensor in base.weights},
        slots,
        assets=moved_files(base, Upgraded(new.config, moved=moved)),
    )


def _source(fresh: Mapping[str, Tensor | Fresh], each: Tensor | Fresh) -> Tensor | Fresh:
    return fresh.get(each.path, each) if isinstance(each, Tensor) else each
