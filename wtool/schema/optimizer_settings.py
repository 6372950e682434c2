"""The settings of an optimizer, as files tell them, and what the table of optimizers says of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wtool.schema.layers import Shape
from wtool.schema.optimizers import ANY, SCALARS, TABLE, OptimizerClass, Scalar, SlotKind
from wtool.values import dataclass

WRAPPING = "loss_scale_optimizer"
"""The name of the optimizer that Keras puts unasked around another one, for mixed_float16, to scale the loss."""


@dataclass(frozen=True, slots=True)
class Settings:
    """An optimizer's class and configuration; both empty where the file does not tell.

    Attributes:
        class_name: name of the class, without its package.
        config: settings of the optimizer.
        older: whether TensorFlow 2.10 or an older Keras 2 may have written it.
    """

    class_name: str | None
    config: Mapping[str, Any]
    older: bool = False


def settings_of(entry: Any, default_name: Any = None, older: bool = False) -> Settings:
    """Returns the settings that an optimizer's entry in `compile_config` or `training_config` tells.

    Args:
        entry: the entry, as parsed JSON.
        default_name: the optimizer's name in the file, which tells the class where the entry does not.
        older: whether TensorFlow 2.10 or an older Keras 2 may have written it.
    """
    if isinstance(entry, str):
        return Settings(_class_named(entry), {}, older)
    if isinstance(entry, Mapping):
        class_name, config = entry.get("class_name"), entry.get("config")
        if isinstance(class_name, str):
            return Settings(class_name.rpartition(">")[2], config if isinstance(config, Mapping) else {}, older)
    return Settings(_class_named(default_name) if isinstance(default_name, str) else None, {}, older)


def _class_named(name: str) -> str | None:
    plain = re.sub(r"_\d+$", "", name).replace("_", "").lower()
    return next((known for known in TABLE if known.lower() == plain), None)


def scales_loss(settings: Settings) -> bool:
    """Returns whether it is an optimizer around another one that scales the loss."""
    return (settings.class_name or "").startswith("LossScaleOptimizer")


def inner_settings(settings: Settings) -> Settings:
    """Returns the settings of the optimizer that a LossScaleOptimizer wraps; TensorFlow 2.3 calls it otherwise."""
    entry = settings.config.get("inner_optimizer", settings.config.get("optimizer"))
    return replace(settings_of(entry), older=settings.older)


def innermost_settings(settings: Settings) -> Settings:
    """Returns the settings of the optimizer that trains the weights, without the scaling of the loss around it."""
    return innermost_settings(inner_settings(settings)) if scales_loss(settings) else settings


def is_legacy(settings: Settings) -> bool:
    """Returns whether settings of Keras 2 are those of the optimizers up to TensorFlow 2.10, which are legacy later.

    All newer ones say whether they average weights.
    """
    config = innermost_settings(settings).config
    return bool(config) and "use_ema" not in config


def scaling(outer: Settings, inner: Settings) -> Settings:
    """Returns the settings of a LossScaleOptimizer around an optimizer.

    For mixed_float16, Keras wraps the optimizer without telling the configuration.
    """
    config = {"inner_optimizer": {"class_name": inner.class_name, "config": inner.config}}
    if not scales_loss(outer):
        return Settings("LossScaleOptimizer", config, outer.older)
    return Settings(outer.class_name, {**outer.config, **config}, outer.older)


def trains_in_parts(settings: Settings) -> bool:
    """Returns whether it is an optimizer of several, each of which trains the weights that its patterns name."""
    entry = TABLE.get(innermost_settings(settings).class_name or "")
    return entry is not None and bool(entry.head)


def parts_settings(settings: Settings) -> Iterator[Settings]:
    """Yields the settings of the optimizers that the configuration of a MultiOptimizer lists."""
    entry = settings.config.get("optimizer_map")
    listed = entry.get("config") if isinstance(entry, Mapping) else None
    if isinstance(listed, Mapping):
        others = listed.get("optimizer_map")
        for each in (*(others.values() if isinstance(others, Mapping) else ()), listed.get("default_optimizer")):
            if isinstance(each, Mapping):
                yield settings_of(each)


def keeps_slots(settings: Settings) -> bool:
    """Returns whether an optimizer of this class, with these settings, stores something for each weight."""
    inner = innermost_settings(settings)
    entry = TABLE.get(inner.class_name or "")
    if entry is None or entry.head:
        return False
    return any(not inner.config or not group.when or inner.config.get(group.when) for group in (*ANY, *entry.groups))


def kinds_of_weight(
    settings: Settings, stored: Collection[str], path: str, shape: Shape
) -> list[tuple[SlotKind, bool | None]] | None:
    """Returns the kinds of slots that an optimizer stores, and whether a weight has them.

    Args:
        settings: class and configuration of the optimizer.
        stored: names of the slots that it has for any weight; groups of which it has none are left out.
        path: path of the weight.
        shape: shape of the weight.

    Returns:
        each kind, in the order of the file, with None in place of the answer where the settings do not tell. None as a
        whole for an unknown optimizer, or one of several parts.
    """
    inner = innermost_settings(settings)
    entry = TABLE.get(inner.class_name or "")
    if entry is None or entry.head:
        return None
    groups = [group for group in (*ANY, *entry.groups) if any(kind.name in stored for kind in group.slots)]
    kinds = [kind for group in groups for kind in group.slots if kind.keeps or kind.name in stored]
    return [(kind, kind.keeps is None or kind.keeps(shape, path, inner.config)) for kind in kinds]


def initial_value(slot: str, settings: Settings) -> float:
    """Returns the value from which a fresh optimizer starts a variable."""
    if slot in SCALARS:
        return _initial(SCALARS[slot], settings)
    inner = innermost_settings(settings)
    return next((_initial(kind, inner) for kind in _kinds(inner) if kind.name == slot), 0.0)


def _kinds(settings: Settings) -> Iterator[SlotKind]:
    entry = TABLE.get(settings.class_name or "", OptimizerClass())
    for group in (*ANY, *entry.groups):
        yield from group.slots


def _initial(kind: SlotKind | Scalar, settings: Settings) -> float:
    value: Any = settings.config.get(kind.initial_setting) if kind.initial_setting else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else kind.initial
