"""The header of a safetensors file: a length of eight bytes, and a JSON object with the place of every array.

The arrays follow behind the header, without gaps. The key `__metadata__` of the object holds texts about the file.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any

from wtool.errors import Differs, Refused
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_JSON
from wtool.values import dataclass

DTYPES = {
    "U64": ("uint64", 8), "I64": ("int64", 8), "F64": ("float64", 8), "F32": ("float32", 4), "U32": ("uint32", 4),
    "I32": ("int32", 4), "BF16": ("bfloat16", 2), "F16": ("float16", 2), "U16": ("uint16", 2), "I16": ("int16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1), "F8_E5M2": ("float8_e5m2", 1), "I8": ("int8", 1), "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}  # fmt: skip
"""Name of each number type in headers -> NumPy's or ml_dtypes' name, and the bytes of a value.

The library writes arrays in the order of their types here, and arrays of one type in the order of their names.
"""

NAMES = {name: own for own, (name, _) in DTYPES.items()}
"""NumPy's or ml_dtypes' name of each number type -> its name in headers."""

TEXTS = "__metadata__"
ALIGNMENT = 8
"""The data begins at a multiple of this many bytes; blanks behind the JSON text fill the gap."""

MAX_LENGTH = 1 << 27
"""Bytes above which a length is that of no header: the library itself stops at 100 million."""

MAX_RANK = 32
"""Dimensions of an array: the limit of HDF5, and of older versions of NumPy."""

_LENGTH = 8
_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An array in a header.

    Attributes:
        name: of the array.
        dtype: NumPy's or ml_dtypes' name.
        shape: of the array.
        start, stop: where its bytes are in the data behind the header.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes:
        size: the bytes of length and text together; the data begins behind these.
        text: the JSON text, with the blanks behind it.
        texts: the texts under `__metadata__`.
        entries: the arrays, in the order of the header.
    """

    size: int
    text: bytes
    texts: Mapping[str, str]
    entries: tuple[Entry, ...]


def has_header(read: Callable[[int, int], bytes], size: int) -> bool:
    """Returns whether a file of `size` bytes begins like a safetensors file; `read` gives `count` bytes from `offset`.

    No JSON text, archive or HDF5 file begins so: five of the first eight bytes are zero.
    """
    start = read(0, min(_LENGTH + 1, size))
    return start[_LENGTH:] == b"{" and 2 <= int.from_bytes(start[:_LENGTH], "little") < MAX_LENGTH


def read_header(read: Callable[[int, int], bytes], size: int) -> Header:
    """Returns the header of a file that has one (see `has_header`).

    Args:
        read: gives `count` bytes from `offset`.
        size: of the file in bytes.

    Raises:
        Differs: readers of JSON would read different values.
        Refused: the header is no JSON, or is that of another file: the arrays would overlap, leave gaps, or end
            elsewhere than the file.
    """
    length = int.from_bytes(read(0, _LENGTH), "little")
    if length > MAX_JSON:
        raise Refused(f"its header is {length:,} bytes long; the limit is {MAX_JSON:,}")
    if _LENGTH + length > size:
        raise Refused(f"damaged: its header takes {length:,} bytes, but the file has {size:,}")
    text = read(_LENGTH, length)
    parsed = parse_object(text, "the header")
    texts = parsed.pop(TEXTS, {})
    if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
        raise Refused(f"{TEXTS} in its header holds something else than texts")
    header = Header(_LENGTH + length, text, texts, tuple(_entry(name, told) for name, told in parsed.items()))
    _check_offsets(header, size - header.size)
    return header


def _entry(name: str, told: Any) -> Entry:
    if not name:
        raise Refused("an array in its header has no name")
    if not isinstance(told, dict) or told.keys() != _KEYS:
        raise Refused(f"{name} in its header has not just a dtype, a shape and data_offsets")
    dtype, shape, offsets = told["dtype"], _sizes(told["shape"]), _sizes(told["data_offsets"])
    if shape is None or offsets is None or len(offsets) != 2:
        raise Refused(f"the shape or the data_offsets of {name} are no lists of sizes")
    if len(shape) > MAX_RANK:
        raise Refused(f"{name} has {len(shape)} dimensions; the limit is {MAX_RANK}")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Refused(f"{name} is of type {dtype!r:.40}, which wtool does not read; it reads {', '.join(DTYPES)}")
    own, width = DTYPES[dtype]
    if prod(each or 1 for each in shape) * width >= 1 << 63:
        raise Refused(f"{name} has shape {shape}, which is larger than any array")
    start, stop = offsets
    if stop - start != prod(shape) * width:
        raise Refused(f"{name} takes {prod(shape) * width:,} bytes, but its data_offsets tell {stop - start:,}")
    return Entry(name, own, shape, start, stop)


def _sizes(value: Any) -> tuple[int, ...] | None:
    is_sizes = isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)
    return tuple(value) if is_sizes else None


def _check_offsets(header: Header, size: int) -> None:
    """Refuse arrays that share bytes, leave bytes to nobody, or lie outside the `size` bytes of data."""
    end = 0
    for entry in sorted(header.entries, key=lambda each: (each.start, each.stop)):
        if entry.start < end:
            raise Differs(f"{entry.name} begins at byte {entry.start:,} of the data, within the array before it")
        if entry.start > end:
            raise Refused(f"bytes {end:,} to {entry.start:,} of the data belong to no array")
        end = entry.stop
    if end != size:
        raise Refused(f"damaged: its arrays take {end:,} bytes, but the file has {size:,} behind the header")


def laid_out(arrays: Iterable[tuple[str, str, tuple[int, ...]]]) -> tuple[Entry, ...]:
    """Returns the entries of arrays (name, dtype, shape), in the order in which the library writes them.

    Raises:
        Refused: the format has no name for a dtype, or an array cannot be called so.
    """
    order = {name: number for number, (name, _) in enumerate(DTYPES.values())}
    found = list(arrays)
    for name, dtype, _ in found:
        if dtype not in order:
            raise Refused(f"{name} is of type {dtype}, for which safetensors has no name")
        if name in ("", TEXTS):
            raise Refused(f"no array of a safetensors file can be called {name!r}")
    entries, end = [], 0
    for name, dtype, shape in sorted(found, key=lambda each: (order[each[1]], each[0])):
        start, end = end, end + prod(shape) * DTYPES[NAMES[dtype]][1]
        entries.append(Entry(name, dtype, shape, start, end))
    return tuple(entries)


def header_text(texts: Mapping[str, str], entries: Iterable[Entry], length: int = 0) -> bytes:
    """Returns the JSON text of a header, with at least `length` bytes, as the library writes it."""
    told: dict[str, Any] = {TEXTS: dict(texts)} if texts else {}
    for each in entries:
        offsets = [each.start, each.stop]
        told[each.name] = {"dtype": NAMES[each.dtype], "shape": list(each.shape), "data_offsets": offsets}
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    return text.ljust(max(length, -len(text) % ALIGNMENT + len(text)))


def with_length(text: bytes) -> bytes:
    """Returns the bytes with which a file begins that has this JSON text as its header."""
    return len(text).to_bytes(_LENGTH, "little") + text
