"""The object graph of a TensorFlow checkpoint: which object holds which, under which name, and where values are stored.

A checkpoint keeps the graph beside the values, as a message `TrackableObjectGraph`. An object is a layer, a list, a
variable, an optimizer; the first object is what was saved.

Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from wtool.errors import Refused
from wtool.io.protobuf import Message, NotProtobuf
from wtool.values import dataclass

VALUE = "VARIABLE_VALUE"
"""Name of the attribute of an object that is a variable."""

MAX_OBJECTS = 1_000_000
"""Objects of a graph. A layer of a SavedModel takes about fifteen."""


@dataclass(frozen=True, slots=True)
class SlotOf:
    """A variable that an optimizer keeps for another one: number of the weight, name of the slot, and its number."""

    weight: int
    name: str
    variable: int


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """An object that TensorFlow saved.

    Attributes:
        children: name -> number of the object of that name inside this one.
        key: of the values in the checkpoint; empty for an object that is no variable.
        full_name: of the variable in TensorFlow's own graph, `bi/forward_lstm/lstm_cell/kernel`.
        slots: the slots of an optimizer, in the order in which they were made.
        is_table: whether the object stores something else than a variable: a lookup table, say.
    """

    children: Mapping[str, int] = field(default_factory=dict)
    key: str = ""
    full_name: str = ""
    slots: tuple[SlotOf, ...] = ()
    is_table: bool = False


ObjectGraph = tuple[TrackedObject, ...]


def read_object_graph(message: bytes) -> ObjectGraph:
    """Returns the objects of a graph by their numbers.

    Raises:
        Refused: the message is none that TensorFlow writes.
    """
    try:
        graph = tuple(map(_object, Message(message).messages(1)))
        _check(graph)
    except NotProtobuf as error:
        raise Refused(f"damaged: its object graph has {error}") from None
    return graph


def _object(message: Message) -> TrackedObject:
    children: dict[str, int] = {}
    for child in message.messages(1):
        if children.setdefault(child.text(2), number := child.number(1)) != number:
            raise NotProtobuf(f"two objects called {child.text(2)!r:.60} in one")
    attributes = list(message.messages(2))
    values = [each for each in attributes if each.text(1) == VALUE]
    if len(values) > 1:
        raise NotProtobuf("an object of two values")
    slots = tuple(SlotOf(each.number(1), each.text(2), each.number(3)) for each in message.messages(3))
    key, full_name = (values[0].text(3), values[0].text(2)) if values else ("", "")
    return TrackedObject(children, key, full_name, slots, is_table=len(attributes) > len(values))


def _check(graph: ObjectGraph) -> None:
    if not graph or len(graph) > MAX_OBJECTS:
        raise NotProtobuf(f"{len(graph):,} objects")
    for each in graph:
        numbers = (*each.children.values(), *(end for slot in each.slots for end in (slot.weight, slot.variable)))
        if any(number >= len(graph) for number in numbers):
            raise NotProtobuf("an object that is not there")
