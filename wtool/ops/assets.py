"""Files that layers keep in an archive, such as vocabularies: which layer each belongs to, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wtool.checkpoint.layer_files import FOLDER
from wtool.checkpoint.layouts import keras3
from wtool.checkpoint.layouts.keras3_groups import Groups
from wtool.checkpoint.layouts.keras3_places import places
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.weight_order import owner_of
from wtool.schema.config import read_architecture
from wtool.schema.inbound_nodes import layer_settings
from wtool.schema.layers import class_of
from wtool.schema.upgrade.masks import layers_within
from wtool.schema.upgrade.rules import LOOKUPS
from wtool.schema.upgrade.upgraded import Change, Upgraded, moved_path


def files_of(base: Checkpoint) -> list[str]:
    """Returns the names of the files that layers keep, in whatever a model keeps them."""
    names = (*(member.name for member in base.members), *base.texts)
    return [name for name in names if name.startswith(FOLDER)]


def moved_files(base: Checkpoint, upgraded: Upgraded) -> dict[str, str]:
    """Returns name of each file -> its name in the new archive; files that belong to no layer are left out."""
    if not files_of(base):
        return {}
    new = {place.path: place.group for place in places(read_architecture(upgraded.config)[0])}
    found = {}
    for name, (group, layer) in _owners(base).items():
        moved = new.get(moved_path(layer, upgraded.moved))
        if moved is not None:
            found[name] = f"{FOLDER}{moved}{name.removeprefix(FOLDER).removeprefix(group)}"
    return found


def homeless(base: Checkpoint, wanted: str) -> Iterator[Change]:
    """Yields a refusal for each layer that keeps files, if the result is a whole model and has no place for them.

    Args:
        base: the checkpoint.
        wanted: format of the result.
    """
    if wanted != "h5" or not files_of(base):
        return
    assert base.config is not None
    nodes = dict(read_architecture(base.config, base.keras_version)[0].paths())
    layers = {layer for _, layer in _owners(base).values()}
    for layer in sorted(each for each in layers if each.rpartition("/")[0] not in layers):
        yield Change(
            layer, nodes[layer].class_name, "vocabulary",
            "what it has learned lies in a file of the archive, which an .h5 has no place for: convert the model to "
            ".keras",
        )  # fmt: skip


def without_words(base: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yields a note for each lookup without a vocabulary: an `.h5` does not have what a lookup learned.

    Args:
        base: the checkpoint.
        config: the new architecture.
    """
    if base.format != "h5":
        return
    for entry in layers_within(config):
        settings = layer_settings(entry)
        if class_of(entry) in LOOKUPS and settings.get("vocabulary") is None:
            name = settings.get("name")
            yield f"layer {name} has no vocabulary in the file: call its adapt() or set_vocabulary() before it is used"


def _owners(base: Checkpoint) -> Mapping[str, tuple[str, str]]:
    """Returns name of each file that belongs to a layer -> group and path of the layer."""
    assert base.config is not None
    root, _ = read_architecture(base.config, base.keras_version)
    paths = {group: path for path, group in keras3.places(Groups(base.indexes[0]), root)}
    owners = {name: owner_of(name.removeprefix(FOLDER), paths) for name in files_of(base)}
    return {name: (group, paths[group]) for name, group in owners.items() if group is not None}
