"""Archives of which one thing alone is wrong, and the reason for which each is refused."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import wtool
from tests.fuzzing.zip_writer import End, Entry, archive
from tests.fuzzing.zips import honest
from wtool.io.source import Source
from wtool.io.zip_reader import opens_as_zip

INNER = b"assets/inner"
ASSET = Entry(b"assets/x", b"content")
TWO = "two headers that contradict each other"
ZIP64 = struct.pack("<2H", 1, 8)  # the head of the extra field for one size that takes more than 32 bits


def with_asset(**values: object) -> bytes:
    """A model's archive with one more member."""
    return archive([*honest(), ASSET.changed(**values)])


def with_end(end: End, entries: Sequence[Entry] = ()) -> bytes:
    return archive([*honest(), *entries], end)


def nested() -> bytes:
    """A member whose bytes hold another one: each header agrees with the directory, and the bytes have two owners."""
    inside = archive([Entry(INNER, b"inner")]).partition(b"PK\1\2")[0]
    entries = [*honest(), Entry(b"assets/outer", inside + b"behind")]
    at = archive(entries).index(inside)
    return archive([*entries, Entry(INNER, b"inner", central={"header": at})])


def with_byte(data: bytes, signature: bytes, offset: int, value: int) -> bytes:
    """One byte changed, counted from the last place where a signature stands."""
    at = data.rindex(signature) + offset
    return data[:at] + bytes([value]) + data[at + 1 :]


def shorter_directory() -> bytes:
    """The end record counts one member more than the directory has."""
    return with_end(End(count=1))


CASES = {
    "junk behind": (with_asset() + b"junk", "cut short, or something follows the archive's end"),
    "a comment": (with_end(End(comment=b"words")), "cut short, or something follows the archive's end"),
    "a comment of no length": (with_end(End(comment_length=3)), "in parts or with a comment"),
    "in parts": (with_byte(with_asset(), b"PK\5\6", 4, 1), "in parts or with a comment"),
    "the directory in another part": (with_byte(with_asset(), b"PK\5\6", 6, 1), "in parts or with a comment"),
    "a gap before the end": (with_end(End(start=-1)), "directory does not end where the archive does"),
    "a directory that is too small": (with_end(End(size=-46, start=46)), "another signature|cut short"),
    "no members": (archive([]), "an empty zip archive"),
    "more members than are there": (shorter_directory(), "the zip directory is cut short"),
    "fewer members than are there": (with_end(End(count=-1)), "holds more than its records"),
    "a locator that points elsewhere": (with_end(End(zip64=True, locator=1)), "zip64 directory end is not where"),
    "a zip64 record with more in it": (with_end(End(zip64=True, record_size=1)), "not one that every reader"),
    "two ends that contradict": (
        with_end(End(zip64=True, honest=False, start64=1)),
        "two records of the archive",
    ),
    "a record of another kind": (with_byte(with_asset(), b"PK\1\2", 2, 9), "a record with another signature"),
    "another part": (with_asset(central={"disk": 1}), "features of zip archives that only some"),
    "unknown flags": (with_asset(flags=0x2000), "features of zip archives that only some"),
    "a newer version": (with_asset(central={"needed": 99}), "features of zip archives that only some"),
    "half an extra field": (with_asset(central_extra=b"\1\0\x09\0abc"), "are cut short, or say a size twice"),
    "a size twice": (
        with_asset(central_extra=2 * (ZIP64 + struct.pack("<Q", 7)), central={"size": 0xFFFFFFFF}),
        "are cut short, or say a size twice",
    ),
    "a second name": (with_asset(local_extra=b"\x75\x70\0\0"), "has a second name in its extra fields"),
    "half a size": (
        with_asset(central_extra=b"\1\0\4\0abcd", central={"size": 0xFFFFFFFF}),
        "zip64 field .* cut",
    ),
    "behind the end": (with_asset(central={"header": 1 << 30}), "starts beyond the end of the file"),
    "no header": (with_asset(central={"header": 1 << 10}), "no header where"),
    "encrypted": (with_asset(flags=1), "is encrypted"),
    "another name": (with_asset(local_name=b"assets/y"), f"{TWO}$"),
    "another method": (with_asset(local={"method": 8}), f"{TWO}$"),
    "other flags": (with_asset(local={"flags": 2}), f"{TWO}$"),
    "another checksum": (with_asset(local={"crc": 1}), f"{TWO} about its size"),
    "another packed size": (with_asset(local={"packed": 1}), f"{TWO} about its size"),
    "another size": (with_asset(local={"size": 1}), f"{TWO} about its size"),
    **{
        f"deferred but for its {name}": (
            with_asset(flags=8, local={"crc": 0, "packed": 0, "size": 0, name: 1}),
            f"{TWO} about its size",
        )
        for name in ("crc", "packed", "size")
    },
    "stored in fewer bytes": (with_asset(central={"size": 9}, local={"size": 9}), "is stored in 7 bytes but claims 9"),
    "a member in another": (nested(), "member 'assets/outer' runs into what follows it"),
    "a member that runs into the directory": (
        with_asset(central={"size": 9, "packed": 9}, local={"size": 9, "packed": 9}),
        "member 'assets/x' runs into what follows it",
    ),
    "a member that is not listed": (
        archive(honest(), prefix=archive([ASSET]).partition(b"PK\1\2")[0]),
        "something comes before the archive's first member",
    ),
    "something in front": (
        archive(honest(), prefix=b"#!"),
        "not a Keras model: it starts with b'#!PK",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_for_its_own_reason(name: str, tmp_path: Path) -> None:
    data, reason = CASES[name]
    (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(wtool.WtoolError, match=reason):
        wtool.inspect(tmp_path / "m.keras")


def test_what_is_changed_here_was_right_before(tmp_path: Path) -> None:
    for end in (End(), End(zip64=True)):
        (tmp_path / "m.keras").write_bytes(archive([*honest(), ASSET], end))
        assert wtool.inspect(tmp_path / "m.keras")["tensors"]
    for method in (0, 8):
        (tmp_path / "m.keras").write_bytes(with_asset(method=method))
        assert wtool.inspect(tmp_path / "m.keras")["tensors"]


def test_as_many_members_as_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.keras").write_bytes(with_asset())
    monkeypatch.setattr("wtool.io.zip_reader.MAX_MEMBERS", 4)
    assert wtool.inspect(tmp_path / "m.keras")["tensors"]
    monkeypatch.setattr("wtool.io.zip_reader.MAX_MEMBERS", 3)
    with pytest.raises(wtool.Refused, match="the archive claims 4 members"):
        wtool.inspect(tmp_path / "m.keras")


def test_as_large_a_directory_as_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.keras").write_bytes(with_asset())
    size = sum(46 + len(entry.name) for entry in (*honest(), ASSET))
    monkeypatch.setattr("wtool.io.zip_reader.MAX_DIRECTORY", size)
    assert wtool.inspect(tmp_path / "m.keras")["tensors"]
    monkeypatch.setattr("wtool.io.zip_reader.MAX_DIRECTORY", size - 1)
    with pytest.raises(wtool.Refused, match="larger than any model's"):
        wtool.inspect(tmp_path / "m.keras")


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("prefix", [b"", b"#!", bytes(5000)], ids=len)
def test_an_archive_behind_other_bytes_is_seen_where_zipfile_sees_it(
    zip64: bool, prefix: bytes, tmp_path: Path
) -> None:
    (tmp_path / "it").write_bytes(prefix + archive(honest(), End(zip64=zip64)))
    with zipfile.ZipFile(tmp_path / "it") as read:
        assert len(read.namelist()) == len(honest())
    source = Source(os.open(tmp_path / "it", os.O_RDONLY), "it")
    assert opens_as_zip(source)
    source.close()
