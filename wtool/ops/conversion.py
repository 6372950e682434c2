"""What a conversion makes of a checkpoint: the architecture, and where the values of every variable come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import partial

from wtool.checkpoint.composition import Composition
from wtool.checkpoint.layouts import safetensors
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.layouts.signs import SAFETENSORS
from wtool.checkpoint.model import Checkpoint, Tensor, is_old
from wtool.checkpoint.optimizer.composed import State
from wtool.checkpoint.optimizer.kept import compiled_as, stored_state, tells_slots, upgraded_state
from wtool.checkpoint.relaid import relaid_values
from wtool.checkpoint.structure import Fresh
from wtool.errors import Refused, a_few, counted
from wtool.ops.assets import files_of, homeless, moved_files, without_words
from wtool.ops.converted import Unconvertible
from wtool.ops.left_out import FILES, HOLDS, left_out
from wtool.ops.untold_attributes import told_attributes, untold_attributes
from wtool.ops.untold_order import untold_order
from wtool.schema.config import COMPILED
from wtool.schema.upgrade.model import upgrade
from wtool.schema.upgrade.native import native_model, training_config_of
from wtool.schema.upgrade.own_names import training_with_new_names, with_new_names
from wtool.schema.upgrade.upgraded import ArrayChange, Change, Upgraded, Wishes, moved_path
from wtool.values import dataclass

KERAS = "3.15.1"
"""The Keras whose format the results have."""

WEIGHTS_ALONE = ("weights.h5", "weights.json")
"""Formats without an architecture."""


WITHOUT_VARIABLES = ("Discretization",)
"""Layers whose variables in Keras 2 have no place in Keras 3: there, the boundaries of bins are a setting."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How models are converted.

    Attributes:
        format: of the results, see `choices.CONVERSION_FORMATS`.
        wishes: what the user says where a configuration does not tell.
        optimizer: `keep` or `drop`.
        shard_size: the most bytes of a shard; None for one that holds all.
        unzipped: whether a `.keras` model becomes a folder.
    """

    format: str
    wishes: Wishes = field(default_factory=Wishes)
    optimizer: str = "keep"
    shard_size: int | None = None
    unzipped: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """What becomes of a checkpoint.

    Attributes:
        composition: the model that is to be written.
        changes: what the rules changed, layer by layer.
        notes: what is worth knowing, one line each.
    """

    composition: Composition
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def conversion_of(base: Checkpoint, recipe: Recipe) -> Conversion | None:
    """Returns what becomes of a checkpoint; None where there is nothing to convert.

    Args:
        base: the checkpoint, open as long as the result is being made.
        recipe: how it is converted.

    Raises:
        Unconvertible: rules cannot keep some layers; all of these are told at once.
        Refused: the checkpoint holds what Keras does not write, or lacks what the format needs.
    """
    if base.config is None:
        return _of_weights(base, recipe)
    upgraded = _upgraded(base, recipe.wishes)
    if upgraded is None and not _is_asked(base, recipe):
        return None
    if upgraded is None:
        _refuse_wishes(recipe.wishes, base.format)
        return kept_model(base, recipe)
    return _of_model(base, upgraded, recipe)


def kept_model(base: Checkpoint, recipe: Recipe) -> Conversion:
    """Returns what becomes of a whole model of Keras 3, whose architecture stays.

    For the arguments see `conversion_of`.

    Raises:
        Unconvertible: the format needs to know what nothing tells of custom classes.
        Refused: the checkpoint holds what Keras does not write, or lacks what the format needs.
    """
    assert base.config is not None
    if base.format != "h5":
        return _of_model(base, Upgraded(base.config), recipe)
    names, found = recipe.wishes.renamed, set[str]()
    training, config = training_config(base), with_new_names(base.config, names, found)
    if training is not None:
        training = training_with_new_names(training, names, found)
    upgraded = Upgraded(native_model(config, training), notes=tuple(recipe.wishes.unused_names(found)))
    return _of_model(base, upgraded, recipe)


def _of_model(base: Checkpoint, upgraded: Upgraded, recipe: Recipe) -> Conversion:
    untold = untold_attributes(base, upgraded, recipe.format, recipe.wishes.attributes)
    refused = (*upgraded.refused, *untold, *homeless(base, recipe.format))
    if refused:
        raise Unconvertible(_counted(refused), refused)
    return _composed(base, upgraded, recipe)


def _refuse_wishes(wishes: Wishes, kind: str) -> None:
    """Refuse words that a model of Keras 3 in the format `kind` has no use for, so that none is silently ignored."""
    if wishes.replacements or wishes.input_shape is not None:
        raise Unconvertible("the model is one of Keras 3: --replace and --input-shape are for models of Keras 2")
    if wishes.renamed and kind != "h5":
        raise Unconvertible("the model is one of Keras 3: --rename is for models of Keras 2, and for .h5 files")


def _of_weights(base: Checkpoint, recipe: Recipe) -> Conversion | None:
    """Returns what becomes of weights alone, which keep their names in any format without an architecture.

    Raises:
        Unconvertible: the wanted format needs more than the weights tell.
    """
    how = "name the architecture with --architecture CONFIG.json (what model.to_json() wrote)"
    if base.format == SAFETENSORS and not safetensors.is_of_keras(base):
        raise Unconvertible("another library wrote the file, which tells names alone; name a model with --like MODEL")
    if recipe.format not in (*WEIGHTS_ALONE, SAFETENSORS):
        raise Unconvertible(f"the file holds weights alone, and {recipe.format} needs an architecture; {how}")
    if base.format in ("h5-weights", "tf-checkpoint"):
        raise Unconvertible(f"weights of this layout do not tell the classes of their layers; {how}")
    if not _is_asked(base, recipe):
        return None
    if words := recipe.wishes.told:
        raise Unconvertible(f"the file holds weights alone, for which {a_few(words)} has no meaning; {how}")
    variables: dict[str, Tensor | Fresh] = {tensor.path: tensor for tensor in base.weights}
    slots = {} if recipe.optimizer == "drop" else stored_state(base)
    composition = Composition(recipe.format, None, base.keras_version, variables, slots, shard_size=recipe.shard_size)
    return Conversion(composition, notes=base.notes)


def _is_asked(base: Checkpoint, recipe: Recipe) -> bool:
    """Returns whether the result differs from a checkpoint that no rule changes."""
    container = (base.format, bool(base.parts)) != (recipe.format, recipe.unzipped)
    return container or recipe.shard_size is not None or (recipe.optimizer == "drop" and bool(base.slots))


def _upgraded(base: Checkpoint, wishes: Wishes) -> Upgraded | None:
    """Returns what the upgrade of a model of Keras 2 comes to; None for a model of Keras 3."""
    assert base.config is not None
    if not is_old(base):
        return None
    training = training_config(base) if base.format == "h5" else compiled_as(base)
    shapes = {tensor.path: tensor.shape for tensor in base.weights}
    found = upgrade(base.config, training, base.keras_version, shapes, wishes, _backend(base))
    return None if not found.refused and found.config == base.config else found


def _backend(base: Checkpoint) -> str | None:
    """Returns the backend of the Keras that wrote an `.h5`, which may have turned its kernels round."""
    told = base.indexes[0].groups.get("model_weights", {}).get("backend") if base.format == "h5" else None
    return told.decode(errors="replace") if isinstance(told, bytes) else told if isinstance(told, str) else None


def _counted(refused: Sequence[Change]) -> str:
    layers = len({each.layer for each in refused})
    return f"{counted(layers, 'layer')} cannot be converted"


def _composed(base: Checkpoint, upgraded: Upgraded, recipe: Recipe) -> Conversion:
    """Returns the conversion of a model whose architecture is known."""
    compiled = upgraded.config.get(COMPILED)
    assets = moved_files(base, upgraded) if FILES in HOLDS[recipe.format] else {}
    variables = _variables(base, upgraded)
    state, lost = _state(base, upgraded, variables) if recipe.optimizer == "keep" else ({}, [])
    composition = Composition(
        format="unzipped" if recipe.unzipped else recipe.format,
        config=upgraded.config,
        keras_version=base.keras_version if upgraded.config is base.config and base.keras_version else KERAS,
        variables=variables,
        slots=state,
        training=training_config_of(compiled) if isinstance(compiled, Mapping) and compiled else None,
        assets=assets,
        shard_size=recipe.shard_size,
        attributes={**told_attributes(base, upgraded), **recipe.wishes.attributes},
    )
    if refused := tuple(untold_order(base, composition)):
        raise Unconvertible(_counted(refused), refused)
    if state and not tells_slots(base, composition):
        composition, state = replace(composition, slots={}), {}
        lost = ["the optimizer's state is left out: layers of the user's own classes hide whose it is"]
    dropped = left_out(base, recipe.format, files_of(base), assets, bool(compiled), bool(state))
    notes = (*base.notes, *upgraded.notes, *without_words(base, upgraded.config), *lost, *dropped)
    return Conversion(composition, upgraded.changes, tuple(dict.fromkeys(notes)))


def _state(base: Checkpoint, upgraded: Upgraded, variables: Mapping[str, Tensor | Fresh]) -> tuple[State, list[str]]:
    """Returns the state of the optimizer, by its groups, and notes."""
    return upgraded_state(base, upgraded, variables) if is_old(base) else (stored_state(base), [])


def _variables(base: Checkpoint, upgraded: Upgraded) -> dict[str, Tensor | Fresh]:
    """Returns path of each variable of the new model -> what fills it. Every old variable with a place is used.

    Raises:
        Refused: two old variables would become one new one.
    """
    old = {tensor.path: tensor for tensor in base.weights}
    read = {path for each in upgraded.arrays for path in each.reads}
    found: dict[str, Tensor | Fresh] = {}
    for path, tensor in old.items():
        if path not in read and tensor.layer_class not in WITHOUT_VARIABLES:
            _put(found, moved_path(path, upgraded.moved), tensor)
    for array in upgraded.arrays:
        _put(found, array.path, _fresh(base, array, old))
    return found


def _put(found: dict[str, Tensor | Fresh], path: str, source: Tensor | Fresh) -> None:
    if path in found:
        raise Refused(f"two variables would become {path}")
    found[path] = source


def _fresh(base: Checkpoint, array: ArrayChange, old: Mapping[str, Tensor]) -> Fresh:
    """Returns the values of a new variable that are computed from old ones."""
    read = [old[path] for path in array.reads]
    make = partial(relaid_values, base, array, read)
    values = make()
    return Fresh(values.shape, values.dtype.name, make)
