"""The operation of a `TensorFlowOpLayer`: a `NodeDef` as Keras 2 stores it, in one of its three forms, read as data.

TensorFlow 2.0 wrote the bytes of a protobuf message as text, later versions JSON, first as text and then as an object.
Protobuf's own reader forgives much: the last of two values counts, and unknown fields are passed over. This reader
refuses everything that is not exactly a node as TensorFlow writes it, so that both see the same operation.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Any

from wtool.io.protobuf import BYTES, FIXED32, VARINT, fields, varint
from wtool.values import dataclass

NAME, OP, INPUT, DEVICE, ATTR = 1, 2, 3, 4, 5
EXPERIMENTAL = (6, 7)  # fields for messages: where the operation stands in the source, and its type
TEXTS = {NAME: "name", OP: "op", INPUT: "input", DEVICE: "device"}
A_LIST, A_STRING, A_FUNCTION = 1, 2, 10  # of AttrValue
NUMBERS = range(3, 9)  # of AttrValue: numbers, types, shapes and tensors, which neither name nor call anything
L_STRING, L_FUNCTION = 2, 9  # of AttrValue.ListValue
KEYS = frozenset((*TEXTS.values(), "attr", "experimentalDebugInfo", "experimentalType"))
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 14: "bfloat16",
    17: "uint16", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""Number of a dtype in TensorFlow -> its name."""

_NAMED = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16"}
_A_WHOLE, _A_REAL, _A_FLAG, _A_TYPE = 3, 4, 5, 6  # of AttrValue
_L_WHOLE = 3  # of AttrValue.ListValue
PLAIN = frozenset(("i", "f", "b", "type", "shape", "tensor"))  # kinds of attributes that neither name nor call anything


@dataclass(frozen=True, slots=True)
class OperationNode:
    """One operation of a graph.

    Attributes:
        op: TensorFlow's name of the operation.
        strings: the texts in its attributes.
        calls: whether an attribute is a function.
        attributes: name -> number, flag, text, name of a dtype, or list of whole numbers; None for other values.
    """

    op: str
    strings: tuple[str, ...] = ()
    calls: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)


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
    attributes = {}
    for name, attribute in _mapping(value.get("attr", {})).items():
        attributes[name] = _value_in_json(_mapping(attribute))
        kinds = _mapping(_mapping(attribute).get("list", attribute))
        if not kinds.keys() <= PLAIN | {"s", "func", "list"}:
            raise Unreadable("not the fields of an attribute")
        found = kinds.get("s", [])
        strings += [_unpacked(each) for each in (found if isinstance(found, list) else [found])]
        calls |= "func" in kinds
    return OperationNode(value["op"], tuple(strings), calls, attributes)


def _value_in_json(attribute: Mapping[str, Any]) -> Any:
    """Returns the value of an attribute in JSON, in which whole numbers may be texts; None for other values."""
    kind, value = next(iter(attribute.items()), ("", None))
    if kind == "type":
        name = str(value).removeprefix("DT_")
        return _NAMED.get(name, name.lower())
    if kind == "list" and isinstance(value, Mapping):
        numbers = value.get("i", [])
        return [_IN_JSON["i"](number) for number in numbers] if isinstance(numbers, list) else None
    return _IN_JSON[kind](value) if kind in _IN_JSON else None


def _number_in_json(make: Callable[[Any], Any], value: Any) -> Any:
    try:
        return make(value)
    except (ValueError, TypeError, OverflowError):
        return None


_IN_JSON: dict[str, Callable[[Any], Any]] = {
    "b": lambda value: value is True,
    "i": partial(_number_in_json, int),
    "f": partial(_number_in_json, float),
    "s": lambda value: _unpacked(value),
}
"""Kind of an attribute in JSON -> the function that gives its value."""


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
    attributes: dict[str, Any] = {}
    for number, kind, value in fields(message):
        if kind == BYTES and number in TEXTS and (number == INPUT or number not in texts):
            texts[number] = value.decode("utf-8")
        elif kind == BYTES and number == ATTR:
            found, called = _attribute(value)
            attributes |= _named_value(value)
            strings += found
            calls |= called
        elif kind != BYTES or number not in EXPERIMENTAL:
            raise Unreadable(f"field {number} of a node comes twice or is unknown")
    if not texts.get(OP):
        raise Unreadable("no operation")
    return OperationNode(texts[OP], tuple(strings), calls, attributes)


def _named_value(entry: bytes) -> dict[str, Any]:
    """Returns name and value of an attribute in a message."""
    name, value = (each for _, _, each in fields(entry))
    found: Any = None
    for number, kind, each in fields(value):
        if kind == VARINT and number in (_A_WHOLE, _A_FLAG, _A_TYPE):
            signed = each - (1 << 64) if each >> 63 else each
            found = signed if number == _A_WHOLE else bool(each) if number == _A_FLAG else DTYPES.get(each)
        elif kind == FIXED32 and number == _A_REAL:
            (found,) = struct.unpack("<f", each)
        elif kind == BYTES and number == A_STRING:
            found = _text(each)
        elif kind == BYTES and number == A_LIST:
            found = _whole_numbers(each)
    return {_text(name): found}


def _whole_numbers(items: bytes) -> list[int]:
    """Returns the whole numbers in a list of values, packed or one by one."""
    found: list[int] = []
    for number, kind, value in fields(items):
        if number == _L_WHOLE and kind == VARINT:
            found.append(value)
        at = 0
        while number == _L_WHOLE and kind == BYTES and at < len(value):
            each, at = varint(value, at)
            found.append(each)
    return [each - (1 << 64) if each >> 63 else each for each in found]


def _attribute(entry: bytes) -> tuple[list[str], bool]:
    """Returns the texts in an attribute (a map's entry: key and AttrValue), and whether the attribute is a function."""
    parts = list(fields(entry))
    if [(number, kind) for number, kind, _ in parts] != [(1, BYTES), (2, BYTES)]:
        raise Unreadable("an attribute without a name or value")
    strings: list[str] = []
    calls = False
    for number, kind, value in fields(parts[1][2]):
        if number == A_LIST and kind == BYTES:
            items = list(fields(value))
            strings += [_text(each) for item, wire, each in items if (item, wire) == (L_STRING, BYTES)]
            calls |= any(item == L_FUNCTION for item, _, _ in items)
        elif number == A_STRING and kind == BYTES:
            strings.append(_text(value))
        elif number == A_FUNCTION:
            calls = True
        elif number not in NUMBERS:
            raise Unreadable(f"field {number} of an attribute")
    return strings, calls


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
