"""The entry of an optimizer of Keras 1 or 2 as Keras 3 writes it: class, settings, learning rate.

Source of the settings: `get_config` of keras/src/optimizers and of tf_keras/src/optimizers, legacy ones included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.finishing import Entry, written

COMMON = (
    "name", "learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
    "ema_overwrite_frequency",
)  # fmt: skip
"""Settings that every optimizer of Keras 3 takes and Keras 2 may have."""

_MOMENTS = ("beta_1", "beta_2", "epsilon")
_STRENGTHS = ("l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength")
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "SGD": ("momentum", "nesterov"), "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "Adam": (*_MOMENTS, "amsgrad"), "AdamW": (*_MOMENTS, "amsgrad"), "Adamax": _MOMENTS, "Nadam": _MOMENTS,
    "Adadelta": ("rho", "epsilon"), "Adagrad": ("initial_accumulator_value", "epsilon"), "Lion": _MOMENTS[:2],
    "Adafactor": ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    "Ftrl": ("learning_rate_power", "initial_accumulator_value", *_STRENGTHS, "beta"),
}  # fmt: skip
"""Class, called alike in Keras 2 and 3 -> its own settings, which mean the same."""

_INITIAL = "initial_learning_rate"
SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "ExponentialDecay": (_INITIAL, "decay_steps", "decay_rate", "staircase"),
    "InverseTimeDecay": (_INITIAL, "decay_steps", "decay_rate", "staircase"),
    "PiecewiseConstantDecay": ("boundaries", "values"),
    "PolynomialDecay": (_INITIAL, "decay_steps", "end_learning_rate", "power", "cycle"),
    "CosineDecay": (_INITIAL, "decay_steps", "alpha", "warmup_target", "warmup_steps"),
    "CosineDecayRestarts": (_INITIAL, "first_decay_steps", "t_mul", "m_mul", "alpha"),
}
"""Class of a schedule of learning rates, called alike in Keras 2 and 3 -> its settings."""

_INNER = ("inner_optimizer", "optimizer")
"""Settings of a LossScaleOptimizer that hold the optimizer inside; the second one up to TensorFlow 2.3."""

MODEL = Place("", "")


def upgraded_optimizer(entry: Any, context: Context) -> Entry | None:
    """Returns the entry of an optimizer in Keras 3; None, with a note, for one that Keras 3 does not have.

    Args:
        entry: in the old model: a class and its settings, or a name.
        context: notes what is done.
    """
    if isinstance(entry, str):
        entry = {"class_name": entry, "config": {}}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
        return None
    registered = entry["class_name"]
    config = entry.get("config")
    settings = config if isinstance(config, Mapping) else {}
    kind = registered.removeprefix("Custom>").removeprefix("Addons>")
    if re.fullmatch(r"LossScaleOptimizer(V\d)?", kind):
        return _scaling(settings, context)
    kind = next((name for name in SETTINGS if name.lower() == kind.lower()), kind)
    if kind not in SETTINGS:
        context.note(f"Keras 3 has no optimizer {registered}: optimizer and state are left out")
        return None
    return written(kind, _settings(kind, settings, context), "keras.optimizers")


def _settings(kind: str, settings: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Returns the settings of an optimizer that trains weights itself."""
    given = {"learning_rate": settings.get("lr"), **settings}
    kept = {name: given[name] for name in (*COMMON, *SETTINGS[kind]) if given.get(name) is not None}
    if isinstance(kept.get("learning_rate"), Mapping):
        kept["learning_rate"] = upgraded_schedule(kept["learning_rate"], context)
    decay = settings.get("decay")
    if kind != "Nadam" and isinstance(decay, (int, float)) and decay > 0:
        kept["learning_rate"] = _decaying(kept.get("learning_rate", 0.001), decay, context)
    return kept


def _decaying(rate: Any, decay: float, context: Context) -> Any:
    """Returns the schedule of a learning rate that old optimizers divided by 1 + decay * step."""
    if not isinstance(rate, (int, float)):
        context.note(f"the optimizer's decay {decay:g} is left out: Keras 3 has none beside a schedule")
        return rate
    context.change(MODEL, "decay", "the optimizer's decay becomes an InverseTimeDecay of its learning rate")
    settings = {_INITIAL: rate, "decay_steps": 1, "decay_rate": decay, "staircase": False}
    return written("InverseTimeDecay", settings, "keras.optimizers.schedules")


def upgraded_schedule(entry: Mapping[str, Any], context: Context) -> Any:
    """Returns the entry of a schedule of learning rates in Keras 3."""
    kind, config = entry.get("class_name"), entry.get("config")
    if not isinstance(kind, str) or kind not in SCHEDULES or not isinstance(config, Mapping):
        context.note(f"Keras 3 has no schedule {kind!r:.60}: register it before the new model is loaded")
        return dict(entry)
    kept = {name: config[name] for name in SCHEDULES[kind] if config.get(name) is not None}
    return written(kind, kept, "keras.optimizers.schedules")


def _scaling(settings: Mapping[str, Any], context: Context) -> Entry | None:
    """Returns the entry of an optimizer that scales the loss around another one."""
    inner = upgraded_optimizer(next((settings[name] for name in _INNER if name in settings), None), context)
    if inner is None:
        return None
    kept = {name: settings[name] for name in ("initial_scale", "dynamic_growth_steps") if settings.get(name)}
    return written("LossScaleOptimizer", {"inner_optimizer": inner, **kept}, "keras.optimizers")
