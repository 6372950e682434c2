"""Tables of sorted strings: what is written comes back, and damaged ones are refused for their own reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import MAGIC, block, crc32c, masked, sorted_table, varint
from wtool.errors import Refused
from wtool.io.sorted_table import is_sorted_table, read_table
from wtool.io.source import Source

ENTRIES = [(f"layer-{number:02d}/kernel".encode(), bytes([number]) * number) for number in range(20)]


def read(path: Path, data: bytes) -> list[tuple[bytes, bytes]]:
    """The entries of a table."""
    path.write_bytes(data)
    source = Source(os.open(path, os.O_RDONLY), "t")
    try:
        return list(read_table(source))
    finally:
        source.close()


@given(entries=st.dictionaries(st.binary(max_size=20), st.binary(max_size=50), max_size=30), at_once=st.integers(1, 9))
def test_what_was_written_comes_back(
    entries: dict[bytes, bytes], at_once: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    told = sorted(entries.items())
    assert read(tmp_path_factory.getbasetemp() / "t", sorted_table(told, at_once)) == told


def with_footer(places: bytes, first: bytes = b"") -> bytes:
    """A table of one block, with any footer."""
    return (first or block(ENTRIES)) + places.ljust(40, b"\0") + MAGIC


def resealed(data: bytes) -> bytes:
    """A block whose checksum is right for what it holds now."""
    return data[:-4] + masked(crc32c(data[:-4]))


def one_block(content: bytes) -> bytes:
    """A table with a single block of any content."""
    own = resealed(content + bytes(4) + (1).to_bytes(4, "little") + b"\0" + bytes(4))
    index = block([(b"\xff" * 40, varint(0) + varint(len(own) - 5))])
    return own + index + (varint(0) * 2 + varint(len(own)) + varint(len(index) - 5)).ljust(40, b"\0") + MAGIC


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one of them changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def twice() -> bytes:
    """A table whose index names one block two times."""
    own = block([(b"a", b"1")])
    place = varint(0) + varint(len(own) - 5)
    index = block([(b"a", place), (b"b", place)])
    return own + index + (varint(0) * 2 + varint(len(own)) + varint(len(index) - 5)).ljust(40, b"\0") + MAGIC


WHOLE = sorted_table(ENTRIES)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "does not end like a table": lambda: WHOLE[:-1],
    "the checksum of a block": lambda: flipped(WHOLE, 10),
    "more in the footer": lambda: flipped(WHOLE, len(WHOLE) - 10),
    "a block outside the file": lambda: with_footer(varint(0) * 2 + varint(1 << 40) + varint(5)),
    "a number of more than ten bytes": lambda: with_footer(b"\xff" * 40),
    "compressed": lambda: with_footer(varint(0) * 2 + varint(0) + varint(4), resealed(bytes(4) + b"\1" + bytes(4))),
    "too short": lambda: with_footer(varint(0) * 3 + varint(1), resealed(bytes(1) + b"\0" + bytes(4))),
    "leads out of its block": lambda: one_block(varint(0) + varint(90) + varint(0) + b"key"),
    "an entry of its table": lambda: one_block(varint(3) + varint(1) + varint(0) + b"k"),
    "not sorted": lambda: sorted_table([(b"b", b""), (b"a", b"")]),
    "keys of its table are not sorted": lambda: sorted_table([(b"", b"1"), (b"", b"2")]),
    "blocks of its table overlap": twice,
}


@pytest.mark.parametrize(("reason", "made"), HOSTILE.items(), ids=HOSTILE.keys())
def test_damaged_tables_are_refused(reason: str, made: Callable[[], bytes], tmp_path: Path) -> None:
    with pytest.raises(Refused, match=reason):
        read(tmp_path / "t", made())


@pytest.mark.parametrize("at", range(0, len(WHOLE), 7))
def test_any_changed_byte_is_seen(at: int, tmp_path: Path) -> None:
    try:
        assert read(tmp_path / "t", flipped(WHOLE, at)) == ENTRIES
    except Refused:
        return
    assert len(WHOLE) - at > 48 + len(block([])) or at >= len(WHOLE) - 48  # the unused block, or zeros behind places


def test_a_limit_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtool.io.sorted_table.MAX_TABLE_KEYS", 100)
    with pytest.raises(Refused, match="the keys of its table take more than 100 bytes"):
        read(tmp_path / "t", WHOLE)


def test_a_limit_of_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtool.io.sorted_table.MAX_TABLE", 100)
    with pytest.raises(Refused, match="the limit is 100"):
        read(tmp_path / "t", WHOLE)


def test_a_short_file_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(MAGIC)
    source = Source(os.open(tmp_path / "t", os.O_RDONLY), "t")
    assert not is_sorted_table(source)
    source.close()
