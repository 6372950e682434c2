"""What optimizers store: one entry for each class, and what becomes of each kind of variable.

An entry of `TABLE` tells everything that wtool knows of an optimizer; `optimizer_layouts` makes the sequences of
variables that Keras writes from it. An optimizer keeps scalars (its step count, its learning rate) and slots: arrays
for each weight that it trains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a slot when its weight changes.

    Attributes:
        rewritten: of a value whose weight was rewritten: it becomes zero, is kept, or becomes the weight's new value.
        new_position: of a position that the weight did not have: zero, the value of its counterpart, or what the weight
            gets there.
        new_weight: for a weight that is new: zeros, the mean of the weight's before it, or the new weight's values.
    """

    rewritten: Literal["zero", "kept", "weight"]
    new_position: Literal["zero", "counterpart", "weight"]
    new_weight: Literal["zero", "mean", "weight"]


FIRST_MOMENT = Rule("zero", "zero", "zero")
"""Of slots that would go on pulling a weight to where its old value was going."""

MAGNITUDE = Rule("kept", "counterpart", "mean")
"""Of slots that say how large gradients are: were they zero at a large step count, the next steps would be too long."""

AVERAGE = Rule("weight", "weight", "weight")
"""Of slots that hold values of the weights themselves."""


def _same(shape: Shape) -> Shape:
    return shape


@dataclass(frozen=True, slots=True)
class SlotKind:
    """A kind of array that an optimizer keeps for the weights that it trains.

    Attributes:
        name: Keras 3's name of it.
        rule: what becomes of it.
        keras2: its names in files of Keras 2.
        initial: the value that a fresh optimizer starts it from.
        initial_setting: the setting of the optimizer that gives another initial value; empty where there is none.
        shape: from the shape of a weight to the shape of its slot.
        placeholder: the shape that Keras 2 gives it where its values are not used.
        keeps: from the shape and path of a weight and the optimizer's settings to whether the weight has the slot; None
            in place of the answer where the settings do not tell. No function where every weight has it.
    """

    name: str
    rule: Rule
    keras2: tuple[str, ...] = ()
    initial: float = 0.0
    initial_setting: str = ""
    shape: Callable[[Shape], Shape] = _same
    placeholder: Shape | None = None
    keeps: Callable[[Shape, str, Mapping[str, Any]], bool | None] | None = None

    @property
    def has_shape_of_weight(self) -> bool:
        """Whether each of its values belongs to one value of the weight."""
        return self.shape is _same


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number that an optimizer keeps.

    Attributes:
        name: Keras 3's name of it.
        keras2: its names in files of Keras 2.
        initial: the value that a fresh optimizer starts it from.
        initial_setting: the setting of the optimizer that gives another initial value; empty where there is none.
        is_setting: whether it says how the user trains, and not what happened so far: then it is always kept.
    """

    name: str
    keras2: tuple[str, ...] = ()
    initial: float = 0.0
    initial_setting: str = ""
    is_setting: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Slots that are stored together: all of the first weight, then all of the second one.

    Attributes:
        slots: the slots, in the order of the file.
        when: the setting without which the optimizer does not have them; empty where it always has them.
    """

    slots: tuple[SlotKind, ...]
    when: str = ""


@dataclass(frozen=True, slots=True)
class OptimizerClass:
    """What a class of optimizers stores.

    Attributes:
        groups: its slots, behind those that any optimizer may have.
        tail: scalars behind the slots.
        head: the scalars of an optimizer around others, before whatever these store; empty for all other optimizers.
        older: whether Keras 2 up to TensorFlow 2.10, or a package for it, has the class.
        older_head: scalars that this Keras 2 writes before the slots, if they are others than those of all classes.
    """

    groups: tuple[Group, ...] = ()
    tail: tuple[Scalar, ...] = ()
    head: tuple[Scalar, ...] = ()
    older: bool = True
    older_head: tuple[Scalar, ...] = ()


ITERATION = Scalar("iteration", ("iter", "iterations"))
LEARNING_RATE = Scalar("learning_rate", is_setting=True)
STEP_COUNTER = Scalar("step_counter")
DYNAMIC_SCALE = Scalar("dynamic_scale", initial=32768.0, initial_setting="initial_scale", is_setting=True)
# Nadam multiplies its momenta up from 1: a zero would stay zero for ever.
U_PRODUCT = Scalar("u_product", initial=1.0)
MOMENTUM_CACHE = Scalar("momentum_cache", initial=1.0)

MOMENTUM = SlotKind("momentum", FIRST_MOMENT, ("m",))
VELOCITY = SlotKind("velocity", MAGNITUDE, ("v", "rms"))
# Keras 2 stores a placeholder where amsgrad is off.
VELOCITY_HAT = SlotKind("velocity_hat", MAGNITUDE, ("vhat",), placeholder=(1,))
ACCUMULATOR = SlotKind("accumulator", MAGNITUDE, initial=0.1, initial_setting="initial_accumulator_value")
MOVING_AVERAGE = SlotKind("average", AVERAGE)
GRADIENT_ACCUMULATOR = SlotKind("gradient_accumulator", FIRST_MOMENT)

ANY = (Group((MOVING_AVERAGE,), "use_ema"), Group((GRADIENT_ACCUMULATOR,), "gradient_accumulation_steps"))
"""What any optimizer may store before its own slots."""


def _rows(shape: Shape) -> Shape:
    return shape[:-1] if len(shape) > 1 else ()


def _columns(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1]) if len(shape) > 1 else ()


def _muon_leaves_to_adam(shape: Shape, path: str, config: Mapping[str, Any]) -> bool | None:
    """Whether Muon updates a weight as Adam does: all but matrices, embeddings, and layers whose paths match a pattern.

    Patterns are not matched here: a regular expression from a file can take for ever.
    """
    if len(shape) != 2 or (config.get("exclude_embeddings", True) and "embedding" in path.lower()):
        return True
    excluded = config.get("exclude_layers")
    words = [word for word in excluded if isinstance(word, str)] if isinstance(excluded, (list, tuple, str)) else []
    if any(word in path for word in words if not _is_pattern(word)):
        return True
    return None if any(map(_is_pattern, words)) else False


def _is_pattern(word: str) -> bool:
    return re.search(r"[\\.^$*+?{}\[\]|()]", word) is not None


_MOMENTS = (Group((MOMENTUM, VELOCITY)),)
_MOMENTS_AND_HAT = (*_MOMENTS, Group((VELOCITY_HAT,), "amsgrad"))

TABLE: dict[str, OptimizerClass] = {  # the commonest first
    "Adam": OptimizerClass(_MOMENTS_AND_HAT),
    "AdamW": OptimizerClass(_MOMENTS_AND_HAT),
    "SGD": OptimizerClass((Group((MOMENTUM,), "momentum"),)),
    "RMSprop": OptimizerClass(
        (
            Group((VELOCITY,)),
            Group((MOMENTUM,), "momentum"),
            Group((SlotKind("average_gradient", MAGNITUDE, ("mg",)),), "centered"),
        )
    ),
    "Nadam": OptimizerClass(_MOMENTS, tail=(U_PRODUCT,), older_head=(ITERATION, MOMENTUM_CACHE)),
    "Lamb": OptimizerClass(_MOMENTS),
    "Adagrad": OptimizerClass((Group((ACCUMULATOR,)),)),
    "Adadelta": OptimizerClass(
        (
            Group(
                (
                    SlotKind("accumulated_grad", MAGNITUDE, ("accum_grad",)),
                    SlotKind("accumulated_delta_var", MAGNITUDE, ("accum_var",)),
                )
            ),
        )
    ),
    "Adamax": OptimizerClass((Group((MOMENTUM, SlotKind("norm", MAGNITUDE, ("u",)))),)),
    "Ftrl": OptimizerClass((Group((ACCUMULATOR, SlotKind("linear", MAGNITUDE))),)),
    "Lion": OptimizerClass((Group((MOMENTUM,)),)),
    # Sums of squares over rows and over columns of a weight; numbers for weights of fewer than two axes.
    "Adafactor": OptimizerClass(
        (Group((SlotKind("r", MAGNITUDE, shape=_rows), SlotKind("c", MAGNITUDE, shape=_columns), VELOCITY)),)
    ),
    # Keras calls the running parameters "momentum", but they start from the weights and are averaged, as EMA slots are.
    "ScheduleFreeAdamW": OptimizerClass((Group((MOVING_AVERAGE, VELOCITY)),), older=False),
    "Muon": OptimizerClass((Group((MOMENTUM, replace(VELOCITY, keeps=_muon_leaves_to_adam))),), older=False),
    "LossScaleOptimizer": OptimizerClass(head=(ITERATION, LEARNING_RATE, STEP_COUNTER, DYNAMIC_SCALE)),
    "MultiOptimizer": OptimizerClass(head=(ITERATION, LEARNING_RATE)),
}

CLASSES = tuple(name for name, entry in TABLE.items() if not entry.head)
"""The optimizers that train weights themselves, the commonest first."""

SLOT_KINDS = tuple(
    dict.fromkeys(kind for entry in TABLE.values() for group in (*ANY, *entry.groups) for kind in group.slots)
)
SCALARS = {
    scalar.name: scalar
    for entry in TABLE.values()
    for scalar in (ITERATION, LEARNING_RATE, *entry.head, *entry.tail, *entry.older_head)
}

_RULES = {kind.name: kind.rule for kind in SLOT_KINDS}


def rule_of(slot: str) -> Rule:
    """Returns the rule of the slots of a name; for names that are not in the table, the one that changes least."""
    return _RULES.get(slot, MAGNITUDE)


def is_setting(name: str) -> bool:
    """Returns whether a variable of an optimizer says how the user trains, and not what happened so far."""
    return name in SCALARS and SCALARS[name].is_setting


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
    """Returns the settings of the optimizer that a LossScaleOptimizer wraps."""
    return replace(settings_of(settings.config.get("inner_optimizer")), older=settings.older)


def innermost_settings(settings: Settings) -> Settings:
    """Returns the settings of the optimizer that trains the weights, without the scaling of the loss around it."""
    return innermost_settings(inner_settings(settings)) if scales_loss(settings) else settings


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


def kind_of(slot: str) -> SlotKind:
    """Returns the kind of the slots of a name, as most optimizers have it."""
    return next((kind for kind in SLOT_KINDS if kind.name == slot), SlotKind(slot, MAGNITUDE))


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
    value: Any = settings.config.get(kind.initial_setting)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else kind.initial
