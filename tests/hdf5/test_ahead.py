"""Tables are announced level by level: what the strict reader wants is at hand then, after a few rounds."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.hdf5.test_reader import HOSTILE, ZOO
from tests.models import cpu_seconds, hdf5_bytes
from wtool.hdf5.ahead import MOST, read_ahead
from wtool.hdf5.metadata import NotPlain
from wtool.hdf5.reader import Index, read_index

PIECE = 4096
FILES = sorted(path for path in ZOO.rglob("*") if path.suffix in (".h5", ".keras"))


class Far:
    """A file of which only the pieces are at hand that were asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.pieces = {0}
        self.rounds = 0
        self.bytes = 0

    def read(self, offset: int, count: int) -> bytes:
        assert 0 <= offset <= offset + count <= self.size
        assert self.has(offset, count), "is read, but was not announced"
        return self.data[offset : offset + count]

    def has(self, offset: int, count: int) -> bool:
        return self._pieces(offset, offset + count) <= self.pieces

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        wanted = list(ranges)
        self.rounds += bool(wanted)
        self.bytes += sum(stop - start for start, stop in wanted)
        for start, stop in wanted:
            assert 0 <= start <= stop
            self.pieces |= self._pieces(start, stop)

    def _pieces(self, start: int, stop: int) -> set[int]:
        return set(range(start // PIECE, -(-stop // PIECE)))


def index_of(data: bytes) -> Index:
    return read_index(lambda offset, count: data[offset : offset + count], len(data))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ZOO)))
def test_all_that_is_read_was_announced(path: Path) -> None:
    data = hdf5_bytes(path)
    try:
        expected = index_of(data)
    except NotPlain:
        pytest.skip("the strict reader leaves the file to the HDF5 library")
    far = Far(data)
    read_ahead(far)
    assert read_index(far.read, far.size) == expected
    assert far.rounds <= 20


def test_rounds_grow_with_levels_alone() -> None:
    found: dict[tuple[int, int], int] = {}
    for width, depth in ((3, 2), (40, 2), (3, 5)):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            for number in range(width):
                group = file.create_group("/".join([f"layer_{number}", *["inside"] * depth]))
                group.attrs["words"] = "x" * 70_000 if number == 1 else "y"
                group["kernel"] = np.zeros((100, 20 + number), np.float32)
        far = Far(stream.getvalue())
        read_ahead(far)
        assert read_index(far.read, far.size) == index_of(stream.getvalue())
        found[width, depth] = far.rounds
    assert found[40, 2] <= found[3, 2] + 4 <= 10
    assert found[3, 5] <= found[3, 2] + 3 * 2


@pytest.mark.parametrize("path", sorted(HOSTILE.rglob("*.h5")), ids=lambda path: path.name)
def test_hostile_files_are_left_to_the_strict_reader(path: Path) -> None:
    data = path.read_bytes()
    far = Far(data + bytes(-len(data) % PIECE))
    far.size = len(data)
    before = cpu_seconds()
    read_ahead(far)
    assert cpu_seconds() - before < 2
    assert far.bytes <= MOST


def test_damaged_files_are_left_to_the_strict_reader() -> None:
    data = bytearray(hdf5_bytes(next(path for path in FILES if path.suffix == ".keras")))
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged: Any = bytearray(data)
        for at in rng.integers(len(data) if rng.random() < 0.5 else 3000, size=5):
            damaged[at] = rng.integers(256)
        far = Far(bytes(damaged) + bytes(PIECE))
        far.size = len(damaged)
        read_ahead(far)
        assert far.bytes <= MOST
