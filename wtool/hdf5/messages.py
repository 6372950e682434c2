"""What the messages in HDF5 object headers say: shapes, types, places, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import prod
from struct import Struct, unpack_from
from typing import Any, NamedTuple

from wtool.errors import Reaches, Refused
from wtool.hdf5.limits import MAX_RANK
from wtool.hdf5.metadata import UNDEFINED, Metadata, NotPlain, amount

Value = str | bytes | int | float | tuple["Value", ...] | None

DATASPACE, DATATYPE, LAYOUT, ATTRIBUTE, SYMBOL_TABLE = 0x01, 0x03, 0x08, 0x0C, 0x11
SHARED = 2
_CONTINUATION = 0x10
_USED = {DATASPACE, DATATYPE, LAYOUT, ATTRIBUTE, SYMBOL_TABLE, _CONTINUATION}
_EXTERNAL, _DRIVER = 0x07, 0x14
_HARMLESS = {0x04, 0x05, 0x0D, 0x0E, 0x12, 0x16}  # fill values, comment, times, number of hard links
_NOT_PLAIN = {
    0x02: "new-style groups",
    0x06: "new-style groups",
    0x0A: "new-style groups",
    0x0B: "filters",
    0x0F: "shared messages",
    0x13: "its own B-tree sizes",
    0x15: "densely stored attributes",
}

PREFIX = Struct("<BxHII4x")
MESSAGE = Struct("<HHB3x")
PAIR = Struct("<QQ")
_TYPE = Struct("<B3sI")
_FLOAT = Struct("<HHBBBBI")
_VLEN = Struct("<IQI")

# size, sign, exponent location and size, mantissa location and size, exponent bias
_FLOATS = {
    (2, 15, 10, 5, 0, 10, 15): ("float16", "e"),
    (4, 31, 23, 8, 0, 23, 127): ("float32", "f"),
    (8, 63, 52, 11, 0, 52, 1023): ("float64", "d"),
    (2, 15, 7, 8, 0, 7, 127): ("bfloat16", ""),
    (1, 7, 3, 4, 0, 3, 7): ("float8_e4m3fn", ""),
    (1, 7, 2, 5, 0, 2, 15): ("float8_e5m2", ""),
}
_CLASSES = {2: "time", 3: "string", 4: "bitfield", 6: "compound", 7: "reference", 11: "complex"}
_PADDINGS = {0: "null-terminated", 1: "null-padded", 2: "space-padded"}


class Message(NamedTuple):
    """One message of an object header; `start` and `stop` are where it stands, its own 8-byte header included."""

    kind: int
    flags: int
    body: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Type:
    """A datatype: the name that `Dataset.dtype` has, and what its values need to be decoded.

    Attributes:
        name: see `Dataset.dtype`.
        size: of one element, in bytes.
        code: its letter in `struct`, where it has one.
        order: `<` or `>`.
        text: padding of fixed strings, or `variable`; empty if it is no text.
        dims: of an array type.
        base: of an array type.
    """

    name: str
    size: int
    code: str = ""
    order: str = "<"
    text: str = ""
    dims: tuple[int, ...] = ()
    base: Type | None = None


# --- object headers ---


def read_messages(metadata: Metadata, address: int) -> list[Message]:
    """All messages of the object header (version 1) at `address`.

    Raises:
        Refused: it is damaged.
        NotPlain: the header is of version 2, or holds messages that plain files do not have.
    """
    version, count, _references, length = PREFIX.unpack(metadata.at(address, 16))
    if version != 1:
        if metadata.at(address, 4) == b"OHDR":
            raise NotPlain("object headers of version 2")
        raise Refused("damaged: there is no object header where one should be")
    metadata.claim(address, 16 + length)
    blocks, messages, seen = [(address + 16, length)], [], 0
    for start, size in blocks:
        for message in _split(metadata.at(start, size), start):
            seen += 1
            if seen > count:
                raise Refused("damaged: an object header holds more than it says")
            if message.kind == _CONTINUATION:
                offset, more = PAIR.unpack_from(message.body)
                metadata.claim(offset, more)
                blocks.append((offset, more))
            messages.append(message)
    if seen != count:
        raise Refused("damaged: an object header holds less than it says")
    return messages


def _split(block: bytes, address: int) -> Iterator[Message]:
    position, end = 0, len(block)
    while position + 8 <= end:
        kind, size, flags = MESSAGE.unpack_from(block, position)
        stop = position + 8 + size
        if stop > end:
            raise Refused("damaged: a message leaves its object header")
        if kind:
            if kind not in _USED:
                _check_kind(kind)
            yield Message(kind, flags, block[position + 8 : stop], address + position, address + stop)
        else:
            yield Message(0, 0, b"", address + position, address + stop)
        position = stop
    if position != end:
        raise Refused("damaged: an object header does not end where it says")


def _check_kind(kind: int) -> None:
    if kind == _EXTERNAL:
        raise Reaches("keeps its values in another file (external storage)")
    if kind == _DRIVER:
        raise Reaches("is one part of a set of files (a driver information message)")
    if kind in _NOT_PLAIN:
        raise NotPlain(_NOT_PLAIN[kind])
    if kind not in _HARMLESS:
        raise NotPlain(f"unknown messages ({kind})")


# --- shapes ---


@lru_cache(maxsize=256)
def parse_shape(body: bytes) -> tuple[int, ...] | None:
    """The shape that a dataspace message gives; None for a null dataspace.

    Raises:
        Refused: it is damaged.
    """
    version, rank, flags, kind = unpack_from("<BBBB", body)
    if version not in (1, 2) or rank > MAX_RANK:
        raise Refused(f"damaged: an array of {rank} dimensions" if rank > MAX_RANK else "damaged: a shape")
    if flags > 3 or (version == 2 and (kind > 2 or (kind != 1 and rank))):
        raise Refused("damaged: a shape")
    if version == 2 and kind == 2:
        return None
    start = 8 if version == 1 else 4
    shape: tuple[int, ...] = unpack_from(f"<{rank}Q", body, start)
    if flags & 1:
        most = unpack_from(f"<{rank}Q", body, start + 8 * rank)
        if any(n > m for n, m in zip(shape, most, strict=True)):
            raise Refused("damaged: a shape larger than its own limit")
    return shape


# --- types ---


@lru_cache(maxsize=64)
def parse_type(body: bytes) -> Type:
    """The type that a datatype message gives.

    Raises:
        Refused: it contradicts itself.
    """
    first, raw, size = _TYPE.unpack_from(body)
    version, kind, bits = first >> 4, first & 15, int.from_bytes(raw, "little")
    if not 1 <= version <= 5 or kind > 11 or not size:
        raise Refused("damaged: a datatype")
    if kind == 0:
        return _integer(body, bits, size)
    if kind == 1:
        return _float(body, bits, size)
    if kind == 3:
        if bits & 15 not in _PADDINGS:
            raise Refused("damaged: a string datatype")
        return Type("string", size, text=_PADDINGS[bits & 15])
    if kind == 5:
        return Type(f"opaque{size}", size)
    if kind == 8:
        return _enumeration(body, version, bits, size)
    if kind == 9:
        if size != 16:
            raise Refused("damaged: a variable-length datatype")
        return Type("vlen", size, text="variable" if bits & 15 == 1 else "")
    if kind == 10:
        return _array(body, version, size)
    return Type(_CLASSES[kind], size)


def _integer(body: bytes, bits: int, size: int) -> Type:
    offset, precision = unpack_from("<HH", body, 8)
    if not precision or offset + precision > 8 * size:
        raise Refused("damaged: an integer datatype")
    if offset or precision != 8 * size or size not in (1, 2, 4, 8):
        return Type("int?", size)
    code = {1: "b", 2: "h", 4: "i", 8: "q"}[size]
    order = ">" if bits & 1 and size > 1 else "<"
    name, code = (f"int{precision}", code) if bits & 8 else (f"uint{precision}", code.upper())
    return Type(name, size, code, order)


def _float(body: bytes, bits: int, size: int) -> Type:
    offset, precision, exp_at, exp_size, man_at, man_size, bias = _FLOAT.unpack_from(body, 8)
    sign, end = bits >> 8 & 255, offset + precision
    inside = sign < end and exp_at + exp_size <= end and man_at + man_size <= end
    if not (precision and exp_size and man_size and inside) or end > 8 * size or bits & 0x41 == 0x40:
        raise Refused("damaged: a float datatype")
    if exp_at < man_at + man_size and man_at < exp_at + exp_size:
        raise Refused("damaged: a float datatype")
    name, code = _FLOATS.get((size, sign, exp_at, exp_size, man_at, man_size, bias), ("float?", ""))
    if offset or precision != 8 * size or bits & 0x40 or bits >> 4 & 3 != 2:
        name, code = "float?", ""
    return Type(name, size, code, ">" if bits & 1 and size > 1 else "<")


def _enumeration(body: bytes, version: int, bits: int, size: int) -> Type:
    base = parse_type(body[8:20])
    if body[8] & 15 or base.size != size:
        raise Refused("damaged: an enumeration datatype")
    padded = b"FALSE\0\0\0TRUE\0\0\0\0"
    members = padded if version < 3 else b"FALSE\0TRUE\0"
    if size == 1 and bits & 0xFFFF == 2 and body[20:].startswith(members + b"\0\1"):
        return Type("bool", 1, "?")
    return Type("enum", size, base.code, base.order)


def _array(body: bytes, version: int, size: int) -> Type:
    rank = body[8]
    if version < 2 or not 0 < rank <= MAX_RANK:
        raise Refused("damaged: an array datatype")
    start = 12 if version == 2 else 9
    dims: tuple[int, ...] = unpack_from(f"<{rank}I", body, start)
    rest = body[start + 4 * rank * (2 if version == 2 else 1) :]
    if rest[:1] and rest[0] & 15 == 10:
        return Type("array", size)
    base = parse_type(rest)
    if prod(dims) * base.size != size:
        raise Refused("damaged: an array datatype")
    return Type("array", size, dims=dims, base=base)


# --- places ---

NEVER_WRITTEN = "says {}, but the file holds {} of it: its values were never written"
"""Said of arrays that readers fill with zeros: nobody saves a model of values that were never written."""


def parse_layout(body: bytes, nbytes: int) -> int:
    """The offset at which the `nbytes` of a contiguous dataset are stored; 0 for none.

    Raises:
        Refused: it is damaged, says another size than shape and type do, or its values were never written.
        NotPlain: the dataset is stored in another way.
    """
    version, second, third = body[0], body[1], body[2]
    if version not in (1, 2, 3, 4, 5):
        raise Refused("damaged: a data layout")
    kind = second if version >= 3 else third
    if kind == 3 and version >= 4:
        raise Reaches("takes its values from other datasets (a virtual dataset)")
    if kind != 1:
        if kind in (0, 2):
            raise NotPlain("compact datasets" if kind == 0 else "chunked datasets")
        raise Refused("damaged: a data layout")
    if version < 3:
        offset, stored = unpack_from("<Q", body, 8)[0], nbytes
    else:
        offset, stored = PAIR.unpack_from(body, 2)
    if offset == UNDEFINED:
        if nbytes:
            raise Refused(NEVER_WRITTEN.format(amount(nbytes), "none"))
        return 0
    if stored != nbytes:
        raise Refused(f"damaged: its shape takes {amount(nbytes)}, and {amount(stored)} are stored")
    return offset if nbytes else 0


# --- attributes ---

Fetch = Callable[[int, int, int], bytes]
"""Bytes of a variable-length value, by its length, its heap's address and its number there."""


def parse_attribute(body: bytes, fetch: Fetch, spend: Callable[[int], None]) -> tuple[str, Value]:
    """The name and the value that an attribute message gives.

    Text becomes `str`, numbers `int` or `float`, arrays tuples, nothing at all None. What is neither text nor number
    stays `bytes`.

    Args:
        body: of the message.
        fetch: looks variable-length strings up.
        spend: counts what the value takes against the limit for all attributes; raises `Refused`.

    Raises:
        Refused: it is damaged.
        NotPlain: it uses a committed datatype.
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
    """An attribute message's name, type, shape and data."""
    version, flags, name_size, type_size, space_size = unpack_from("<BBHHH", body)
    if version not in (1, 2, 3):
        raise Refused("damaged: an attribute")
    if version > 1 and flags:
        if flags > 3:
            raise Refused("damaged: an attribute")
        raise NotPlain("attributes with committed datatypes")
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
    return [text_of(_unpadded(piece, parsed.text)) for piece in pieces] if parsed.text else pieces


def _unpadded(piece: bytes, padding: str) -> bytes:
    if padding == "null-terminated":
        return piece.partition(b"\0")[0]
    return piece.rstrip(b"\0" if padding == "null-padded" else b" ")


def _nested(values: Iterator[Any], shape: tuple[int, ...]) -> tuple[Value, ...]:
    if len(shape) == 1:
        return tuple(islice(values, shape[0]))
    return tuple(_nested(values, shape[1:]) for _ in range(shape[0]))


def text_of(raw: bytes) -> str:
    """Text from a file: bytes that are no UTF-8 stay what they are (as lone surrogates)."""
    return raw.decode("utf-8", "surrogateescape")
