"""Dataspace messages, and the limit of what a file makes its reader read."""

from __future__ import annotations

from struct import pack

import pytest

from wtool.errors import Refused
from wtool.hdf5 import metadata
from wtool.hdf5.messages import parse_shape


def space(version: int = 1, rank: int = 2, flags: int = 0, kind: int = 1, sizes: tuple[int, ...] = (3, 4)) -> bytes:
    """A dataspace message, as section IV.A.2.b of the specification of HDF5 lays it out."""
    head = pack("<BBBBxxxx", version, rank, flags, 0) if version == 1 else pack("<BBBB", version, rank, flags, kind)
    return head + pack(f"<{len(sizes)}Q", *sizes)


@pytest.mark.parametrize("version", [1, 2])
def test_shapes(version: int) -> None:
    assert parse_shape(space(version)) == (3, 4)
    assert parse_shape(space(version, flags=1, sizes=(3, 4, 3, 5))) == (3, 4)
    assert parse_shape(space(version, flags=1, sizes=(3, 4, 2**64 - 1, 2**64 - 1))) == (3, 4)
    assert parse_shape(space(version, rank=32, sizes=(1,) * 32)) == (1,) * 32


def test_kinds_of_a_shape() -> None:
    assert parse_shape(space(2, rank=0, kind=0, sizes=())) == ()
    assert parse_shape(space(2, rank=0, kind=2, sizes=())) is None


BROKEN = {
    "no version": space(0),
    "a version that there is not": space(3),
    "a flag that there is not": space(1, flags=4),
    "a kind that there is not": space(2, rank=0, kind=3, sizes=()),
    "a single value with dimensions": space(2, kind=0),
    "no value with dimensions": space(2, kind=2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_shapes_that_contradict_themselves_are_refused(name: str) -> None:
    with pytest.raises(Refused, match="damaged: a shape"):
        parse_shape(BROKEN[name])


def test_shapes_beyond_their_limits_are_refused() -> None:
    with pytest.raises(Refused, match="larger than its own limit"):
        parse_shape(space(1, flags=1, sizes=(3, 4, 3, 3)))
    with pytest.raises(Refused, match="an array of 33 dimensions"):
        parse_shape(space(1, rank=33, sizes=(1,) * 33))


def test_as_many_bytes_are_read_as_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "MAX_METADATA", 10_000)
    found = metadata.Metadata(lambda offset, count: bytes(count), 1 << 20)
    assert found.at(4000, 10_000) == bytes(10_000)
    with pytest.raises(Refused, match="tables of contents take more"):
        found.at(0, 1)
