"""Checkpoints whose architecture is edited before anything is written: the old arrays, read under the new one.

What looks at an edited checkpoint, casts it or packs it needs to know nothing of the edit. `Checkpoint.is_edited` has
the writers make new HDF5 files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wtool.checkpoint.layouts.keras3_rebuild import Moves
from wtool.checkpoint.layouts.legacy import stored_weights
from wtool.checkpoint.layouts.legacy_names import listed_names, with_names
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.rebuild import contents_of
from wtool.checkpoint.structure import structure_text
from wtool.checkpoint.weight_order import owner_of
from wtool.hdf5.reader import Dataset, Index, Value
from wtool.schema.archive_members import CONFIG
from wtool.schema.upgrade.upgraded import moved_path

_WEIGHTS = "model_weights"


def with_settings(base: Checkpoint, config: dict[str, Any]) -> Checkpoint:
    """Returns a whole model with other settings of its layers; each array stays where it is.

    Args:
        base: the model, `.keras` or `.h5`.
        config: its architecture with the new settings.
    """
    return _edited(base, config, base.indexes[0])


def with_layers_moved(
    base: Checkpoint,
    config: dict[str, Any],
    moved: Mapping[str, str],
    gone: frozenset[str],
    training: dict[str, Any] | None,
) -> Checkpoint:
    """Returns a whole model some of whose layers have other paths, or are gone with their own variables.

    Args:
        base: the model, `.keras` or `.h5`.
        config: its new architecture.
        moved: old path -> new path of the layers that stay under another path.
        gone: old paths of the layers that are gone; layers inside them may stay.
        training: how an `.h5` is to say that it was compiled; None where it does not say so.

    Raises:
        Refused: the arrays do not fit the new architecture.
    """
    if base.format == "keras":
        return _edited(base, config, _in_new_groups(base, config, moved))
    index = _in_new_lists(base, moved, gone)
    if training is not None:
        index = _with_root_text(index, "training_config", json.dumps(training))
    return _edited(base, config, index)


def _edited(base: Checkpoint, config: dict[str, Any], index: Index) -> Checkpoint:
    text = structure_text(config)
    if base.format == "h5":
        index = _with_root_text(index, "model_config", text.decode())
    texts = {**base.texts, CONFIG: text} if CONFIG in base.texts else base.texts
    contents = contents_of(base, config, index)
    return replace(base, config=config, contents=contents, indexes=(index,), texts=texts, is_edited=True)


def _with_root_text(index: Index, name: str, text: str) -> Index:
    return replace(index, groups={**index.groups, "": {**index.groups[""], name: text}})


def _in_new_groups(base: Checkpoint, config: Mapping[str, Any], moved: Mapping[str, str]) -> Index:
    """Returns the index of a `.keras` model with each layer in the group of its new path."""
    index, moves = base.indexes[0], Moves(base, config, moved)
    places = {path: moves.of(path) for path in (*index.groups, *index.datasets)}
    groups = {place: index.groups[path] for path in index.groups if (place := places[path]) is not None}
    datasets = {
        place: replace(each, path=place) for path, each in index.datasets.items() if (place := places[path]) is not None
    }
    return replace(index, groups=groups, datasets=datasets)


def _in_new_lists(base: Checkpoint, moved: Mapping[str, str], gone: frozenset[str]) -> Index:
    """Returns the index of an `.h5` with each layer of the outermost model under its new name.

    The group of a layer lists all arrays of the layers inside it, so that layers further inside need no new place.
    """
    index = base.indexes[0]
    names = listed_names(index.groups[_WEIGHTS], "layer_names", _WEIGHTS) or []
    inside = {path.rpartition("/")[0]: new for path, new in moved.items()}
    new_names = {name: inside.get(name, moved_path(name, moved)) for name in names}
    left_out = {tensor.stored for tensor in base.weights if tensor.layer in gone}

    def place(path: str) -> str:
        below = path.removeprefix(f"{_WEIGHTS}/")
        owner = owner_of(below, new_names) if below != path else None
        return path if owner is None else f"{_WEIGHTS}/{new_names[owner]}{below[len(owner) :]}"

    datasets = {
        place(path): replace(each, path=place(path)) for path, each in index.datasets.items() if path not in left_out
    }
    emptied = {*_above(left_out)} - {*_above(index.datasets.keys() - left_out)}
    listing = {f"{_WEIGHTS}/{name}" for name in names}
    groups = {
        place(path): _listing(index, path, left_out) if path in listing else attributes
        for path, attributes in index.groups.items()
        if path in listing or path not in emptied
    }
    groups[_WEIGHTS] = with_names(index.groups[_WEIGHTS], "layer_names", [new_names[name] for name in names])
    return replace(index, groups=groups, datasets=datasets)


def _listing(index: Index, group: str, left_out: set[str]) -> dict[str, Value]:
    """Returns the attributes of a layer's group, which list the arrays that stay."""
    stored: list[Dataset] = [dataset for _, dataset in stored_weights(index, group)]
    names = [each.path.removeprefix(f"{group}/") for each in stored if each.path not in left_out]
    return with_names(index.groups[group], "weight_names", names)


def _above(paths: Iterable[str]) -> Iterator[str]:
    """Yields the groups in which some arrays are, at any depth."""
    for path in paths:
        while "/" in path:
            path = path.rpartition("/")[0]
            yield path
