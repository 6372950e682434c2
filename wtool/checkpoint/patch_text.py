"""The text of a patch file: which values each tensor must have before and after, and the two architectures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from blake3 import blake3

from wtool.checkpoint.lineage import KEY, Record, lineage_in, lineage_json
from wtool.checkpoint.model import Slot
from wtool.dtypes import dtype_of
from wtool.errors import Refused
from wtool.io.json_text import parse_object
from wtool.values import dataclass

TEXT = "wtool_patch"
"""Name of the text in the header of a patch file."""

HASH = "wtool_patch_hash"
"""Name of the text with the content hash of that text: a byte that changed on the way changes no setting of a model."""

PLAIN, LABELLED = 1, 2
"""Versions of the format: the second tells other names of tensors, or training configurations of `.h5` files."""

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Values:
    """The values that a tensor must have: shape, dtype, and content hash of their bytes."""

    shape: tuple[int, ...]
    dtype: str
    hash: str


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole model, but for the values of its tensors.

    Attributes:
        config: the architecture, as `config.json` has it.
        keras_version: of the Keras that saved it.
        variables: paths of its variables, in the order of the model.
        slots: group of an optimizer -> all that the optimizer keeps, each with the path of its tensor, in order.
        optimizer: class of the optimizer, which the configuration may have lost; None where the file does not tell.
    """

    config: dict[str, Any]
    keras_version: str
    variables: tuple[str, ...]
    slots: Mapping[str, tuple[tuple[Slot, str], ...]]
    optimizer: str | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two checkpoints of a patch.

    Attributes:
        name: of its file, for people.
        tensors: path -> values of each tensor that the other checkpoint does not have.
        lineage: its records.
        architecture: None where both checkpoints have the same.
        training: how the model of an `.h5` was compiled; None where it was not, or both were compiled alike.
    """

    name: str
    tensors: Mapping[str, Values] = field(default_factory=dict)
    lineage: tuple[Record, ...] = ()
    architecture: Architecture | None = None
    training: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the text of a patch says.

    Attributes:
        before, after: the two checkpoints.
        changed: path of each tensor that both have -> its values before, and its hash after.
        names: path of a tensor that both have -> its path in the checkpoint after, where that is another one. A patch
            that is reversed keeps these names: they are those of the files that the patch was made of.
        unchanged: one hash of all tensors that are equal; see `run.tensor_hashes.hash_of_all`.
    """

    before: Side
    after: Side
    changed: Mapping[str, tuple[Values, str]]
    unchanged: str
    names: Mapping[str, str] = field(default_factory=dict)


def text_of(told: Told) -> str:
    """Returns what a patch says as JSON text."""
    changed = {
        path: {"shape": list(old.shape), "dtype": old.dtype, BEFORE: old.hash, AFTER: new}
        for path, (old, new) in told.changed.items()
    }
    sides = {BEFORE: _side_json(told.before), AFTER: _side_json(told.after)}
    is_labelled = bool(told.names) or told.before.training != told.after.training
    version = {"version": LABELLED, "names": dict(told.names)} if is_labelled else {"version": PLAIN}
    return json.dumps({**version, **sides, "changed": changed, "unchanged": told.unchanged})


def _side_json(side: Side) -> dict[str, Any]:
    tensors = {
        path: {"shape": list(each.shape), "dtype": each.dtype, "hash": each.hash} for path, each in side.tensors.items()
    }
    return {
        "name": side.name,
        "tensors": tensors,
        "lineage": lineage_json(side.lineage),
        "architecture": None if side.architecture is None else _architecture_json(side.architecture),
        **({} if side.training is None else {"training": side.training}),
    }


def _architecture_json(own: Architecture) -> dict[str, Any]:
    slots = {
        group: [[slot.name, slot.weight, slot.initial, path] for slot, path in kept]
        for group, kept in own.slots.items()
    }
    told = {"config": own.config, "keras_version": own.keras_version}
    return {**told, "variables": list(own.variables), "slots": slots, "optimizer": own.optimizer}


def texts_of(told: Told) -> dict[str, str]:
    """Returns the texts of the header of a patch that says this."""
    text = text_of(told)
    return {TEXT: text, HASH: _hash_of(text)}


def _hash_of(text: str) -> str:
    return f"blake3:{blake3(text.encode()).hexdigest()}"


def told_in(texts: Mapping[str, str]) -> Told:
    """Returns what the texts in the header of a patch say.

    Raises:
        Refused: they are others than `texts_of` gives.
    """
    text = texts[TEXT]
    if texts.get(HASH) != _hash_of(text):
        raise Refused(f"damaged: the hash of its text {TEXT} is another one")
    parsed = parse_object(text, f"the text {TEXT}")
    version = parsed.get("version")
    if type(version) is not int or version not in (PLAIN, LABELLED):
        raise Refused(f"the format of the patch has version {version!r:.40}; this wtool reads 1 and 2")
    names = _get(parsed, "names", dict) if version == LABELLED else {}
    if not all(isinstance(each, str) for each in names.values()) or len(set(names.values())) < len(names):
        raise Refused("damaged: the patch has something else where other names of tensors are expected")
    before, after = (_side(_get(parsed, word, dict), word) for word in (BEFORE, AFTER))
    changed = {}
    for path, each in _get(parsed, "changed", dict).items():
        if path in before.tensors or path in after.tensors:
            raise Refused(f"damaged: the patch tells twice of {path!r:.200}")
        changed[path] = _values(path, each, BEFORE), _hash(each, AFTER)
    is_whole = before.architecture is not None and after.architecture is not None
    is_alone = before.architecture is None and after.architecture is None
    if is_whole and (before.training is not None or after.training is not None):
        raise Refused("damaged: the patch carries architectures, and a training configuration of an .h5 beside them")
    if not is_whole and not (is_alone and not before.tensors and not after.tensors):
        raise Refused("damaged: the patch adds tensors, or another architecture, to a model that it does not tell")
    return Told(before, after, changed, _hash(parsed, "unchanged"), names)


def _get(holder: Any, key: str, kind: type) -> Any:
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise Refused(f"damaged: the patch has {value!r:.40} where its {key!r} is expected")
    return value


def _hash(holder: Any, key: str) -> str:
    value: str = _get(holder, key, str)
    return value


def _values(path: str, told: Any, key: str) -> Values:
    shape, dtype = _get(told, "shape", list), _get(told, "dtype", str)
    if not all(type(each) is int and 0 <= each < 1 << 48 for each in shape) or len(shape) > 32:
        raise Refused(f"damaged: {path!r:.200} has the shape {shape!r:.60}")
    try:
        dtype_of(dtype)
    except (TypeError, AttributeError):
        raise Refused(f"damaged: {path!r:.200} has the unknown number type {dtype!r:.40}") from None
    return Values(tuple(shape), dtype, _hash(told, key))


def _side(told: Any, word: str) -> Side:
    tensors = {path: _values(path, each, "hash") for path, each in _get(told, "tensors", dict).items()}
    architecture = told.get("architecture")
    return Side(
        name=_get(told, "name", str),
        tensors=tensors,
        lineage=lineage_in({KEY: _get(told, "lineage", list)}),
        architecture=None if architecture is None else _architecture(architecture),
        training=_get(told, "training", dict) if "training" in told else None,
    )


def _architecture(told: Any) -> Architecture:
    variables = _get(told, "variables", list)
    if not all(isinstance(each, str) for each in variables):
        raise Refused("damaged: the patch has something else where paths of variables are expected")
    slots = {group: tuple(_slots(kept)) for group, kept in _get(told, "slots", dict).items()}
    config, version = _get(told, "config", dict), _get(told, "keras_version", str)
    optimizer = None if told.get("optimizer") is None else _get(told, "optimizer", str)
    return Architecture(config, version, tuple(dict.fromkeys(variables)), slots, optimizer)


def _slots(told: Any) -> Iterator[tuple[Slot, str]]:
    for each in told if isinstance(told, list) else [None]:
        match each:
            case [str(name), str() | None as weight, int() | float() as initial, str(path)]:
                yield Slot(name, weight, float(initial)), path
            case _:
                raise Refused(f"damaged: the patch has {each!r:.60} where a slot of the optimizer is expected")
