"""One pass over a file: bytes, content hash (by the blake3 library) and checksums (by zlib), in any order of reads."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wtool.errors import Refused
from wtool.io import stored as io_stored
from wtool.io.source import STREAM_BLOCK, Region, Source, copy, scratch
from wtool.io.stored import LocalFile

CONTENT = np.random.default_rng(2).bytes(3 * STREAM_BLOCK + 5)
HASH = f"blake3:{blake3(CONTENT).hexdigest()}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.fixture
def source(path: Path) -> Iterator[Source]:
    opened = Source(os.open(path, os.O_RDONLY), "file")
    yield opened
    opened.close()
    opened.close()


def taken(source: Source, start: int, stop: int) -> bytes:
    view = memoryview(bytearray(stop - start))
    source.take(start, view)
    return bytes(view)


PLACES = st.integers(0, len(CONTENT))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(PLACES, PLACES).map(sorted), max_size=4), st.lists(PLACES, max_size=6, unique=True).map(sorted)
)
def test_any_order_of_reads_gives_one_hash(path: Path, reads: list[list[int]], cuts: list[int]) -> None:
    source = Source(os.open(path, os.O_RDONLY), "file")
    for start, stop in zip(cuts[::2], cuts[1::2], strict=False):
        source.expect(start, stop, zlib.crc32(CONTENT[start:stop]), "a part")
    assert source.has_checksums == (len(cuts) > 1)
    for start, stop in reads:
        assert taken(source, start, stop) == CONTENT[start:stop]
    assert source.finish() == HASH
    source.close()


@pytest.mark.parametrize("read", [(0, 0), (0, 10), (0, len(CONTENT)), (5, STREAM_BLOCK + 9), (15, 30)])
@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_each_wrong_checksum_is_told(source: Source, read: tuple[int, int], wrong: int) -> None:
    for number, (start, stop) in enumerate([(0, 10), (10, 20), (25, len(CONTENT))]):
        source.expect(start, stop, zlib.crc32(CONTENT[start:stop]) ^ (number == wrong), f"part {number}")
    taken(source, *read)
    with pytest.raises(Refused, match=f"checksum of part {wrong} does not match"):
        source.finish()


def test_ranges_end_with_the_file(source: Source) -> None:
    size = len(CONTENT)
    assert source.read(size - 4, 4) == CONTENT[-4:]
    assert source.read(size, 0) == b""
    view = memoryview(bytearray(4))
    source.read_into(size - 4, view)
    assert bytes(view) == CONTENT[-4:]
    for start, count in ((size - 4, 5), (-1, 1), (size, 1)):
        with pytest.raises(Refused, match=f"bytes {start} to {start + count} of {size}"):
            source.read(start, count)
        with pytest.raises(Refused, match=f"bytes {start} to {start + count} of {size}"):
            source.read_into(start, memoryview(bytearray(count)))


def test_a_region_ends_before_the_file_does(source: Source) -> None:
    region = Region(source, 100, 50)
    assert region.read(0, 50) == CONTENT[100:150]
    assert region.read(49, 1) == CONTENT[149:150]
    for start, count in ((0, 51), (-1, 1), (50, 1)):
        with pytest.raises(Refused, match="of 50 are asked for"):
            region.read(start, count)


def test_reads_that_come_in_pieces(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reads at most 2 GiB at once, and network file systems often less."""
    whole, into = io_stored.read_at, io_stored.read_into_at
    monkeypatch.setattr(io_stored, "read_at", lambda file, count, offset: whole(file, min(count, 7), offset))
    monkeypatch.setattr(io_stored, "read_into_at", lambda file, view, offset: into(file, view[:7], offset))
    assert source.read(3, 100) == CONTENT[3:103]
    view = memoryview(bytearray(100))
    source.read_into(9, view)
    assert bytes(view) == CONTENT[9:109]


def test_a_file_that_becomes_shorter_is_refused(source: Source, path: Path) -> None:
    os.truncate(path, 50)
    with pytest.raises(Refused, match="became shorter while it was being read"):
        source.read(40, 20)
    with pytest.raises(Refused, match="changed while it was being read"):
        source.refuse_changed()


def test_a_file_that_changes_has_no_hash(source: Source, path: Path) -> None:
    source.refuse_changed()
    os.utime(path, ns=(1, 1))
    with pytest.raises(Refused, match="changed while it was being read"):
        source.finish()


def test_folders_and_pipes_are_refused_and_closed(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    reader, writer = os.pipe()
    for file, reason in ((folder, "a folder, where a single file is expected"), (reader, "not a regular file; ")):
        with pytest.raises(Refused, match=reason):
            Source(file, "it")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)
    os.close(writer)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, len(CONTENT)), (3, STREAM_BLOCK + 3), (3, STREAM_BLOCK + 4), (7, 7), (9, 7)]
)
def test_ranges_are_copied_in_blocks(source: Source, start: int, stop: int) -> None:
    blocks: list[bytes] = []
    copy(source, start, stop, lambda view: blocks.append(bytes(view)))
    assert b"".join(blocks) == CONTENT[start:stop]
    assert all(0 < len(block) <= STREAM_BLOCK for block in blocks)
    assert len(scratch(10)) == 10
    assert len(scratch(STREAM_BLOCK + 1)) == STREAM_BLOCK


def test_two_names_of_one_file_are_one(source: Source, path: Path, tmp_path: Path) -> None:
    os.link(path, tmp_path / "other")
    other = Source(os.open(tmp_path / "other", os.O_RDONLY), "other")
    assert other.identity == source.identity == (path.stat().st_dev, path.stat().st_ino)
    other.close()


class Elsewhere(LocalFile):
    """A file of this machine as if each request for its bytes took long."""

    asked: int = 0

    def has(self, offset: int, count: int) -> bool:
        return offset + count <= 100

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.asked += len(list(ranges))


def test_looks_wait_for_the_pass(path: Path) -> None:
    places = [10, STREAM_BLOCK - 3, 2 * STREAM_BLOCK, len(CONTENT) - 8]
    for way, asked in (("finish", 0), ("take", 1), ("verify", 3)):
        file = Elsewhere(os.open(path, os.O_RDONLY), "file")
        source = Source(file, "file")
        seen: list[bytes] = []
        for place in places:
            source.look(place, 8, seen.append)
        assert seen == [CONTENT[10:18]]
        if way == "finish":
            source.finish()
        if way == "take":
            for at in range(0, len(CONTENT) - 20, 1000):
                taken(source, at, min(at + 1000, len(CONTENT) - 4))
        source.verify()
        assert seen[:4] == [CONTENT[place : place + 8] for place in places]
        assert file.asked == asked
        source.close()


def test_a_look_refuses_when_the_pass_is_over(path: Path) -> None:
    def judge(found: bytes) -> None:
        raise Refused("both")

    source = Source(Elsewhere(os.open(path, os.O_RDONLY), "file"), "file")
    source.look(1000, 8, judge)
    taken(source, 0, 2000)
    with pytest.raises(Refused, match="both"):
        source.finish()
    source.close()
    near = Source(os.open(path, os.O_RDONLY), "file")
    with pytest.raises(Refused, match="both"):
        near.look(1000, 8, judge)
    near.close()
