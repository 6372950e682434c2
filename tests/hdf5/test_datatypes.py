"""Datatype messages as the HDF5 library writes them, and with one field that contradicts the others."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from wtool.errors import Refused
from wtool.hdf5.datatypes import Type, parse_type


def message(dtype: Any) -> bytes:
    """The datatype message that the library writes, without the two bytes that it puts in front of an encoded one."""
    encoded: bytes = h5py.h5t.py_create(np.dtype(dtype), logical=True).encode()
    return encoded[2:]


def with_byte(body: bytes, at: int, value: int) -> bytes:
    return body[:at] + bytes([value]) + body[at + 1 :]


TYPES = {
    "<f2": "float16", "<f4": "float32", ">f4": "float32", "<f8": "float64", "<i1": "int8", "<i2": "int16",
    ">i4": "int32", "<i8": "int64", "<u1": "uint8", "<u2": "uint16", "<u4": "uint32", ">u8": "uint64",
    "S5": "string", "V3": "opaque3", "?": "bool", "(3,)f4": "array",
}  # fmt: skip
ENUM = message(h5py.enum_dtype({"A": 0, "B": 1}, "i4"))
TEXT = with_byte(message(h5py.string_dtype()), 4, 16)  # in a file a length and an address; in memory, a pointer
ARRAY = message("(3,)f4")

BROKEN = {
    "no version": (with_byte(message("f4"), 0, 0x01), "damaged: a datatype"),
    "a class that there is not": (with_byte(message("f4"), 0, 0x1C), "damaged: a datatype"),
    "no size": (with_byte(message("f4"), 4, 0), "damaged: a datatype"),
    "a padding that there is not": (with_byte(message("S5"), 1, 9), "damaged: a string datatype"),
    "a number without bits": (with_byte(message("i4"), 10, 0), "damaged: an integer datatype"),
    "a number with more bits than room": (with_byte(message("i4"), 8, 1), "damaged: an integer datatype"),
    "a sign outside": (with_byte(message("f4"), 2, 32), "damaged: a float datatype"),
    "an exponent outside": (with_byte(message("f4"), 12, 25), "damaged: a float datatype"),
    "an exponent without bits": (with_byte(message("f4"), 13, 0), "damaged: a float datatype"),
    "a mantissa without bits": (with_byte(message("f4"), 15, 0), "damaged: a float datatype"),
    "a mantissa in the exponent": (with_byte(message("f4"), 15, 24), "damaged: a float datatype"),
    "an order of VAX alone": (with_byte(message("f4"), 1, message("f4")[1] | 0x40), "damaged: a float datatype"),
    "an enumeration of another size": (with_byte(ENUM, 4, 8), "damaged: an enumeration datatype"),
    "an enumeration of texts": (with_byte(with_byte(ENUM, 8, 0x13), 9, 0), "damaged: an enumeration datatype"),
    "a variable length of another size": (with_byte(TEXT, 4, 15), "damaged: a variable-length datatype"),
    "an array without dimensions": (with_byte(ARRAY, 8, 0), "damaged: an array datatype"),
    "an array larger than its elements": (with_byte(ARRAY, 4, 16), "damaged: an array datatype"),
    "an array of 33 dimensions": (with_byte(ARRAY, 8, 33), "damaged: an array datatype"),
}


@pytest.mark.parametrize("dtype", TYPES)
def test_types_are_named(dtype: str) -> None:
    found = parse_type(message(dtype))
    assert found.name == TYPES[dtype]
    assert found.size == np.dtype(dtype).itemsize
    if TYPES[dtype] not in ("array", "string", "opaque3"):
        assert np.dtype(f"{found.order}{found.code}") == np.dtype(dtype)


@pytest.mark.parametrize(
    "body",
    [
        with_byte(message("i4"), 10, 24),
        with_byte(with_byte(message("i4"), 8, 8), 10, 24),
        with_byte(with_byte(message("i4"), 4, 3), 10, 24),
    ],
    ids=["fewer bits than bytes", "bits in the middle", "three bytes"],
)
def test_unusual_integers_are_named_only(body: bytes) -> None:
    assert parse_type(body) == Type("int?", body[4])


def test_an_array_has_the_dimensions_and_the_type_of_its_elements() -> None:
    found = parse_type(message("(3, 2)<i2"))
    assert (found.dims, found.size) == ((3, 2), 12)
    assert found.base == parse_type(message("<i2"))


def test_an_array_of_arrays_is_named_only() -> None:
    library = h5py.h5t
    nested = library.array_create(library.array_create(library.STD_I16LE, (2,)), (3,)).encode()[2:]
    assert parse_type(nested) == Type("array", 12)


def test_an_enumeration_and_a_text() -> None:
    assert (parse_type(ENUM).name, parse_type(ENUM).size) == ("enum", 4)
    assert parse_type(TEXT).text == "variable"


@pytest.mark.parametrize("name", BROKEN)
def test_a_type_that_contradicts_itself_is_refused(name: str) -> None:
    body, reason = BROKEN[name]
    with pytest.raises(Refused, match=reason):
        parse_type(body)
