"""A model as it is compared with another one: whatever its format and version of Keras, in the form of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtool.checkpoint.completed import with_architecture
from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.model import Checkpoint, Slot, is_old
from wtool.errors import WtoolError
from wtool.ops.merged_factors import KEEPING, merged_factors
from wtool.run.comparing import SlotKey, Source, slot_keys
from wtool.schema.config import COMPILED
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Compared:
    """A model as it is compared.

    Attributes:
        model: the open checkpoint.
        config: its architecture; None where the file has weights alone.
        training: how it was compiled, as `compile_config`; None where the file cannot tell.
        weights: path of each weight -> where its values come from, in the order of the model.
        slots: the variables of the optimizer, in the order of the file.
        notes: what was done for the comparison, one line each.
    """

    model: Checkpoint
    config: Mapping[str, Any] | None
    training: Mapping[str, Any] | None
    weights: Mapping[str, Source]
    slots: tuple[tuple[Slot, Source], ...]
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Path of each weight -> its shape."""
        return {path: each.shape for path, each in self.weights.items()}


def slots_by_key(model: Compared, renamed: Mapping[str, str] | None = None) -> dict[SlotKey, Source]:
    """Returns key -> each variable of the optimizer of a model, in the order of the file; see `slot_keys`."""
    keys = slot_keys([slot for slot, _ in model.slots], renamed)
    return dict(zip(keys, (source for _, source in model.slots), strict=True))


def both(left: Checkpoint, right: Checkpoint) -> tuple[Compared, Compared]:
    """Returns two models as they are compared.

    Weights alone are read along the architecture of the other model, and a model of Keras 2 that stands beside one of
    Keras 3 is taken as its conversion, where it can be converted. LoRA factors become parts of their kernels where the
    other format holds them so.
    """
    one, other = _both(left, right)
    keeps = [each.format in KEEPING for each in (left, right)]
    if keeps[0] == keeps[1]:
        return one, other
    config = one.config or other.config
    return (_with_merged_factors(one, config), other) if keeps[0] else (one, _with_merged_factors(other, config))


def _with_merged_factors(model: Compared, config: Mapping[str, Any] | None) -> Compared:
    weights, note = merged_factors(model.model, config, model.weights)
    return replace(model, weights=weights, notes=(*model.notes, note)) if note else model


def _both(left: Checkpoint, right: Checkpoint) -> tuple[Compared, Compared]:
    if left.config is None and right.config is None:
        one, other = as_stored(left), as_stored(right)
        return one, _named_alike(one, other)
    if left.config is None:
        model, weights = _with_weights(right, left)
        return weights, model
    if right.config is None:
        return _with_weights(left, right)
    if is_old(left) != is_old(right):
        return _as_keras3(left), _as_keras3(right)
    return as_stored(left), as_stored(right)


def _with_weights(model: Checkpoint, weights: Checkpoint) -> tuple[Compared, Compared]:
    """Returns a model and weights alone, which may have been saved by Keras 2 or after a conversion to Keras 3."""
    known = [as_stored(model), *([_as_keras3(model)] if is_old(model) else [])]
    found = [(each, along(weights, each)) for each in known]
    return min(found, key=lambda each: _count_unpaired(*each))


def _count_unpaired(one: Compared, other: Compared) -> int:
    slots = ({(slot.name, slot.weight) for slot, _ in each.slots} for each in (one, other))
    return len(one.weights.keys() ^ other.weights.keys()) + len(next(slots) ^ next(slots))


def along(weights: Checkpoint, model: Compared) -> Compared:
    """Returns weights alone with their paths in the architecture of a model; as they are where these do not fit."""
    config = {**(model.config or {}), COMPILED: model.training}
    if model.model.keras_version is not None and model.config is model.model.config:
        config["keras_version"] = model.model.keras_version
    notes: tuple[str, ...] = ()
    try:
        weights = with_architecture(weights, config)
    except WtoolError as error:
        notes = (f"{weights.name} does not fit the architecture of {model.model.name}: {error.message}",)
    return replace(as_stored(weights), config=None, training=None, notes=notes)


def _named_alike(one: Compared, other: Compared) -> Compared:
    """Returns weights alone with the paths of others that store the same names: not all files tell those of layers."""
    paths = {tensor.stored: tensor.path for tensor in one.model.weights}
    slots = {tensor.stored: tensor.slot for tensor in one.model.slots}
    has_all = paths.keys() == {each.stored for each in other.model.weights}
    if has_all and one.weights.keys() != other.weights.keys():
        other = replace(other, weights={paths[tensor.stored]: tensor for tensor in other.model.weights})
    if has_all and slots.keys() == {each.stored for each in other.model.slots}:
        named = ((slots[tensor.stored], tensor) for tensor in other.model.slots)
        other = replace(other, slots=tuple((slot, tensor) for slot, tensor in named if slot is not None))
    return other


def as_stored(model: Checkpoint) -> Compared:
    """Returns a model as its file has it."""
    weights = {tensor.path: tensor for tensor in model.weights}
    slots = tuple((tensor.slot, tensor) for tensor in model.slots if tensor.slot is not None)
    return Compared(model, model.config, _training(model), weights, slots)


def _training(model: Checkpoint) -> Mapping[str, Any] | None:
    """Returns how a model was compiled; empty where it was not, None where its file cannot tell."""
    if model.config is None:
        return None
    if model.format == "h5":
        from wtool.schema.upgrade.native import compile_config_of  # only here, as in `_composition`

        return compile_config_of(training_config(model) or {})
    compiled = model.config.get(COMPILED)
    return compiled if isinstance(compiled, Mapping) else {}


def _as_keras3(model: Checkpoint) -> Compared:
    """Returns a model as one of Keras 3; as it is stored where it is one, or cannot be converted."""
    stored = as_stored(model)
    if not is_old(model):
        return stored
    try:
        made = _composition(model)
    except WtoolError as error:
        return replace(stored, notes=(f"{model.name} is compared as Keras 2 stored it: {error.message}",))
    if made is None or made.config is None:
        return stored
    compiled = made.config.get(COMPILED)
    slots = tuple(each for group in made.slots.values() for each in group)
    note = f"{model.name} is of Keras 2, and compared as `wtool convert` would write it"
    training = compiled if isinstance(compiled, Mapping) else {}
    return Compared(model, made.config, training, made.variables, slots, (note,))


def _composition(model: Checkpoint) -> Composition | None:
    """Returns a model of Keras 2 as one of Keras 3; None where there is nothing to convert.

    An `.h5` does without the attributes of custom layers, and has no place for files.
    """
    from wtool.ops.conversion import Recipe, conversion_of  # only here: two models of one Keras need no conversion

    try:
        conversion = conversion_of(model, Recipe("keras"))
    except WtoolError:
        conversion = conversion_of(model, Recipe("h5"))
    return None if conversion is None else conversion.composition
