"""What optimizers store: one entry for each class, and what becomes of each kind of variable.

An entry of `TABLE` tells everything that wtool knows of an optimizer; `optimizer_orders` makes the sequences of
variables that Keras writes from it. An optimizer keeps scalars (its step count, its learning rate) and slots: arrays
for each weight that it trains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from wtool.schema.layers import Shape
from wtool.values import dataclass


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
        keras2_groups: its slots in Keras 2, if other weights have them there.
        keras2_settings: its own settings in Keras 2, which mean the same in Keras 3; None if Keras 2 lacks the class.
        keras2_rate: its learning rate in Keras 2 where the user names none.
        older_decay: whether the setting `decay` of this Keras 2 is that of the learning rate.
        older_difference: what the class does in Keras 3 that it did not do up to TensorFlow 2.10; empty for nothing.
        older_head: scalars that this Keras 2 writes before the slots, if they are others than those of all classes.
        mixing: of a schedule-free class the setting b that ties the weights y, their sequence z and their average x
            together: y = (1 - b) z + b x. Empty for all other classes.
        squares_apart: whether Keras 3 on TensorFlow squares each gradient of a row by itself, where a row of an
            Embedding has several in a batch, and Keras 2 squares their sum.
    """

    groups: tuple[Group, ...] = ()
    tail: tuple[Scalar, ...] = ()
    head: tuple[Scalar, ...] = ()
    older: bool = True
    older_head: tuple[Scalar, ...] = ()
    keras2_groups: tuple[Group, ...] = ()
    keras2_settings: tuple[str, ...] | None = None
    keras2_rate: float = 0.001
    older_decay: bool = True
    older_difference: str = ""
    mixing: str = ""
    squares_apart: bool = False


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
# Keras calls it "momentum", but it starts from the weights and is one of their sequences, as averages are.
SEQUENCE = SlotKind("sequence", AVERAGE)
GRADIENT_ACCUMULATOR = SlotKind("gradient_accumulator", FIRST_MOMENT)

ANY = (Group((MOVING_AVERAGE,), "use_ema"), Group((GRADIENT_ACCUMULATOR,), "gradient_accumulation_steps"))
"""What any optimizer may store before its own slots."""


def _rows(shape: Shape) -> Shape:
    return shape[:-1] if len(shape) > 1 else ()


def _columns(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1]) if len(shape) > 1 else ()


ROWS = SlotKind("r", MAGNITUDE, shape=_rows)
COLUMNS = SlotKind("c", MAGNITUDE, shape=_columns)


def _is_matrix(shape: Shape, path: str, config: Mapping[str, Any]) -> bool:
    return len(shape) > 1


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
_RATES = ("beta_1", "beta_2", "epsilon")
_MOMENTS_AND_HAT = (*_MOMENTS, Group((VELOCITY_HAT,), "amsgrad"))

TABLE: dict[str, OptimizerClass] = {  # the commonest first
    "Adam": OptimizerClass(_MOMENTS_AND_HAT, keras2_settings=(*_RATES, "amsgrad"), squares_apart=True),
    "AdamW": OptimizerClass(_MOMENTS_AND_HAT, keras2_settings=(*_RATES, "amsgrad"), squares_apart=True),
    "SGD": OptimizerClass(
        (Group((MOMENTUM,), "momentum"),), keras2_settings=("momentum", "nesterov"), keras2_rate=0.01
    ),
    "RMSprop": OptimizerClass(
        (
            Group((VELOCITY,)),
            Group((MOMENTUM,), "momentum"),
            Group((SlotKind("average_gradient", MAGNITUDE, ("mg",)),), "centered"),
        ),
        keras2_settings=("rho", "momentum", "epsilon", "centered"),
        older_difference="adds epsilon to the mean of squares, under the root",
        squares_apart=True,
    ),
    "Nadam": OptimizerClass(
        _MOMENTS,
        tail=(U_PRODUCT,),
        older_head=(ITERATION, MOMENTUM_CACHE),
        keras2_settings=_RATES,
        older_decay=False,
        older_difference="has a momentum that grows faster in the first steps",
        squares_apart=True,
    ),
    "Lamb": OptimizerClass(_MOMENTS),
    "Adagrad": OptimizerClass(
        (Group((ACCUMULATOR,)),),
        keras2_settings=("initial_accumulator_value", "epsilon"),
        older_difference="adds epsilon to the sum of squares, under the root",
        squares_apart=True,
    ),
    "Adadelta": OptimizerClass(
        (
            Group(
                (
                    SlotKind("accumulated_grad", MAGNITUDE, ("accum_grad",)),
                    SlotKind("accumulated_delta_var", MAGNITUDE, ("accum_var",)),
                )
            ),
        ),
        keras2_settings=("rho", "epsilon"),
        squares_apart=True,
    ),
    "Adamax": OptimizerClass(
        (Group((MOMENTUM, SlotKind("norm", MAGNITUDE, ("u",)))),), keras2_settings=_RATES, squares_apart=True
    ),
    "Ftrl": OptimizerClass(
        (Group((ACCUMULATOR, SlotKind("linear", MAGNITUDE))),),
        keras2_settings=(
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        ),
    ),
    "Lion": OptimizerClass((Group((MOMENTUM,)),), keras2_settings=_RATES[:2], keras2_rate=0.0001),
    # Sums of squares over rows and over columns of a weight; numbers, or nothing, for weights of fewer than two axes.
    "Adafactor": OptimizerClass(
        (Group((ROWS, COLUMNS, VELOCITY)),),
        keras2_groups=(Group((replace(ROWS, keeps=_is_matrix), replace(COLUMNS, keeps=_is_matrix), VELOCITY)),),
        keras2_settings=("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    ),
    "ScheduleFreeAdamW": OptimizerClass((Group((SEQUENCE, VELOCITY)),), older=False, mixing="beta_1"),
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


def kind_of(slot: str) -> SlotKind:
    """Returns the kind of the slots of a name, as most optimizers have it."""
    return next((kind for kind in SLOT_KINDS if kind.name == slot), SlotKind(slot, MAGNITUDE))
