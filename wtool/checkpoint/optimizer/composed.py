"""The state of an optimizer in a composed model: the variables that Keras 3 wants, in its order, and what fills each.

Keras 3 tells the variables of an optimizer apart by their order alone. So the order follows from the new model and its
optimizer, and every value is looked for by what it means: name of the slot, path of the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from types import NoneType
from typing import Any

import numpy as np

from wtool.checkpoint.model import Slot, Tensor
from wtool.checkpoint.structure import Fresh
from wtool.dtypes import dtype_of
from wtool.errors import a_few
from wtool.schema.config import Node, inside
from wtool.schema.layers import Shape
from wtool.schema.optimizer_orders import VariableOrder, variable_orders
from wtool.schema.optimizer_settings import Settings, initial_value, inner_settings, scales_loss
from wtool.schema.optimizers import ITERATION, LEARNING_RATE, STEP_COUNTER, TABLE, U_PRODUCT, Scalar, SlotKind
from wtool.values import dataclass

Source = Tensor | Fresh
State = dict[str, list[tuple[Slot, Source]]]

OUTER, INNER = "optimizer", "optimizer/inner_optimizer"
"""The groups of an optimizer in files of Keras 3, and of the optimizer inside one that scales the loss."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What an old optimizer has kept, under the paths of the new model.

    Attributes:
        scalars: name -> the number.
        slots: path of a weight in the new model -> its slots by their names.
    """

    scalars: Mapping[str, Tensor] = field(default_factory=dict)
    slots: Mapping[str, Mapping[str, Source]] = field(default_factory=dict)


def composed_state(
    kept: Kept, settings: Settings, root: Node, variables: Mapping[str, Source], value: Callable[[Tensor], Any]
) -> tuple[State, str]:
    """Returns the state of the optimizer of a composed model: its groups, as in `Composition.slots`, and why none.

    Args:
        kept: what the old optimizer has kept.
        settings: of the new optimizer.
        root: the new architecture.
        variables: path of each variable of the new model -> what fills it.
        value: gives the value of a number in the old file.
    """
    order = next(variable_orders(_inside(settings)), None)
    if order is None:
        return {}, f"the optimizer {settings.class_name} is not known: its state is left out"
    rate = _inside(settings).config.get(LEARNING_RATE.name)
    if LEARNING_RATE in order.head and not isinstance(rate, (int, float, NoneType)):
        return {}, f"the optimizer's state is left out: its learning rate is {rate!r:.60}, which is no number"
    if scales_loss(settings):  # Keras does not track what the optimizer inside adds behind its slots
        order = replace(order, tail=())
    trained = trained_weights(root, variables, list(kept.slots))
    kinds = [kind for group in order.groups for kind in group]
    bare = [path for path in trained if path not in kept.slots] if kinds else []
    if bare:
        return {}, f"the optimizer's state is left out: it has no slots for {a_few(bare)}, which the model trains"
    composer = _Composer(kept, _inside(settings), variables, value)
    if missing := list(composer.missing(order, trained)):
        return {}, f"the optimizer's state is left out: it has no {a_few(missing)}"
    own = list(composer.own(order, trained))
    if not scales_loss(settings):
        return {OUTER: own}, ""
    outer = _Composer(Kept(_outer_scalars(kept)), settings, variables, value)
    return {OUTER: [*outer.scalars(TABLE["LossScaleOptimizer"].head), *own], INNER: own}, ""


def _inside(settings: Settings) -> Settings:
    return inner_settings(settings) if scales_loss(settings) else settings


def _outer_scalars(kept: Kept) -> dict[str, Tensor]:
    """Returns the numbers of the scaling of the loss; the steps are counted by the optimizer inside."""
    inner = (ITERATION.name, LEARNING_RATE.name)
    return {name: tensor for name, tensor in kept.scalars.items() if name not in inner}


def trained_weights(root: Node, variables: Mapping[str, Source], known: Sequence[str]) -> list[str]:
    """Returns the paths of the weights that the model trains, in the order of their creation.

    Args:
        root: the architecture.
        variables: of the model, by their paths.
        known: the weights that have been trained; they tell the order inside layers of custom classes.
    """
    found: dict[str, None] = {}
    waiting = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if not node.trainable:
            continue
        if node.variants is None:
            found |= dict.fromkeys(each for each in known if each.startswith(f"{path}/") or not path)
            continue
        names = set(_own_names(node, path, variables))
        chosen = next((each for each in node.variants if {v.name for v in each.saved} == names), None)
        created = chosen.created if chosen is not None else ()
        found |= dict.fromkeys(
            inside(path, each.name) for each in created if each.trainable and each.slots and not each.alias
        )
        waiting += [(inside(path, child.name), child) for child in reversed(node.children)]
    return list(found)


def _own_names(node: Node, path: str, variables: Mapping[str, Source]) -> Iterator[str]:
    """Yields the names of the variables that a layer itself has."""
    for name in {variable.name for choice in node.variants or () for variable in choice.saved}:
        if inside(path, name) in variables:
            yield name


@dataclass(frozen=True, slots=True)
class _Composer:
    kept: Kept
    settings: Settings
    variables: Mapping[str, Source]
    value: Callable[[Tensor], Any]

    def missing(self, order: VariableOrder, trained: Sequence[str]) -> Iterator[str]:
        """Yields the slots that the new optimizer wants and the old one did not have, in words."""
        for path in trained:
            shape = self.variables[path].shape
            for kind in (kind for group in order.groups for kind in group):
                is_wanted = kind.keeps is None or kind.keeps(shape, path, self.settings.config)
                there = self.kept.slots.get(path, {}).get(kind.name)
                if is_wanted and kind.shape(shape) and (there is None or there.shape != kind.shape(shape)):
                    yield f"{kind.name} of {path}"

    def own(self, order: VariableOrder, trained: Sequence[str]) -> Iterator[tuple[Slot, Source]]:
        """Yields what an optimizer keeps that trains weights itself."""
        yield from self.scalars(order.head)
        for group in order.groups:
            for path in trained:
                for kind in group:
                    if kind.keeps is None or kind.keeps(self.variables[path].shape, path, self.settings.config):
                        yield self._slot(kind, path)
        yield from self.scalars(order.tail)

    def scalars(self, head: Sequence[Scalar]) -> Iterator[tuple[Slot, Source]]:
        """Yields the numbers that an optimizer keeps."""
        for scalar in head:
            yield Slot(scalar.name, None, initial_value(scalar.name, self.settings)), self._scalar(scalar)

    def _scalar(self, scalar: Scalar) -> Source:
        dtype = "int64" if scalar in (ITERATION, STEP_COUNTER) else "float32"
        there = self.kept.scalars.get(scalar.name)
        if there is not None and (there.dtype, there.shape) == (dtype, ()):
            return there
        value = None if there is None else self.value(there)
        return filled((), dtype, self._number(scalar) if value is None or not np.isfinite(value) else value)

    def _number(self, scalar: Scalar) -> Any:
        """Returns a number that the old file does not have."""
        rate = self.settings.config.get(LEARNING_RATE.name)
        if scalar is LEARNING_RATE and isinstance(rate, (int, float)):
            return rate
        step, momentum = self.kept.scalars.get(ITERATION.name), self.settings.config.get("beta_1", 0.9)
        steps = 0 if step is None else self.value(step)
        if scalar is U_PRODUCT and np.isfinite(steps) and isinstance(momentum, (int, float)):
            return product_of_momenta(momentum, int(steps))
        return initial_value(scalar.name, self.settings)

    def _slot(self, kind: SlotKind, path: str) -> tuple[Slot, Source]:
        initial = initial_value(kind.name, self.settings)
        weight = self.variables[path]
        shape = kind.shape(weight.shape)
        there = self.kept.slots.get(path, {}).get(kind.name)
        return Slot(kind.name, path, initial), filled(shape, weight.dtype, initial) if there is None else there


def product_of_momenta(momentum: float, steps: int) -> float:
    """Returns the product of the momenta of all steps so far, which Nadam needs and Keras 2 does not store.

    The momentum of step t is `momentum * (1 - 0.96 ** t / 2)`. After ten thousand steps the product stays as it is.

    Source: `_backend_update_step` of keras/src/optimizers/nadam.py.
    """
    numbers = np.arange(1, min(steps, 10_000) + 1)
    return float(np.prod(momentum * (1 - 0.5 * 0.96**numbers)))


def filled(shape: Shape, dtype: str, value: float) -> Fresh:
    """Returns an array whose values are all the same."""
    return Fresh(shape, dtype, lambda: np.full(shape, value, dtype_of(dtype)))
