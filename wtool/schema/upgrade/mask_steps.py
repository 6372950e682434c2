"""The calls of a model as masks go through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.schema.inbound_nodes import CallKey, Key, layer_settings
from wtool.schema.layers import class_of
from wtool.schema.upgrade.context import Place
from wtool.schema.upgrade.mask_rules import DROPPING, Masked
from wtool.schema.upgrade.mask_terms import Terms
from wtool.schema.upgrade.masks import layers_within
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a layer in the old model.

    Attributes:
        key: of the call.
        place: of the layer.
        entry: of the layer in the old model.
        inputs: name or position of an argument, and a tensor in it, in order.
        arguments: of the call behind the first one, by name.
        rank: number of axes of what the layer takes; None where nobody knows.
        strips: whether Keras 3 takes the masks off the inputs as it runs the call.
    """

    key: CallKey
    place: Place
    entry: Mapping[str, Any]
    inputs: tuple[tuple[int | str, Key], ...]
    arguments: Mapping[Any, Any]
    rank: int | None = None
    strips: bool = field(init=False)

    def __post_init__(self) -> None:
        within = (each.get("class_name") for each in layers_within(self.entry))
        object.__setattr__(self, "strips", "MultiHeadAttention" in within)

    @property
    def takes_one(self) -> bool:
        """Whether the call takes one tensor and nothing else: Keras 3 notes a mask with no other calls."""
        return len(self.inputs) == 1 and not any(value is not None for value in self.arguments.values())

    def of(self, word: int | str) -> list[Key]:
        """Returns the tensors in one argument."""
        return [key for name, key in self.inputs if name == word]


Write = Callable[[Step, "list[Masked]", Terms], None]
"""Notes the old masks of a call's inputs with the call in Keras 3. Raises Cannot where that is not possible."""


def sources_of(steps: Sequence[Step]) -> dict[Key, Key]:
    """Returns the output of each call that gives the very tensor that it takes -> the tensor that it takes first."""
    found: dict[Key, Key] = {}
    for step in steps:
        kind, activation = class_of(step.entry), layer_settings(step.entry).get("activation")
        if step.inputs and (kind in DROPPING or (kind == "Activation" and activation == "linear")):
            taken = step.inputs[0][1]
            found[(step.key[0], step.key[1], 0)] = found.get(taken, taken)
    return found
