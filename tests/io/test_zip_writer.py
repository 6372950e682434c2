"""Records of new archives, as Python's `zipfile` writes and reads them; the files are sparse where they are large."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from wtool.io.source import Source
from wtool.io.zip_format import FULL32, Member
from wtool.io.zip_reader import read_members
from wtool.io.zip_writer import directory, local_header, new_member

GIB = 1 << 30
LAYOUTS = {
    "small": (("config.json", 7), ("model.weights.h5", 90)),
    "just under 4 GiB": (("config.json", 7), ("model.weights.h5", FULL32 - 1)),
    "just 4 GiB": (("config.json", 7), ("model.weights.h5", FULL32)),
    "large": (("config.json", 7), ("model.weights.h5", 5 * GIB), ("assets/é.txt", 3)),
    "behind 4 GiB": (("first", 3 * GIB), ("second", 2 * GIB), ("third", 10)),
}


def archive(path: Path, sizes: tuple[tuple[str, int], ...]) -> list[Member]:
    """Writes an archive whose members hold zeros, in holes of the file."""
    members, at = [], 0
    with path.open("wb") as file:
        for name, size in sizes:
            crc = zlib.crc32(bytes(size)) if size < GIB else 1234
            member = replace(new_member(name, size), header=at, crc=crc)
            header = local_header(member)
            file.seek(at)
            file.write(header)
            members.append(replace(member, data=at + len(header)))
            at += len(header) + size
        file.truncate(at)
        file.seek(at)
        file.write(directory(members, at))
    return members


@pytest.mark.parametrize("name", LAYOUTS)
def test_zipfile_and_wtool_read_the_same_members(name: str, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    members = archive(path, LAYOUTS[name])
    with zipfile.ZipFile(path) as read:
        told = [(each.filename, each.file_size, each.compress_size, each.CRC) for each in read.infolist()]
        assert told == [(member.name, member.size, member.size, member.crc) for member in members]
        assert [each.header_offset for each in read.infolist()] == [member.header for member in members]
        for member in members:
            with read.open(member.name) as opened:  # which holds the name of the local header against the directory
                assert opened.read(1) == b"\0"
    source = Source(os.open(path, os.O_RDONLY), str(path))
    try:
        found = [
            replace(each, versions=(20, 20)) for each in read_members(source, ())
        ]  # told by the file: 45 of large ones
        assert found == [replace(each, versions=(20, 20)) for each in members]
    finally:
        source.close()


@pytest.mark.parametrize("count", [65534, 65535])
def test_more_members_than_sixteen_bits_count(count: int) -> None:
    member = new_member("a", 0)
    end = directory([member] * count, 0)
    found = zipfile._EndRecData(io.BytesIO(end))  # type: ignore[attr-defined]
    assert (found[zipfile._ECD_ENTRIES_TOTAL], found[zipfile._ECD_SIZE]) == (count, 47 * count)  # type: ignore[attr-defined]
    assert (b"PK\6\6" in end) == (count >= 65535)


@pytest.mark.parametrize("name", ["config.json", "é.txt"])
@pytest.mark.parametrize("large", [False, True])
def test_headers_are_those_of_zipfile(name: str, large: bool) -> None:
    """Byte for byte, since editing an archive keeps the records of Keras, which come from there."""
    size = 5 * GIB if large else 90
    info = zipfile.ZipInfo(name)
    info.file_size = info.compress_size = size
    info.CRC = info.header_offset = 0
    info.external_attr = 0o600 << 16
    info.create_system = 3
    assert local_header(new_member(name, size)) == info.FileHeader(zip64=large)
    if large:
        return  # zipfile says there that the archive was made by a newer version, which nobody reads
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.filelist.append(info)
        written.NameToInfo[name] = info
        written._didModify = True  # type: ignore[attr-defined]
    ours = directory([new_member(name, size)], 0)
    assert ours == file.getvalue()
