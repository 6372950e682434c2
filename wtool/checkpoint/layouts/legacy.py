"""The older layout of `.h5` files: whole models, and weights saved by `save_weights("x.h5")`.

A group `model_weights` (or the root) lists its layers in the attribute `layer_names`, and each layer's group lists its
arrays in `weight_names`. Keras goes by the order of these lists and not by the names, so both are read here, and a file
in which names and order say different things is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wtool.checkpoint.demands import stored_dtype
from wtool.checkpoint.layouts.keras3 import unique
from wtool.checkpoint.layouts.legacy_layers import NamedArrays, anonymous_layer, layer_of, without_weights
from wtool.checkpoint.layouts.legacy_names import listed_names
from wtool.checkpoint.layouts.stored import StoredLayer, layers_of, settle_paths, tensors_of
from wtool.checkpoint.model import Contents, Tensor
from wtool.checkpoint.optimizer import slots as optimizer
from wtool.checkpoint.optimizer.candidates import sorted_by_name
from wtool.errors import Differs, Note, Refused
from wtool.hdf5.reader import Index, Value
from wtool.schema import optimizer_settings
from wtool.schema.config import Node, is_keras2, read_architecture


def contents(
    index: Index, config: Mapping[str, Any] | None, training_config: Mapping[str, Any] | None, version: str | None
) -> Contents:
    """Returns tensors, layers and optimizer of a file in the layout of Keras 1 and 2 (and of `.h5` by Keras 3).

    Args:
        index: of the HDF5 file.
        config: the parsed attribute `model_config`; None for weights alone.
        training_config: the parsed attribute `training_config`; None where the file has none.
        version: the attribute `keras_version`; None where the file has none.

    Raises:
        Differs: Keras would load other weights than the names say, or another layout of the same file.
        Refused: names are missing, stand twice or lead out of their group, or the configuration contradicts them.
    """
    base = "model_weights" if "model_weights" in index.groups else ""
    if "model_weights" in index.datasets:
        raise Refused("model_weights is an array, where the group of all layers should be")
    _check_layouts(index, base)
    notes: list[str] = []
    stored = dict(_layers(index, base))
    own = (f"{base}/{name}".strip("/") for name in (*stored, "top_level_model_weights"))
    _check_unnamed(index, [*own, "optimizer_weights"])
    if config is None:
        model = StoredLayer("", None, base, created=[])
        model.parts = [anonymous_layer(name, f"{base}/{name}", weights) for name, weights in stored.items()]
    else:
        root, told = read_architecture(config, version)
        notes += [*told, *_converted(index.groups.get(base, {}), root)]
        model = _model(root, base, stored, is_keras2(version or "1"), notes)
    _add_own(model, index, base)
    settle_paths([model])
    settings, slots, told_slots = _optimizer(index, training_config, version, model)
    return Contents(
        tensors=unique([*tensors_of(model), *slots]),
        layers=tuple(layers_of(model)),
        optimizer=optimizer.described(settings, slots),
        notes=(*notes, *told_slots),
    )


def _converted(attributes: Mapping[str, Value], root: Node) -> list[Note]:
    """Returns a note on kernels that Keras 2 turns round as it loads them, since their group is marked as Keras 1's.

    A group without a mark counts as one of Keras 1 too. Keras 3 takes the values as they are.
    """
    version = attributes.get("keras_version", "1")
    if version not in ("1", b"1"):
        return []
    turned = [node.name for node in root.walk() if _is_turned(node)]
    what = "its weights are marked as Keras 1's, whose kernels Keras 2 turns round and other readers do not"
    return [Note(f"{what}: those of {turned[0]}", "differs")] if turned else []


def _is_turned(node: Node) -> bool:
    if node.class_name in ("Conv2D", "Conv3D"):
        return node.config.get("data_format") == "channels_first"
    return node.class_name == "Conv2DTranspose"


def _check_layouts(index: Index, base: str) -> None:
    """Refuse a file with weights in two layouts, of which Keras takes one by the file's name or by the function called.

    Raises:
        Differs: the file has two layouts.
    """
    if base and _listed_at(index, ""):
        raise Differs(
            "both the file and its group model_weights list layers; which Keras loads depends on how it is asked"
        )
    layers = {
        name.split("/")[0] for name in listed_names(index.groups.get(base, {}), "layer_names", base or "the file") or ()
    }
    for group in index.groups:
        first, _, rest = group.partition("/")
        if (f"/{rest}".endswith("/vars") or group == "vars") and first != base and (base or first not in layers):
            raise Differs(
                f"{group} is in Keras 3's layout, {base or 'layer_names'} in the older one; Keras reads one of them"
            )


def _listed_at(index: Index, group: str) -> bool:
    return any(name in index.groups.get(group, {}) for name in ("layer_names", "layer_names0"))


def _layers(index: Index, base: str) -> Iterator[tuple[str, NamedArrays]]:
    """Yields the name of every layer that the file lists, with its arrays."""
    attributes = index.groups.get(base, {})
    where = base or "the file"
    if "nb_layers" in attributes:
        raise Refused("saved by Keras 0.x, whose files do not name their weights")
    names = listed_names(attributes, "layer_names", where)
    if names is None:
        raise Refused(f"{where} has no attribute layer_names, so this is no file that Keras saved")
    for name in names:
        group = f"{base}/{name}" if base else name
        if group not in index.groups:
            raise Refused(f"layer_names lists {name}, but {where} has no such group")
        yield name, stored_weights(index, group)


def stored_weights(index: Index, group: str) -> NamedArrays:
    """Returns the arrays that a group lists, in order, with their names. Keras 2's output number (`:0`) is left out."""
    names = listed_names(index.groups[group], "weight_names", group)
    found = []
    for name in names or ():
        dataset = index.datasets.get(f"{group}/{name}")
        if dataset is None:
            raise Refused(f"weight_names of {group} lists {name}, which is not there")
        found.append((re.sub(r":\d+$", "", name), dataset))
    return found


def _check_unnamed(index: Index, groups: Iterable[str]) -> None:
    """Refuse arrays in groups that should list them and do not, since Keras would not see them."""
    unnamed = {group for group in groups if listed_names(index.groups.get(group, {}), "weight_names", group) is None}
    for path in index.datasets if unnamed else ():
        above = path.rpartition("/")[0]
        while above and above not in unnamed:
            above = above.rpartition("/")[0]
        if above:
            raise Refused(f"{above} holds weights but has no attribute weight_names")


def _model(root: Node, base: str, stored: Mapping[str, NamedArrays], keras2: bool, notes: list[str]) -> StoredLayer:
    """Returns the tree of layers of a configuration, with the arrays that the file lists."""
    model = StoredLayer("", root.class_name, base, root.trainable, created=[] if root.variants is not None else None)
    empty = not any(stored.values())
    _check_layers(root, base, stored)
    notes += _shared(root)
    listed = dict(stored)
    for child in root.children:
        weights = listed.pop(child.name, None)
        group = f"{base}/{child.name}" if base else child.name
        if weights is None and not empty and not without_weights(child):
            raise Refused(f"layer_names does not list {child.name} ({child.class_name}), which has weights")
        model.parts.append(layer_of(child, child.name, group, weights or (), root.name, empty, keras2, notes))
    for name, weights in listed.items():
        if root.children and weights:
            notes.append(f"{name} is no layer of the configuration")
        if weights or not root.children:
            model.parts.append(anonymous_layer(name, f"{base}/{name}" if base else name, weights, root.name))
    return model


def _shared(root: Node) -> Iterator[Note]:
    """Yields notes on entries that are one layer to Keras 2, with the weights loaded last, and several to Keras 3."""
    entries: dict[tuple[str | float | None, ...], list[str]] = {}
    for node in root.walk():
        if node.shared and not without_weights(node):
            entries.setdefault(node.shared, []).append(node.name)
    for names in entries.values():
        if len(names) > 1:
            told = (
                f"{' and '.join(names[:2])} are one layer to Keras 2, with the weights of the last, and two to Keras 3"
            )
            yield Note(told, "differs")


def _check_layers(root: Node, base: str, stored: Mapping[str, NamedArrays]) -> None:
    """Refuse layers that are listed in another order than Keras's own, by which Keras loads them.

    Raises:
        Differs: Keras would load the weights of one layer into another.
    """
    listed = [name for name, weights in stored.items() if weights]
    known = {child.name for child in root.children}
    wanted = [child.name for child in root.children if stored.get(child.name)]
    strangers = [name for name in listed if name not in known]
    # Where others are listed too, Keras finds too many of them, unless a layer of an unknown class lacks its own.
    lacking = next((c.name for c in root.children if c.variants is None and not stored.get(c.name)), None)
    pairs = zip((name for name in listed if name in known), wanted, strict=True)
    name, layer = next(((a, b) for a, b in pairs if a != b), (strangers[0] if strangers else "", lacking))
    if name and layer:
        raise Differs(
            f"the order in which layer_names of {base or 'the file'} lists layers is not that of the configuration: "
            f"Keras would load the weights of {name} into {layer}"
        )


def _add_own(model: StoredLayer, index: Index, base: str) -> None:
    """Give the model the variables that belong to no layer of it, which Keras stores since 2.7."""
    group = f"{base}/top_level_model_weights" if base else "top_level_model_weights"
    weights = stored_weights(index, group) if group in index.groups else ()
    if weights:
        own = anonymous_layer("", group, weights)
        model.holds, model.created = own.holds, None


def _optimizer(
    index: Index, training_config: Mapping[str, Any] | None, version: str | None, model: StoredLayer
) -> tuple[optimizer_settings.Settings, list[Tensor], list[str]]:
    entry = training_config.get("optimizer_config") if training_config is not None else None
    settings = optimizer_settings.settings_of(entry, older=_is_older(version))
    if is_keras2(version) and optimizer_settings.is_legacy(settings):
        settings = replace(settings, older=True)
    if "optimizer_weights" not in index.groups:
        return settings, [], []
    policy = "bfloat16" if any(held.dtype == "bfloat16" for owner in model.walk() for held in owner.holds) else None
    stored = [
        optimizer.Stored(dataset, stored_dtype(dataset, policy), name)
        for name, dataset in stored_weights(index, "optimizer_weights")
    ]
    if not stored:
        return settings, [], []
    guesses = sorted_by_name(model) if _sorts_by_name(version) else None
    return settings, *optimizer.read(stored, settings, model, True, guesses)


def _sorts_by_name(version: str | None) -> bool:
    """Returns whether the Keras of this version sorted weights by name before it trained them.

    Keras did so up to 2.0.5, and so did TensorFlow 1.4 in its own copy, which calls itself 2.0.8-tf.
    """
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)(-tf)?$", version or "1.0.0")
    return numbers is not None and tuple(map(int, numbers.groups()[:3])) < ((2, 1, 0) if numbers[4] else (2, 0, 6))


def _is_older(version: str | None) -> bool:
    """Returns whether TensorFlow 2.10 or an older Keras 2 saved a file; then all slots of one kind stand together."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < (2, 11)
