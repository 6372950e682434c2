"""Datatype messages of HDF5, and the names that wtool has for their types.

Source: HDF5 File Format Specification 3.0, section IV.A.2.d.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from struct import Struct, unpack_from

from wtool.errors import Refused
from wtool.hdf5.limits import MAX_RANK
from wtool.values import dataclass

_TYPE = Struct("<B3sI")
_FLOAT = Struct("<HHBBBBI")

_FLOATS = {
    (2, 15, 10, 5, 0, 10, 15): ("float16", "e"),
    (4, 31, 23, 8, 0, 23, 127): ("float32", "f"),
    (8, 63, 52, 11, 0, 52, 1023): ("float64", "d"),
    (2, 15, 7, 8, 0, 7, 127): ("bfloat16", ""),
    (1, 7, 3, 4, 0, 3, 7): ("float8_e4m3fn", ""),
    (1, 7, 2, 5, 0, 2, 15): ("float8_e5m2", ""),
}
"""Size, sign location, exponent location and size, mantissa location and size, exponent bias -> name, `struct` code."""

_CLASSES = {2: "time", 3: "string", 4: "bitfield", 6: "compound", 7: "reference", 11: "complex"}
_PADDINGS = {0: "null-terminated", 1: "null-padded", 2: "space-padded"}


@dataclass(frozen=True, slots=True)
class Type:
    """A datatype: its name, and how its values are decoded.

    Attributes:
        name: see `Dataset.dtype`.
        size: of one element, in bytes.
        code: its letter in `struct`; empty where `struct` has none.
        order: byte order, `<` (little-endian) or `>`.
        text: padding of fixed strings, or `variable`; empty for types that are no text.
        dims: dimensions of an array type.
        base: type of the elements of an array type.
    """

    name: str
    size: int
    code: str = ""
    order: str = "<"
    text: str = ""
    dims: tuple[int, ...] = ()
    base: Type | None = None


@lru_cache(maxsize=64)
def parse_type(body: bytes) -> Type:
    """Returns the type that a datatype message gives.

    Raises:
        Refused: the message contradicts itself.
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
    # h5py writes NumPy's bool as an enumeration of one byte with these two names.
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
