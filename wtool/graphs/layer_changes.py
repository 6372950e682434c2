"""What a change of a layer's inputs means for the layer: edits of its weights, and the change of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.dtypes import Array
from wtool.graphs.reindex import Reindex
from wtool.schema.keras_names import FUNCTIONS
from wtool.schema.layers import PartialShape, channel_axis, quantisation
from wtool.schema.layers.activations import ACROSS, HALVING
from wtool.values import dataclass

MOST_CALLS = 200_000
"""Calls of layers in a graph, those inside models counted for each call of the model: n models in each other, each of
them called twice, make 2**n."""

INPUT, COPY, ZERO, ONE = "input", "copy", "zero", "one"
"""Values of new positions of a weight: what the user chose for new inputs; the value of the counterpart; a number."""


class Stuck(Exception):
    """A layer cannot take its inputs in their new form; the text says why."""


@dataclass(frozen=True, eq=False)
class AxisEdit:
    """New positions along an axis of a weight.

    Attributes:
        name: of the variable, which is also its role.
        axis: of the weight.
        source: as in `Reindex`.
        fill: what new positions get.
        part: name of the layer inside that holds it; None for the layer itself and everything inside it.
    """

    name: str
    axis: int
    source: Array
    fill: str
    part: str | None = None


@dataclass(frozen=True, eq=False)
class Input:
    """One of the tensors that a layer takes.

    Attributes:
        word: position or name of the argument.
        reindex: how the positions of the tensor have changed; None if they have not.
        shape: the shape of the tensor before the change; None where the shape is not known.
    """

    word: int | str
    reindex: Reindex | None
    shape: PartialShape | None


@dataclass(frozen=True, eq=False)
class LayerChange:
    """The edits that a layer needs, and the change of its output.

    Attributes:
        output: how its output's positions have changed.
        edits: of its weights.
        settings: that change in its configuration.
        mixes: how the layer works on the channels together, though it takes any number of them in any order; None where
            it takes each channel alone, or all of them with a kernel.
    """

    output: Reindex | None
    edits: tuple[AxisEdit, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    mixes: str | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A layer of one input that has changed, as a rule sees it.

    Attributes:
        channels: how the layer treats channels, as the table of layers names it.
        config: its settings.
        inputs: the tensors that it takes.
        at: how the first of them has changed.
        shape: of that one, as it was.
    """

    channels: str
    config: Mapping[str, Any]
    inputs: Sequence[Input]
    at: Reindex
    shape: PartialShape

    @property
    def rank(self) -> int:
        """Dimensions of the input, with the batch."""
        return len(self.shape)

    @property
    def channel(self) -> int:
        """The axis of the input's channels."""
        return channel_axis(self.config, self.rank)

    def need_channels(self) -> None:
        """Refuse changes along other axes than the channels."""
        if self.at.axis != self.channel:
            raise Stuck("it works along the axis that changes")


def refuse_quantised(case: Case) -> None:
    """Refuse a layer whose weights are codes."""
    if quantisation(case.config) != (None,):
        raise Stuck("it is quantised")


def has_a_group_for_each_channel(config: Mapping[str, Any], shape: PartialShape) -> bool:
    """Returns whether a convolution works on each channel alone, like a depthwise one with a multiplier of 1.

    Args:
        config: its settings.
        shape: of its input, with the batch.
    """
    groups = config.get("groups", 1)
    if type(groups) is not int or groups < 2 or config.get("lora_rank"):
        return False
    return groups == config.get("filters") == shape[channel_axis(config, len(shape))]


def refuse_own_numbers(config: Mapping[str, Any]) -> None:
    """Refuse an Auto-Rotating layer whose settings have numbers of their own for each channel."""
    for name in ("xmin_lim", "xmax_lim", "L", "xQ_scalar"):
        if isinstance(config.get(name), list) and len(config[name]) > 1:
            raise Stuck(f"its {name} has a number of its own for each channel")


def mixing(config: Mapping[str, Any]) -> str | None:
    """Returns how a layer's activation works on several channels together; None where it takes each value alone.

    Raises:
        Stuck: the activation may do anything, or tells channels apart.
    """
    name = config.get("activation")
    if isinstance(name, Mapping):
        name = name.get("class_name") if isinstance(name.get("config"), Mapping) else name.get("config")
    if name is None:
        return None
    if name not in (*FUNCTIONS, "ReLU", "LeakyReLU", "ELU") or name in HALVING:
        raise Stuck(f"{name!r:.40} may not work on each value alone")
    return f"{name!r:.40} works on all channels together" if name in ACROSS else None
