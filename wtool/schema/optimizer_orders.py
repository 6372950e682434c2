"""The sequences of variables that Keras writes for an optimizer.

Files number the variables and do not name them. Keras 3, and Keras 2 from TensorFlow 2.11 on, write the slots of one
weight after the other; older ones write all first slots, then all second ones. Whether a learning rate and some of the
slots are there depends on the version and on settings that the file need not tell, so several orders are possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from wtool.schema.optimizer_settings import Settings, inner_settings, scales_loss
from wtool.schema.optimizers import ANY, ITERATION, LEARNING_RATE, TABLE, Group, OptimizerClass, Scalar, SlotKind
from wtool.values import dataclass

Slots = tuple[SlotKind, ...]


@dataclass(frozen=True, slots=True)
class VariableOrder:
    """The order of an optimizer's variables: scalars, then groups of slots, then scalars.

    Within a group the slots of one weight follow each other; the groups follow each other.
    """

    head: tuple[Scalar, ...]
    groups: tuple[Slots, ...]
    tail: tuple[Scalar, ...] = ()

    @property
    def depends_on_weights(self) -> bool:
        """Whether some weights have slots that others do not have."""
        return any(kind.keeps for group in self.groups for kind in group)

    def weights(self, total: int) -> int | None:
        """Returns the number of weights for which it has `total` variables, if all weights have the same slots."""
        slots = sum(map(len, self.groups))
        rest = total - len(self.head) - len(self.tail)
        if rest < 0 or (rest % slots if slots else rest):
            return None
        return rest // slots if slots else 0

    def variables(self, count: int) -> Iterator[tuple[Scalar | SlotKind, int | None]]:
        """Yields every variable in order, with the number of its weight, if all weights have the same slots."""
        yield from ((scalar, None) for scalar in self.head)
        for group in self.groups:
            yield from ((kind, number) for number in range(count) for kind in group)
        yield from ((scalar, None) for scalar in self.tail)


def variable_orders(settings: Settings) -> Iterator[VariableOrder]:
    """Yields every order that some Keras version writes for an optimizer, the likeliest first."""
    if scales_loss(settings):
        inner = inner_settings(settings)
        for order in variable_orders(inner):
            yield VariableOrder(TABLE["LossScaleOptimizer"].head + order.head, order.groups, order.tail)
        yield from variable_orders(inner)
        return
    entry = TABLE.get(settings.class_name or "")
    if entry is None or entry.head:
        return
    if settings.older and entry.older:
        yield from _older_orders(entry, settings.config)
    heads = [(ITERATION, LEARNING_RATE), (ITERATION,)]
    if isinstance(settings.config.get("learning_rate"), Mapping):
        heads.reverse()  # a schedule is no variable
    for before in _chosen(ANY, settings.config):
        for groups in (*_variants(entry.groups, settings.config), *_keras2_variants(entry, settings.config)):
            for head in heads:
                for tail in dict.fromkeys((entry.tail, ())):
                    yield VariableOrder(head, before + groups, tail)


def _older_orders(entry: OptimizerClass, config: Mapping[str, Any]) -> Iterator[VariableOrder]:
    """Yields the orders of Keras 2 up to TensorFlow 2.10: all first slots, then all second ones."""
    heads = [(ITERATION,), ()]  # some without a step count
    for groups in _variants(entry.groups, config):
        apart = tuple((kind,) for group in groups for kind in group)
        for head in [entry.older_head, *heads] if entry.older_head else heads:
            yield VariableOrder(head, apart)


def _keras2_variants(entry: OptimizerClass, config: Mapping[str, Any]) -> list[tuple[Slots, ...]]:
    return _variants(entry.keras2_groups, config) if entry.keras2_groups else []


def _chosen(groups: Sequence[Group], config: Mapping[str, Any]) -> list[tuple[Slots, ...]]:
    """Returns the groups that the settings ask for; all that they could ask for where there are no settings."""
    return _variants(groups, config)[: 1 if config else None]


def _variants(groups: Sequence[Group], config: Mapping[str, Any]) -> list[tuple[Slots, ...]]:
    """Returns the combinations of groups that may be stored: first as the settings say, then as older versions did."""
    choices = [(True,) if not group.when else (False, True) for group in reversed(groups)]
    found = [
        tuple(group.slots for group, is_there in zip(groups, reversed(each), strict=True) if is_there)
        for each in product(*choices)
    ]
    asked = tuple(group.slots for group in groups if not group.when or config.get(group.when))
    return [asked, *(each for each in found if each != asked)]
