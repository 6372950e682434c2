"""What a claim holds for the process that comes next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wtool.io.claims import claimed, hidden_name, lock_if_alone, write_claim
from wtool.io.folders import Folder
from wtool.io.places import Place
from wtool.io.system import read_at


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = Folder.at(str(tmp_path))
    yield Place(folder, "m.keras", str(tmp_path / "m.keras"))
    folder.close()


def test_the_last_text_is_there_alone_and_on_the_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with claimed(place) as claim:
        write_claim(claim, b"a long text")
        write_claim(claim, b"short")
        assert read_at(claim, 100, 0) == b"short"
        assert synced == [claim, claim]
    assert not place.folder.names()


def test_the_text_of_a_killed_process_is_handed_on(place: Place, tmp_path: Path) -> None:
    left = tmp_path / hidden_name(place, "claim")
    left.write_bytes(b"shards")
    with claimed(place) as claim:
        assert read_at(claim, 100, 0) == b"shards"
    if os.geteuid() == 0:
        left.write_bytes(b"shards")
        os.chown(left, 1234, -1)
        with claimed(place) as claim:
            assert read_at(claim, 100, 0) == b"", "another user's text is not trusted"


def test_nobody_else_has_the_lock_meanwhile(place: Place, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with claimed(place):
        other = os.open(tmp_path / hidden_name(place, "claim"), os.O_RDWR)
        assert not lock_if_alone(other)
        os.close(other)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
