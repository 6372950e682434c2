"""Everything in which two saved models differ."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import compress
from operator import not_
from typing import Any

import numpy as np

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.checkpoint.lineage import lineage_json
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage, counted
from wtool.io.addresses import text_of
from wtool.ops.compared import Compared, both, slots_by_key
from wtool.option import checked, path_of
from wtool.run.comparing import Pair, SlotKey, Tolerance, compared, paired_slots, unread
from wtool.run.difference import Diff, SettingDifference, TensorDifference
from wtool.run.pairing import Pairing, paired_paths
from wtool.schema.config import inside
from wtool.schema.differences import Unlike, differences
from wtool.schema.layer_settings import LayerSettings, layer_settings_of, plain_settings
from wtool.schema.losses import as_asked_for, with_long_names
from wtool.schema.optimizer_settings import innermost_settings, scales_loss, settings_of
from wtool.words import Path, Progress

OPTIMIZER = "optimizer"
"""Key of the optimizer's entry in a training configuration, and the beginning of the paths of its variables."""

ENDS = ("input_layers", "output_layers")
"""Settings of a functional model that name its inputs and outputs."""

LEGACY_WEIGHTS = "h5-weights"
"""The format of weights alone in the older layout."""


def diff(
    a: Path,
    b: Path,
    *,
    atol: float = 0.0,
    rtol: float = 0.0,
    architecture: bool = False,
    progress: Progress | None = None,
) -> Diff:
    """Compare two saved models: layers, settings, weights, optimizer and training configuration.

    Formats and versions of Keras may differ: weights alone are read along the architecture of the other model, and a
    model of Keras 2 is compared with one of Keras 3 as `wtool.convert` would write it. Tensors are matched by path, or
    by position where separate runs gave other automatic names. Memory is bounded, whatever the size of the models.

    Args:
        a: the first model, a file or `-` for standard input.
        b: the second model, a file or `-` for standard input.
        atol: absolute tolerance: values are equal where |a - b| <= atol + rtol * |b|.
        rtol: relative tolerance.
        architecture: compare layers, settings, shapes and dtypes alone, and read no values.
        progress: called with bytes done and bytes in all.

    Raises:
        Usage: a tolerance that is no number from 0 on, or with nothing to be for; or `-` for both models.
        Refused: a file is no Keras model, damaged, or hostile.
        WtoolError: a file is missing or unreadable.

    Example:
        >>> wtool.diff("before.keras", "after.keras").equal  # doctest: +SKIP
    """
    for name, value in (("atol", atol), ("rtol", rtol)):
        if not (isinstance(value, (int, float)) and 0 <= value < math.inf):
            raise Usage(f"{name} is {value!r}; it must be a number from 0 on")
    if checked("architecture", bool, architecture) and (atol or rtol):
        raise Usage("a tolerance is for values, and a comparison of architectures reads none")
    paths = text_of(path_of("a", a)), text_of(path_of("b", b))
    refuse_two_streams(paths)
    with ExitStack() as stack:
        left = stack.enter_context(open_checkpoint(paths[0], foreign=True))
        right = stack.enter_context(open_checkpoint(paths[1], like=left, foreign=True))
        return _diff(*both(left, right), None if architecture else Tolerance(rtol, atol), progress)


def _diff(left: Compared, right: Compared, tolerance: Tolerance | None, progress: Progress | None) -> Diff:
    """Returns the differences; by shapes and dtypes of tensors alone where there is no tolerance of their values."""
    layers, weights = _paired(left, right)
    renamed = _renamed(weights)
    left_slots = slots_by_key(left)
    right_slots = slots_by_key(right, renamed)
    slots, untold = _kept_by_both(paired_slots(left_slots, right_slots), left, right)
    pairs = [Pair(paths, left.weights[paths[0]], right.weights[paths[1]]) for paths in weights.pairs]
    pairs += [
        Pair((_slot_path(here), _slot_path(here)), left_slots[here], right_slots[key]) for here, key in slots.pairs
    ]
    models = (left.model, right.model)
    tensors = unread(models, pairs) if tolerance is None else compared(models, pairs, tolerance, progress)
    optimizer, training = _training(left, right)
    count = len(weights.pairs)
    own_paths = {new: old for old, new in renamed.items()}
    return Diff(
        (left.model.name, right.model.name),
        layers.added,
        layers.removed,
        _settings_of_layers(left, right, layers),
        tuple(tensors[:count]),
        weights.added,
        weights.removed,
        optimizer,
        tuple(tensors[count:]),
        tuple(_slot_path((name, own_paths.get(weight or "", weight), number)) for name, weight, number in slots.added),
        tuple(map(_slot_path, slots.removed)),
        training,
        (*_notes(left, right, weights, tensors), *untold),
    )


def _paired(left: Compared, right: Compared) -> tuple[Pairing[str], Pairing[str]]:
    """Returns which layers of two models mean the same, and which weights; no layers of equal architectures."""
    layers: list[dict[str, str]] = [{}, {}]
    if left.config is not None and right.config is not None and left.config != right.config:
        layers = [
            {each.path: each.class_name for each in layer_settings_of(config)} for config in (left.config, right.config)
        ]
    shapes = left.shapes, right.shapes
    own_paths = [{_path_for_pairing(path, classes): path for path in classes} for classes in layers]
    details = [
        {path: (classes.get(paths.get(path, path)), shape.get(path)) for path in {**paths, **shape}}
        for paths, classes, shape in zip(own_paths, layers, shapes, strict=True)
    ]
    found = paired_paths(*details)
    return found.among(*own_paths).renamed(*own_paths), found.among(*shapes)


def _path_for_pairing(path: str, classes: Mapping[str, str]) -> str:
    """Returns the path of a layer, and that of Keras 3 for the input of a Sequential model, which nobody names."""
    model = path.rpartition("/")[0]
    usual = inside(model, "input_layer")
    is_input = classes[path] == "InputLayer" and classes.get(model) == "Sequential"
    return usual if is_input and usual not in classes else path


def _renamed(found: Pairing[str]) -> dict[str, str]:
    """Returns path in the second model -> path of its counterpart in the first, where that differs.

    A path that only the second model has, and that means something else in the first, is told from it.
    """
    pairs = {there: here for here, there in found.pairs}
    return {there: here for there, here in pairs.items() if here != there} | {
        path: f"{path} (added)" for path in set(found.added).intersection(pairs.values())
    }


def _kept_by_both(slots: Pairing[SlotKey], left: Compared, right: Compared) -> tuple[Pairing[SlotKey], list[str]]:
    """Returns the variables of both optimizers without those that only one of the formats keeps, and a note on these.

    Archives hold the variables of an optimizer inside another one twice, whole models in `.h5` once.
    """
    if LEGACY_WEIGHTS in (left.model.format, right.model.format):
        count = len(slots.removed) + len(slots.added)
        told = f"{counted(count, 'variable is', 'variables are')} not compared"
        note = f"the older layout of weights alone has no place for an optimizer: {told}"
        return Pairing(slots.pairs), [note] if count else []
    is_stored = left.config is left.model.config and right.config is right.model.config
    if is_stored and left.model.format == right.model.format:
        return slots, []
    firsts = [tuple(key for key in keys if key[2] == 0) for keys in (slots.removed, slots.added)]
    count = len(slots.removed) + len(slots.added) - sum(map(len, firsts))
    told = counted(count, "variable of the optimizer is", "variables of the optimizer are")
    note = f"{told} stored a second time in one of the files"
    return Pairing(slots.pairs, *firsts), [note] if count else []


def _slot_path(key: SlotKey) -> str:
    """Returns the path of a variable of an optimizer, as `wtool inspect` shows it."""
    name, weight, number = key
    path = "/".join([OPTIMIZER, name, *([] if weight is None else [weight])])
    return path if number == 0 else f"{path}#{number + 1}"


def _settings_of_layers(left: Compared, right: Compared, layers: Pairing[str]) -> tuple[SettingDifference, ...]:
    """Returns the settings that differ in layers of both models."""
    if left.config is None or right.config is None or not layers.pairs:
        return ()
    old = {each.path: each for each in layer_settings_of(left.config)}
    renamed = _renamed(layers)
    own_paths = {new: path for path, new in renamed.items()}
    new = {own_paths.get(each.path, each.path): each for each in layer_settings_of(right.config, renamed)}
    common_only = left.model.keras_version != right.model.keras_version
    has_packages = left.model.format == right.model.format
    both = {here for here, _ in layers.pairs}
    found: list[SettingDifference] = []
    for here, there in layers.pairs:
        found += _settings(old[here], new[there], common_only, has_packages)
        found += _order(old[here], new[there], both)
    return tuple(found)


def _order(old: LayerSettings, new: LayerSettings, both: Container[str]) -> Iterator[SettingDifference]:
    """Yields the order of the layers inside a layer, if those that both models have run in another one."""
    left, right = ([path for path in each.order if path in both] for each in (old, new))
    if left != right:
        names = ([path.rpartition("/")[2] for path in paths] for paths in (left, right))
        yield SettingDifference(old.path, "order of layers", *names)


def _settings(
    old: LayerSettings, new: LayerSettings, common_only: bool, has_packages: bool
) -> Iterator[SettingDifference]:
    """Yields the settings of a layer that differ; not all formats tell the package of a custom class."""
    packages, names = zip(*(each.class_name.rpartition(">")[::2] for each in (old, new)), strict=True)
    if names[0] != names[1] or (packages[0] != packages[1] and (has_packages or all(packages))):
        yield SettingDifference(old.path, "class", old.class_name, new.class_name)
    calls = "inbound_nodes"
    rank = old.rank or new.rank or 0
    for each in differences(old.settings, new.settings, common_only=common_only):
        if not (common_only and _means_the_same(each, rank)):
            yield SettingDifference(old.path, each.where, each.left, each.right)
    if common_only and (calls in old.settings) != (calls in new.settings):
        yield SettingDifference(old.path, calls, old.settings.get(calls), new.settings.get(calls))


def _means_the_same(unlike: Unlike, rank: int) -> bool:
    """Returns whether a setting of a layer has one meaning in two versions of Keras.

    One of them counts an axis from the first, and the other one from the last of the axes, whose number is the rank.
    """
    left, right = unlike.left, unlike.right
    if unlike.where == "axis":
        left, right = (each[0] if isinstance(each, list) and len(each) == 1 else each for each in (left, right))
        if left == right:
            return True
    if unlike.where == "axis" and type(left) is int and type(right) is int and rank:
        return -rank <= min(left, right) and max(left, right) < rank and left % rank == right % rank
    return unlike.where in ENDS and _as_list(left) == _as_list(right)


def _as_list(tensors: Any) -> Any:
    """Returns a list of inputs or outputs: only newer versions of Keras tell one tensor from a list of one."""
    is_one = isinstance(tensors, list) and len(tensors) == 3 and isinstance(tensors[0], str)
    return [tensors] if is_one else tensors


def _training(left: Compared, right: Compared) -> tuple[tuple[SettingDifference, ...], tuple[SettingDifference, ...]]:
    """Returns the settings of the optimizer that differ, and the other settings of the training that do."""
    if left.training is None or right.training is None:
        return (), ()
    common_only = left.model.keras_version != right.model.keras_version or left.model.format != right.model.format
    both_compiled = bool(left.training) and bool(right.training)
    told = [dict(each.training or {}) for each in (left, right)]
    if left.model.format != right.model.format:
        told = [{key: as_asked_for(each[key]) if key == "metrics" else each[key] for key in each} for each in told]
    old, new = _scaled_alike(*map(plain_training, told))
    found = [
        SettingDifference("", each.where, each.left, each.right)
        for each in differences(old, new, common_only=common_only and both_compiled)
        if not (common_only and _is_rounded(each.left, each.right))
    ]
    is_of_optimizer = [each.key.partition(".")[0] == OPTIMIZER for each in found]
    optimizer = tuple(compress(found, is_of_optimizer))
    return optimizer, tuple(compress(found, map(not_, is_of_optimizer)))


def _is_rounded(left: Any, right: Any) -> bool:
    """Returns whether one number is the other, rounded to float32: old versions of Keras write what variables held."""
    if not (type(left) is float and type(right) is float):
        return False
    with np.errstate(over="ignore"):
        return float(np.float32(left)) == right or float(np.float32(right)) == left


def _scaled_alike(old: Any, new: Any) -> tuple[Any, Any]:
    """Returns training configurations without an optimizer that scales the loss in one of them.

    For mixed_float16, Keras puts one around the model's optimizer unasked, and tells that in an `.h5` alone.
    """
    entries = settings_of(old.get(OPTIMIZER)), settings_of(new.get(OPTIMIZER))
    if scales_loss(entries[0]) == scales_loss(entries[1]) or None in [each.class_name for each in entries]:
        return old, new
    inner = (innermost_settings(each) for each in entries)
    unwrapped = ({"class_name": each.class_name, "config": dict(each.config)} for each in inner)
    return {**old, OPTIMIZER: next(unwrapped)}, {**new, OPTIMIZER: next(unwrapped)}


def plain_training(training: Mapping[str, Any]) -> Any:
    """Returns a training configuration in one form: losses, metrics and optimizers have short and long names."""
    named = {key: with_long_names(value) for key, value in training.items()}
    optimizer = named.get(OPTIMIZER)
    if isinstance(optimizer, str):
        named[OPTIMIZER] = {"class_name": settings_of(optimizer).class_name or optimizer, "config": {}}
    return plain_settings(named)


def _notes(
    left: Compared, right: Compared, weights: Pairing[str], tensors: Sequence[TensorDifference]
) -> Iterator[str]:
    """Yields what is worth knowing and is no difference."""
    yield from (*left.notes, *right.notes)
    one, other = left.model, right.model
    if one.format != other.format:
        yield f"formats: {one.format} and {other.format}"
    if one.keras_version != other.keras_version:
        yield f"Keras versions: {one.keras_version or 'not told'} and {other.keras_version or 'not told'}"
    if lineage_json(one.lineage) != lineage_json(other.lineage):
        yield f"lineage: {_operations(one)}; {_operations(other)}"
    if alone := [each.model.name for each in (left, right) if each.config is None]:
        yield f"weights alone in {' and '.join(dict.fromkeys(alone))}: architecture and training are not compared"
    if renamed := [pair for pair in weights.pairs if pair[0] != pair[1]]:
        here, there = renamed[0]
        yield f"names differ ({here} against {there}): matched by position"
    if hidden := sum(each.values.hidden for each in tensors if each.values is not None):
        yield f"{hidden:,} equal values have different bytes: zeros of both signs, or different NaN"
    if forced := [each.path for each in tensors if each.is_dtype_forced]:
        told = counted(len(forced), "tensor of bfloat16 is", "tensors of bfloat16 are")
        yield f"{told} float32 in the .h5, which holds no others"


def _operations(model: Checkpoint) -> str:
    """What was done to a model, in the words of a note."""
    operations = [str(record.get("operation")) for record in lineage_json(model.lineage)]
    return f"{model.name} is the result of {', '.join(operations)}" if operations else f"{model.name} has none"
