"""The operation of a `TensorFlowOpLayer`: a `NodeDef` as Keras 2 stores it, in one of its three forms, read as data.

TensorFlow 2.0 wrote the bytes of a protobuf message as text, later versions JSON, first as text and then as an object.
Protobuf's own reader forgives much: the last of two values counts, and unknown fields are passed over. This reader
refuses everything that is not exactly a node as TensorFlow writes it, so that both see the same operation.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
NAME, OP, INPUT, DEVICE, ATTR = 1, 2, 3, 4, 5
EXPERIMENTAL = (6, 7)  # fields for messages: where the operation stands in the source, and its type
TEXTS = {NAME: "name", OP: "op", INPUT: "input", DEVICE: "device"}
A_LIST, A_STRING, A_FUNCTION = 1, 2, 10  # of AttrValue
NUMBERS = range(3, 9)  # of AttrValue: numbers, types, shapes and tensors, which neither name nor call anything
L_STRING, L_FUNCTION = 2, 9  # of AttrValue.ListValue
KEYS = frozenset((*TEXTS.values(), "attr", "experimentalDebugInfo", "experimentalType"))
PLAIN = frozenset(("i", "f", "b", "type", "shape", "tensor"))  # kinds of attributes that neither name nor call anything


@dataclass(frozen=True, slots=True)
class OperationNode:
    """One operation of a graph.

    Attributes:
        op: TensorFlow's name of the operation.
        strings: the texts in its attributes.
        calls: whether an attribute is a function.
    """

    op: str
    strings: tuple[str, ...] = ()
    calls: bool = False


class Unreadable(ValueError):
    """Raised for a value that is no `NodeDef` in a form that TensorFlow writes."""


def read_node(value: Any) -> OperationNode:
    """Returns the node in a configuration's `node_def`.

    Raises:
        Unreadable: the value is no node, or not one as TensorFlow writes it.
    """
    try:
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            value = json.loads(value, object_pairs_hook=_no_twins)
        if isinstance(value, str):
            return _of_message(value.encode("utf-8"))
        if isinstance(value, Mapping):
            return _of_json(value)
    except (ValueError, RecursionError, TypeError, IndexError) as error:
        raise Unreadable(str(error)) from None
    raise Unreadable("neither text nor an object")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Unreadable("a key comes twice")
    return dict(pairs)


def _of_json(value: Mapping[str, Any]) -> OperationNode:
    """Returns the node in JSON that protobuf's `json_format` wrote."""
    if not value.keys() <= KEYS or not isinstance(value.get("op"), str):
        raise Unreadable("not the fields of a node")
    strings: list[str] = []
    calls = False
    for attribute in _mapping(value.get("attr", {})).values():
        kinds = _mapping(_mapping(attribute).get("list", attribute))
        if not kinds.keys() <= PLAIN | {"s", "func", "list"}:
            raise Unreadable("not the fields of an attribute")
        found = kinds.get("s", [])
        strings += [_unpacked(each) for each in (found if isinstance(found, list) else [found])]
        calls |= "func" in kinds
    return OperationNode(value["op"], tuple(strings), calls)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable("not an object")
    return value


def _unpacked(text: Any) -> str:
    """Returns bytes from base64 in JSON; protobuf takes both alphabets, and needs no padding."""
    if not isinstance(text, str):
        raise Unreadable("not a text")
    try:
        return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "==").decode(errors="replace")
    except binascii.Error as error:
        raise Unreadable(str(error)) from None


def _of_message(message: bytes) -> OperationNode:
    texts: dict[int, str] = {}
    strings: list[str] = []
    calls = False
    for field, kind, value in _fields(message):
        if kind == BYTES and field in TEXTS and (field == INPUT or field not in texts):
            texts[field] = value.decode("utf-8")
        elif kind == BYTES and field == ATTR:
            found, called = _attribute(value)
            strings += found
            calls |= called
        elif kind != BYTES or field not in EXPERIMENTAL:
            raise Unreadable(f"field {field} of a node comes twice or is unknown")
    if not texts.get(OP):
        raise Unreadable("no operation")
    return OperationNode(texts[OP], tuple(strings), calls)


def _attribute(entry: bytes) -> tuple[list[str], bool]:
    """Returns the texts in an attribute (a map's entry: key and AttrValue), and whether the attribute is a function."""
    fields = list(_fields(entry))
    if [(field, kind) for field, kind, _ in fields] != [(1, BYTES), (2, BYTES)]:
        raise Unreadable("an attribute without a name or value")
    strings: list[str] = []
    calls = False
    for field, kind, value in _fields(fields[1][2]):
        if field == A_LIST and kind == BYTES:
            items = list(_fields(value))
            strings += [_text(each) for number, wire, each in items if (number, wire) == (L_STRING, BYTES)]
            calls |= any(number == L_FUNCTION for number, _, _ in items)
        elif field == A_STRING and kind == BYTES:
            strings.append(_text(value))
        elif field == A_FUNCTION:
            calls = True
        elif field not in NUMBERS:
            raise Unreadable(f"field {field} of an attribute")
    return strings, calls


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yields (number, wire type, value) of each field of a message; values that are no bytes are None."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if not tag >> 3:
            raise Unreadable("field 0")
        if kind == VARINT:
            _, at = _varint(message, at)
            yield tag >> 3, kind, None
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if kind == BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise Unreadable("not the wire format")
        yield tag >> 3, kind, message[at : at + size] if kind == BYTES else None
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise Unreadable("a number of more than ten bytes")
