"""The wire format of Protocol Buffers: the fields of a message, read strictly.

Source: "Encoding" in the documentation of Protocol Buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wtool.io.limits import MAX_FIELDS

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) are of a version that nobody writes any more."""

Field = tuple[int, int, Any]
"""Number of a field, its wire type, and its value: a whole number of the wire type `VARINT`, bytes of all others."""


class NotProtobuf(ValueError):
    """Raised for bytes that are no message."""


def fields(message: bytes) -> Iterator[Field]:
    """Yields each field of a message, in the order of the bytes.

    Raises:
        NotProtobuf: the bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise NotProtobuf("field 0")
        if kind == VARINT:
            value, at = varint(message, at)
            yield number, kind, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if kind == BYTES:
            size, at = varint(message, at)
        if size is None or at + size > len(message):
            raise NotProtobuf("not the wire format")
        yield number, kind, message[at : at + size]
        at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Returns the number of variable length that begins at an offset, and the offset behind it.

    Raises:
        NotProtobuf: the number does not end.
    """
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise NotProtobuf("a number that does not end")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise NotProtobuf("a number of more than ten bytes")


class Message:
    """The fields of a message by their numbers; fields that nobody asks for are passed over.

    Args:
        data: the bytes of the message.
        room: how many fields the message, and those inside that are asked for, may still have: a list of one number.

    Raises:
        NotProtobuf: the bytes are no message, or have more than `MAX_FIELDS` fields.
    """

    def __init__(self, data: bytes, room: list[int] | None = None) -> None:
        self._room = [MAX_FIELDS] if room is None else room
        self._fields: dict[int, list[tuple[int, Any]]] = {}
        for number, kind, value in fields(data):
            self._room[0] -= 1
            if self._room[0] < 0:
                raise NotProtobuf(f"more than {MAX_FIELDS:,} fields")
            self._fields.setdefault(number, []).append((kind, value))

    def number(self, field: int, kind: int = VARINT) -> int:
        """Returns the number in a field; 0 where the message does not have the field.

        Raises:
            NotProtobuf: the field comes twice, or holds something else.
        """
        value = self._single(field, kind)
        return int.from_bytes(value, "little") if isinstance(value, bytes) else value or 0

    def data(self, field: int) -> bytes:
        """Returns the bytes in a field; none where the message does not have the field.

        Raises:
            NotProtobuf: the field comes twice, or holds something else.
        """
        value: bytes = self._single(field, BYTES) or b""
        return value

    def text(self, field: int) -> str:
        """Returns the text in a field; an empty one where the message does not have the field.

        Raises:
            NotProtobuf: the field comes twice, or holds something else.
        """
        try:
            return self.data(field).decode()
        except UnicodeDecodeError:
            raise NotProtobuf(f"bytes that are no text in field {field}") from None

    def message(self, field: int) -> Message:
        """Returns the message in a field; an empty one where the message does not have the field.

        Raises:
            NotProtobuf: the field comes twice, or holds something else.
        """
        return Message(self.data(field), self._room)

    def messages(self, field: int) -> Iterator[Message]:
        """Yields the messages in a field that may come many times.

        Raises:
            NotProtobuf: the field holds something else.
        """
        for kind, value in self._fields.get(field, ()):
            if kind != BYTES:
                raise NotProtobuf(f"field {field} of another type")
            yield Message(value, self._room)

    def has(self, field: int) -> bool:
        """Returns whether the message has a field."""
        return field in self._fields

    def _single(self, field: int, kind: int) -> Any:
        found = self._fields.get(field, ())
        if len(found) > 1 or any(each != kind for each, _ in found):
            raise NotProtobuf(f"field {field} comes twice or has another type")
        return found[0][1] if found else None
