"""The entry of an optimizer of Keras 1 or 2 as Keras 3 writes it: class, settings, learning rate.

Source of the settings: `get_config` of keras/src/optimizers and of tf_keras/src/optimizers, legacy ones included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wtool.errors import a_few
from wtool.schema.optimizer_settings import Settings, is_legacy
from wtool.schema.optimizers import ACCUMULATOR, TABLE
from wtool.schema.upgrade.context import Context, Place
from wtool.schema.upgrade.finishing import Entry, written

COMMON = (
    "name", "learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
    "ema_overwrite_frequency",
)  # fmt: skip
"""Settings that every optimizer of Keras 3 takes and Keras 2 may have."""

SCHEDULES_MODULE = "keras.optimizers.schedules"
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

_CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")
"""Settings that shorten gradients: Keras 3 takes one of them, and so did the newer optimizers, in this order."""

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
        context.note("the file does not tell the optimizer")
        return None
    registered, config = entry["class_name"], entry.get("config")
    settings = config if isinstance(config, Mapping) else {}
    kind = registered.removeprefix("Custom>")  # the package of Keras's own optimizers, from TensorFlow 2.11 on
    if re.fullmatch(r"LossScaleOptimizer(V\d)?", kind):
        return _scaling(settings, context)
    kind = next((name for name in TABLE if name.lower() == kind.lower()), kind)
    if kind not in TABLE or TABLE[kind].keras2_settings is None:
        context.note(f"Keras 3 has no optimizer {registered}: the optimizer and its state are left out")
        return None
    return written(kind, _settings(kind, settings, context), "keras.optimizers")


def _settings(kind: str, settings: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Returns the settings of an optimizer that trains weights itself."""
    known, is_older = TABLE[kind], is_legacy(Settings(kind, settings))
    own = known.keras2_settings or ()
    told = {name: value for name, value in settings.items() if value is not None}
    given = {"learning_rate": told.get("lr", known.keras2_rate), **told}
    kept = {name: given[name] for name in (*COMMON, *own) if name in given}
    if isinstance(kept["learning_rate"], Mapping):
        kept["learning_rate"] = upgraded_schedule(kept["learning_rate"], context)
    if is_older and ACCUMULATOR.initial_setting in own:
        kept.setdefault(ACCUMULATOR.initial_setting, 0.0)  # of the Keras that did not ask
    decay = settings.get("decay")
    if known.older_decay and isinstance(decay, (int, float)) and decay > 0:
        kept["learning_rate"] = _decaying(kept["learning_rate"], decay, context)
    if is_older and known.older_difference and not settings.get("momentum"):  # TensorFlow's kernel with a momentum did
        context.note(
            f"the optimizer {kind} of Keras 3 {known.older_difference}: its steps differ a little from the old ones"
        )
    _choose_clip(kept, is_older, context)
    return kept


def _choose_clip(kept: dict[str, Any], is_older: bool, context: Context) -> None:
    """Keep one of the settings that shorten gradients."""
    clips = [name for name in _CLIPS if kept.get(name)]
    for name in _CLIPS:
        if name in kept and name not in clips[:1]:
            del kept[name]
    if is_older and len(clips) > 1:
        context.note(f"the optimizer's {a_few(clips[1:])} is left out: Keras 3 takes one way to clip gradients")
    if clips[:1] == ["clipnorm"] and is_older and _is_keras_alone(context.version):
        kept["global_clipnorm"] = kept.pop("clipnorm")
        context.change(MODEL, "clipnorm", "the optimizer's clipnorm, of all gradients together, is global_clipnorm now")


def _is_keras_alone(version: str | None) -> bool:
    """Whether a model is of the Keras that was no part of TensorFlow."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "1.0")
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < (2, 4) and not (version or "").endswith("-tf")


def _decaying(rate: Any, decay: float, context: Context) -> Any:
    """Returns the schedule of a learning rate that old optimizers divided by 1 + decay * step."""
    if not isinstance(rate, (int, float)):
        context.note(f"the optimizer's decay {decay:g} is left out: Keras 3 has none beside a schedule")
        return rate
    context.change(MODEL, "decay", "the optimizer's decay is an InverseTimeDecay of its learning rate now")
    settings = {_INITIAL: rate, "decay_steps": 1, "decay_rate": decay, "staircase": False}
    return written("InverseTimeDecay", settings, SCHEDULES_MODULE)


def upgraded_schedule(entry: Mapping[str, Any], context: Context) -> Any:
    """Returns the entry of a schedule of learning rates in Keras 3; one of the user's is to be registered.

    Args:
        entry: in the old model.
        context: notes what has to be registered.
    """
    kind, config = entry.get("class_name"), entry.get("config")
    settings = config if isinstance(config, Mapping) else {}
    if isinstance(kind, str) and kind in SCHEDULES:
        kept = {name: settings[name] for name in SCHEDULES[kind] if settings.get(name) is not None}
        return written(kind, kept, SCHEDULES_MODULE)
    name = str(entry.get("registered_name") or kind)
    name = context.new_name(name)
    context.note(f"register the schedule {name} before the new model is loaded, or load it with compile=False")
    own = {key: upgraded_schedule(value, context) if _is_schedule(value) else value for key, value in settings.items()}
    return {"module": None, "class_name": name.rpartition(">")[2], "config": own, "registered_name": name}


def _is_schedule(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") in SCHEDULES


def _scaling(settings: Mapping[str, Any], context: Context) -> Entry | None:
    """Returns the entry of an optimizer that scales the loss around another one."""
    inner = upgraded_optimizer(next((settings[name] for name in _INNER if name in settings), None), context)
    if inner is None:
        return None
    initial, growth = settings.get("initial_scale"), settings.get("dynamic_growth_steps")
    old = settings.get("loss_scale")
    if isinstance(old, Mapping) and isinstance(old.get("config"), Mapping):  # up to TensorFlow 2.3
        initial = old["config"].get("initial_loss_scale", old["config"].get("loss_scale_value"))
        growth = old["config"].get("increment_period")
    is_fixed = settings.get("dynamic") is False or (
        isinstance(old, Mapping) and old.get("class_name") == "FixedLossScale"
    )
    if is_fixed:
        inner["config"]["loss_scale_factor"] = initial
        context.change(
            MODEL, "scale of the loss", "the fixed scale of the loss is the optimizer's loss_scale_factor now"
        )
        return inner
    kept = {"initial_scale": initial, "dynamic_growth_steps": growth}
    given = {name: value for name, value in kept.items() if value}
    return written("LossScaleOptimizer", {"inner_optimizer": inner, **given}, "keras.optimizers")
