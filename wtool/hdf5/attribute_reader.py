"""Attribute messages of HDF5: names and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import prod
from struct import Struct, unpack_from
from typing import Any

from wtool.errors import Refused
from wtool.hdf5.datatypes import Type, parse_type
from wtool.hdf5.messages import parse_shape
from wtool.hdf5.metadata import NotPlain

Value = str | bytes | int | float | tuple["Value", ...] | None
"""What an attribute may hold: text, bytes that are no text, numbers, tuples of these, or nothing."""


class FixedText(str):
    """A text that a file stores with a fixed length. Old Kerases read only such texts in lists of names."""

    __slots__ = ()


_VLEN = Struct("<IQI")

Fetch = Callable[[int, int, int], bytes]
"""Gives the bytes of a variable-length value, by its length, its heap's address and its number in the heap."""


def parse_attribute(body: bytes, fetch: Fetch, spend: Callable[[int], None]) -> tuple[str, Value]:
    """Returns the name and the value that an attribute message gives.

    Text becomes `str`, numbers become `int` or `float`, arrays become tuples, and a null dataspace None. Values that
    are neither text nor numbers stay `bytes`.

    Args:
        body: of the message.
        fetch: looks variable-length strings up.
        spend: counts bytes of values against the limit for all attributes; raises `Refused`.

    Raises:
        Refused: the message is damaged.
        NotPlain: the attribute uses a committed datatype.
    """
    name, parsed, shape, data = attribute_parts(body)
    if shape is None:
        return name, None
    while parsed.base is not None:
        shape, parsed = shape + parsed.dims, parsed.base
    count = prod(shape)
    if count * parsed.size > len(data):
        raise Refused("damaged: an attribute larger than its place")
    spend(count * (parsed.size + 64))
    if not count:
        return name, ()
    values = iter(_elements(parsed, count, data, fetch))
    return name, _nested(values, shape) if shape else next(values)


def attribute_parts(body: bytes) -> tuple[str, Type, tuple[int, ...] | None, bytes]:
    """Returns an attribute message's name, type, shape (None for a null dataspace) and data.

    Raises:
        Refused: the message is damaged.
        NotPlain: the attribute uses a committed datatype.
    """
    version, flags, name_size, type_size, space_size = unpack_from("<BBHHH", body)
    if version not in (1, 2, 3):
        raise Refused("damaged: an attribute")
    if version > 1 and flags:
        if flags > 3:
            raise Refused("damaged: an attribute")
        raise NotPlain("attributes with committed datatypes")
    # Version 1 pads each of the three parts to a multiple of 8 bytes; version 3 says the name's encoding in one byte.
    pad = 8 if version == 1 else 1
    name_at = 9 if version == 3 else 8
    type_at = name_at + -(-name_size // pad) * pad
    space_at = type_at + -(-type_size // pad) * pad
    data_at = space_at + -(-space_size // pad) * pad
    name, end, _ = body[name_at : name_at + name_size].partition(b"\0")
    if not end or data_at > len(body):
        raise Refused("damaged: an attribute")
    parsed = parse_type(body[type_at : type_at + type_size])
    return text_of(name), parsed, parse_shape(body[space_at : space_at + space_size]), body[data_at:]


def _elements(parsed: Type, count: int, data: bytes, fetch: Fetch) -> list[Any] | tuple[Any, ...]:
    if parsed.code:
        return unpack_from(f"{parsed.order}{count}{parsed.code}", data)
    size = parsed.size
    if parsed.text == "variable":
        cells = islice(_VLEN.iter_unpack(data[: count * size]), count)
        return [text_of(fetch(*cell).partition(b"\0")[0]) for cell in cells]
    pieces = [data[i : i + size] for i in range(0, count * size, size)]
    return [FixedText(text_of(_unpadded(piece, parsed.text))) for piece in pieces] if parsed.text else pieces


def _unpadded(piece: bytes, padding: str) -> bytes:
    if padding == "null-terminated":
        return piece.partition(b"\0")[0]
    return piece.rstrip(b"\0" if padding == "null-padded" else b" ")


def _nested(values: Iterator[Any], shape: tuple[int, ...]) -> tuple[Value, ...]:
    if len(shape) == 1:
        return tuple(islice(values, shape[0]))
    return tuple(_nested(values, shape[1:]) for _ in range(shape[0]))


def text_of(raw: bytes) -> str:
    """Returns text from a file; bytes that are no UTF-8 are kept as lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")
