"""Compressed members, as Python's `zipfile` packs them: whole, damaged, and larger than they may be."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wtool.errors import Refused
from wtool.io import zip_unpack
from wtool.io.source import STREAM_BLOCK, Source
from wtool.io.zip_format import Member
from wtool.io.zip_reader import read_members

NOISE = np.random.default_rng(3).bytes(2 * STREAM_BLOCK + 7)  # takes several blocks in the archive
ZEROS = bytes(3 * STREAM_BLOCK)  # a block of the archive gives several
CONTENTS = {"noise": NOISE, "zeros": ZEROS, "small": b'{"a": 1}', "empty": b""}


@pytest.fixture
def packed(tmp_path: Path) -> Iterator[tuple[Source, dict[str, Member]]]:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
        archive.writestr("stored", b"as it is", zipfile.ZIP_STORED)
    source = Source(os.open(path, os.O_RDONLY), str(path))
    yield source, {member.name: member for member in read_members(source, ())}
    source.close()


Packed = tuple[Source, dict[str, Member]]


def unpacked(source: Source, member: Member) -> bytes:
    target = io.BytesIO()
    zip_unpack.unpack(source, member, target)
    return target.getvalue()


def test_members_unpack_to_what_was_packed(packed: Packed) -> None:
    source, members = packed
    for name, content in CONTENTS.items():
        assert unpacked(source, members[name]) == content
        assert zip_unpack.member_bytes(source, members[name]) == content
    assert zip_unpack.member_bytes(source, members["stored"]) == b"as it is"
    zip_unpack.verify(source, tuple(members.values()))


DAMAGE: dict[str, Callable[[Member], Member]] = {
    "the archive's checksum of noise does not match its bytes": lambda each: replace(each, crc=each.crc ^ 1),
    "unpacks to more than its header says": lambda each: replace(each, size=each.size - 1),
    "unpacks to 1 bytes less than its header says": lambda each: replace(each, size=each.size + 1),
    "does not unpack": lambda each: replace(each, data=each.data + 1),
    "compressed by method 12; only stored and deflate work": lambda each: replace(each, method=12),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_damage_is_told(reason: str, packed: Packed) -> None:
    source, members = packed
    member = DAMAGE[reason](members["noise"])
    with pytest.raises(Refused, match=reason):
        unpacked(source, member)
    with pytest.raises(Refused, match=reason):
        zip_unpack.member_bytes(source, member)
    with pytest.raises(Refused, match=reason):
        zip_unpack.verify(source, [members["zeros"], member])


def test_a_bomb_is_refused_before_it_is_unpacked(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is above the floor, and more than a hundred times what is stored."""
    source, members = packed
    monkeypatch.setattr(zip_unpack, "MAX_INFLATED_FLOOR", 10_000)
    small = members["small"]
    for size, is_bomb in ((10_000, False), (10_001, True), (10_100, True)):
        member = replace(members["small"], packed=100, size=size)
        with pytest.raises(Refused, match="zip bomb" if is_bomb else "does not unpack|header says"):
            unpacked(source, member)
        with pytest.raises(Refused, match="zip bomb" if is_bomb else "does not unpack|header says"):
            zip_unpack.verify(source, [member])
    assert unpacked(source, members["noise"]) == NOISE
    with pytest.raises(Refused, match=r"would unpack .* bytes to .*: a zip bomb"):
        zip_unpack.verify(source, [replace(small, packed=85, size=9_000)] * 2)
    zip_unpack.verify(source, [replace(members["stored"], size=1 << 40)])  # stored bytes cannot be more than they are


@pytest.mark.parametrize("field", ["size", "packed"])
def test_a_text_has_a_largest_size(field: str, packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    source, members = packed
    monkeypatch.setattr(zip_unpack, "MAX_JSON", len(CONTENTS["small"]) + 2)  # deflate takes two bytes more
    assert zip_unpack.member_bytes(source, members["small"]) == CONTENTS["small"]
    member = replace(members["small"], **{field: len(CONTENTS["small"]) + 3})
    with pytest.raises(Refused, match="the limit is 10"):
        zip_unpack.member_bytes(source, member)
