"""Groups of channels: what must be taken out, or put in another order, together."""

from __future__ import annotations

from typing import Literal

from wtool.dtypes import Array
from wtool.values import dataclass

Side = Literal["makes", "follows", "takes"]
"""What a tensor has to do with the channels along its axis.

`makes`: each position calculates a channel (the last axis of a dense kernel, its bias). `follows`: each position holds
numbers for a channel that somebody else makes (a gamma, a moving variance, a depthwise filter). `takes`: each position
multiplies a channel (the input axis of the next kernel).
"""


@dataclass(frozen=True, eq=False)
class Member:
    """An axis of a weight whose positions are channels of a group.

    Attributes:
        path: of the weight.
        role: the name of the variable in its layer, `kernel`.
        axis: of the weight.
        channels: for each position along the axis the channel of the group; -1 where the position is of another group.
        side: see `Side`.
    """

    path: str
    role: str
    axis: int
    channels: Array
    side: Side


@dataclass(frozen=True, eq=False)
class Group:
    """Channels of some layers that go together, since the layers are added up, share weights or read each other.

    Attributes:
        name: path of the first layer that makes the channels; `LAYER (heads)` for the heads of an attention layer.
        size: how many channels there are.
        layers: paths of the layers that make the channels.
        members: in the order of the graph. A weight that has the channels along two axes is there twice.
        parts: where a layer makes some of the channels only, those that it makes, shape (channels,), bool. A layer
            without any channel is none, so one channel of each part must stay.
        bound: for each channel whether it must stay where it is, as inputs and outputs of the model must.
        why: for each reason that binds channels, one sentence; empty where no channel is bound.
        mixes: layers that work on several of these channels together (a layer normalisation, a softmax), with the
            reason: without one channel, or with a constant one, they would compute something else for the others.
        kinds: for each channel a number; channels of one number stand at the same places of the same members, and only
            these may change places.
    """

    name: str
    size: int
    layers: tuple[str, ...]
    members: tuple[Member, ...]
    parts: tuple[Array, ...]
    bound: Array
    why: tuple[str, ...]
    mixes: tuple[str, ...]
    kinds: Array
