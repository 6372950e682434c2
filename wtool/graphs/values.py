"""What the arrays of a checkpoint become when its graph has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from math import prod
from typing import Any

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.weight_order import listed, owner_of
from wtool.dtypes import Array, dtype_of, is_floating
from wtool.errors import Refused
from wtool.graphs.layer_changes import COPY, INPUT, ONE, AxisEdit
from wtool.graphs.propagate import Propagation
from wtool.graphs.reindex import at_new_positions, fill_new_positions
from wtool.values import dataclass

OPERATION = "swap"


@dataclass(frozen=True, eq=False)
class Added:
    """A variable that a layer did not have before.

    Attributes:
        shape, dtype: of it.
        make: its values.
        trainable: whether training changes it.
        alike: path of a weight of the same shape whose slots it starts from; None for what nothing is known of.
    """

    shape: tuple[int, ...]
    dtype: str
    make: Callable[[], Array]
    trainable: bool
    alike: str | None = None


@dataclass(eq=False)
class Values:
    """New arrays, as far as they are known.

    Attributes:
        edits: path of a tensor -> how its positions change.
        shifts: path of a tensor -> what is added to its old values, of its old shape.
        added: path of a layer -> its new variables.
        gone: paths of layers that are no more.
        gone_variables: paths of tensors that are no more, though their layers are.
        notes: worth knowing, one line each.
    """

    edits: dict[str, list[AxisEdit]] = field(default_factory=dict)
    shifts: dict[str, Array] = field(default_factory=dict)
    added: dict[str, dict[str, Added]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    gone_variables: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def axis_edits(base: Checkpoint, found: Propagation) -> dict[str, list[AxisEdit]]:
    """How each tensor of a checkpoint changes.

    Raises:
        Refused: a weight that has to change is not in the file, or has another shape than its layer's.
    """
    edits: dict[str, list[AxisEdit]] = {}
    owned = weights_by_layer(base)
    for path, each in found.changes.items():
        for edit in each.edits:
            matching = [tensor for tensor in owned.get(path, ()) if is_meant(tensor, path, edit)]
            if not matching and edit.fill == INPUT and edit.name.endswith("kernel"):
                raise Refused(f"the {edit.name} of {path} has to change, and is not in the file as such")
            for tensor in matching:
                _check(tensor, edit)
                edits.setdefault(tensor.path, []).append(edit)
    return edits


def weights_by_layer(base: Checkpoint) -> dict[str, list[Tensor]]:
    """Path of each layer of a model's graph -> its weights, and those of what it consists of."""
    known = frozenset(listed(base.config or {}, base.keras_version))
    owned: dict[str, list[Tensor]] = {}
    for tensor in base.weights:
        owned.setdefault(owner_of(tensor.layer, known) or "", []).append(tensor)
    return owned


def is_meant(tensor: Tensor, path: str, edit: AxisEdit) -> bool:
    """Whether an edit of the layer at a path is of this weight."""
    if tensor.role != edit.name or edit.part is None:
        return tensor.role == edit.name
    return f"{tensor.layer}/".startswith(f"{path}/{edit.part}/")


def _check(tensor: Tensor, edit: AxisEdit) -> None:
    positions = np.where(edit.source < 0, ~edit.source, edit.source)
    largest = int(positions.max(initial=-1))
    size = tensor.shape[edit.axis] if edit.axis < len(tensor.shape) else -1
    whole = bool((edit.source < 0).any())  # what grows holds everything that was there
    if largest >= size or (whole and largest + 1 != size):
        raise Refused(f"{tensor.path} is {tensor.shape}, which does not fit the model's graph")
    if not is_floating(tensor.dtype):
        raise Refused(f"{tensor.path} holds {tensor.dtype} values, which cannot be doubled")


@dataclass(frozen=True)
class Filling:
    """What positions that were not there before are filled with.

    Attributes:
        fill: see `choices.FILLS`.
        seed: for fresh initial values.
        initializers: path of a weight -> its initializer in the configuration, where fresh values are wanted.
    """

    fill: str
    seed: int = 0
    initializers: Mapping[str, Any] = field(default_factory=dict)


def fill_of(edit: AxisEdit, filling: Filling) -> str:
    """What new positions get: `COPY`, `ZERO`, `ONE`, or one of `choices.FILLS` where they are inputs of a layer."""
    return filling.fill if edit.fill == INPUT else edit.fill


def changed_values(base: Checkpoint, tensor: Tensor, edits: Sequence[AxisEdit], filling: Filling) -> Array:
    """A weight's new values."""
    values = base.read(tensor)
    for edit in edits:
        values = at_new_positions(values, edit.axis, edit.source)
        chosen = fill_of(edit, filling)
        if chosen == "initializer":
            fill_new_positions(values, edit.axis, edit.source, _fresh(tensor, values.shape, filling))
        elif chosen == "mirror":
            fill_new_positions(values, edit.axis, edit.source, -values)
        elif chosen != COPY:
            fill_new_positions(values, edit.axis, edit.source, values.dtype.type(1 if chosen == ONE else 0))
    return values


def shifted_values(base: Checkpoint, tensor: Tensor, shift: Array, edits: Sequence[AxisEdit]) -> Array:
    """A weight's new values, where something is added to the old ones and no position is new."""
    values = (base.read(tensor).astype(np.float64) + shift).astype(dtype_of(tensor.dtype))
    for edit in edits:
        values = at_new_positions(values, edit.axis, edit.source)
    return values


def _fresh(tensor: Tensor, shape: tuple[int, ...], filling: Filling) -> Array:
    # Late: NumPy's random generators are slow to import, and only this fill draws numbers.
    from wtool.transforms.initializers import from_config
    from wtool.transforms.streams import drawn, stream

    made = from_config(filling.initializers.get(tensor.path), shape)
    if made is None:
        raise Refused(f"the configuration does not tell how {tensor.path} is initialised; take another --fill")
    source, size = stream(filling.seed, OPERATION, tensor.path), prod(shape)
    flat = made.whole(source.chunk(0)) if made.whole is not None else None
    if flat is None:
        assert made.draw is not None
        flat = drawn(source, size, 0, size, made.draw)
    return flat.reshape(shape).astype(dtype_of(tensor.dtype))


def new_shape(tensor: Tensor, edits: Sequence[AxisEdit]) -> tuple[int, ...]:
    """A tensor's shape after its edits."""
    shape = list(tensor.shape)
    for edit in edits:
        shape[edit.axis] = len(edit.source)
    return tuple(shape)
