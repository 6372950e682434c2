"""Packed HDF5 files: what h5py and wtool read from them, and what wtool refuses."""

from __future__ import annotations

import io
import os
import random
import tempfile
import zlib
from collections.abc import Mapping
from struct import pack
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wtool.errors import Differs, Refused
from wtool.hdf5 import packing
from wtool.hdf5.chunks import Stored, in_turn
from wtool.hdf5.reader import Index, NotPlain, read_index
from wtool.hdf5.sandbox import make_plain
from wtool.hdf5.unpacking import unpack

Array = np.ndarray[Any, Any]


def index_of(data: bytes) -> Index:
    return read_index(lambda offset, count: data[offset : offset + count], len(data))


def plain(arrays: Mapping[str, Array]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w", libver="earliest") as made:
        made.attrs["name"] = "a file"
        for path, values in arrays.items():
            made.create_dataset(path, data=values).attrs["dtype"] = str(values.dtype)
    return file.getvalue()


def packed(data: bytes) -> bytes:
    index = index_of(data)
    with tempfile.TemporaryFile() as file:
        packing.write_file(
            file, index.groups, index.datasets, lambda offset, count: data[offset : offset + count], True
        )
        file.seek(0)
        return file.read()


def unpacked(data: bytes) -> dict[str, bytes]:
    """What wtool reads: path of each array -> its bytes."""
    index = index_of(data)
    with tempfile.TemporaryFile() as file:
        unpack(lambda offset, count: data[offset : offset + count], index, file.fileno())
        return {
            path: os.pread(file.fileno(), each.nbytes, each.offset).ljust(each.nbytes, b"\0")
            for path, each in index.datasets.items()
        }


@st.composite
def an_array(draw: st.DrawFn) -> Array:
    shape = tuple(draw(st.lists(st.integers(1, 40), min_size=1, max_size=4)))
    dtype = draw(st.sampled_from(["f2", "f4", "f8", "i1", "u2", "?", "V2"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values = rng.integers(0, 2 if dtype == "?" else 256, count, np.uint8).view(dtype).reshape(shape)
    zeros = rng.random(shape) < draw(st.sampled_from([0, 0.2, 0.5, 0.9, 1]))
    values[zeros] = np.zeros((), dtype)
    return values


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(an_array(), min_size=1, max_size=4), st.sampled_from([4096, 5000, 1 << 17]))
def test_h5py_and_wtool_read_the_values(arrays: list[Array], chunk: int) -> None:
    named = {f"group/{number}": values for number, values in enumerate(arrays)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", chunk)
        patch.setattr(packing, "node_size", lambda rank: 0)
        data = packed(plain(named))
    with h5py.File(io.BytesIO(data), "r") as file:
        assert file.attrs["name"] == "a file"
        for path, values in named.items():
            assert file[path][()].tobytes() == values.tobytes()
            assert (file[path].shape, file[path].attrs["dtype"]) == (values.shape, str(values.dtype))
    try:
        found = unpacked(data)
    except NotPlain:  # chunks of less than 4096 bytes
        assert chunk == 5000 or any(values.nbytes > chunk for values in arrays)
    else:
        index = index_of(data)
        if index.stored:
            assert found == {path: values.tobytes() for path, values in named.items()}


def test_arrays_of_thousands_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 4096)
    values = np.zeros((3, 1500, 1030), "f4")
    values[:, :, ::7] = np.arange(1500)[:, None]
    data = packed(plain({"x": values}))
    with h5py.File(io.BytesIO(data), "r") as file:
        assert np.array_equal(file["x"][()], values)
    assert len(index_of(data).stored["x"].places) > 64 * 64
    assert unpacked(data) == {"x": values.tobytes()}


def test_the_same_arrays_give_the_same_bytes() -> None:
    values = np.random.default_rng(0).standard_normal((300, 400)).astype("f4")
    assert packed(plain({"x": values, "y": values[:3]})) == packed(plain({"x": values, "y": values[:3]}))


def test_arrays_stay_in_the_order_of_the_file() -> None:
    sparse = np.zeros((300, 400), "f4")
    arrays = {"z": sparse, "m": sparse[:2, :3] + 1, "a": sparse + 1, "k": sparse[:1, :2]}
    for data in (plain(arrays), packed(plain(arrays))):
        datasets = index_of(data).datasets
        assert sorted(datasets, key=lambda path: datasets[path].offset) == ["z", "m", "a", "k"]


def test_dense_arrays_are_shuffled_and_sparse_ones_not() -> None:
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((500, 600)).astype("f4")
    sparse = np.where(rng.random(dense.shape) < 0.8, 0, dense).astype("f4")
    noise = rng.integers(0, 256, 4000, np.uint8)
    data = packed(plain({"dense": dense, "sparse": sparse, "small": dense[0, :200], "noise": noise}))
    with h5py.File(io.BytesIO(data), "r") as file:
        assert (file["dense"].shuffle, file["sparse"].shuffle) == (True, False)
        assert file["small"].chunks is file["noise"].chunks is None
        sizes = {path: file[path].id.get_storage_size() / dense.nbytes for path in ("dense", "sparse")}
    assert sizes["dense"] < 0.9
    assert sizes["sparse"] < 0.27


def test_the_hdf5_library_and_wtool_unpack_alike() -> None:
    values = np.random.default_rng(0).integers(0, 3, (700, 90)).astype("f4")
    data = packed(plain({"x": values}))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with make_plain(file.fileno(), 0, len(data)) as copy:
            made = copy.read()
    found = index_of(made).datasets["x"]
    assert {"x": made[found.offset : found.offset + found.nbytes]} == unpacked(data)


# --- damaged and hostile files ---


def small() -> tuple[bytes, Array]:
    values = np.random.default_rng(1).integers(0, 3, (600, 256)).astype("f4")
    return packed(plain({"x": values})), values


def test_damaged_lists_of_chunks_never_give_other_values() -> None:
    data, values = small()
    node = data.index(b"TREE\1")
    places = index_of(data).stored["x"].places
    layout = data.index(b"\3\2\3" + node.to_bytes(8, "little"))
    rng = random.Random(0)
    used = 24 + 40 * len(places) + 32  # of the node, with the key behind the last child
    refused = 0
    for position in [*range(node, node + used), *range(layout, layout + 23)]:
        wrong = bytearray(data)
        wrong[position] ^= 1 << rng.randrange(8)
        try:
            found = unpacked(bytes(wrong))
        except (Refused, NotPlain):
            refused += 1
            continue
        assert found == {"x": values.tobytes()}, position
    assert refused > 0.9 * used


def test_damaged_chunks_are_refused() -> None:
    data, values = small()
    refused = 0
    start, size, _ = index_of(data).stored["x"].places[1]
    for position in range(start, start + size, 101):
        wrong = bytearray(data)
        wrong[position] ^= 1
        try:
            assert unpacked(bytes(wrong)) == {"x": values.tobytes()}  # some bits of deflate mean nothing
        except Refused as error:
            refused += str(error) == "x: damaged: a chunk of it does not inflate"
    assert refused > 0.9 * size / 101


def test_chunks_that_share_bytes_are_refused() -> None:
    data, _ = small()
    first, second = (place[0].to_bytes(8, "little") for place in index_of(data).stored["x"].places[:2])
    with pytest.raises(Differs, match="share the bytes"):
        index_of(data.replace(second, first))


def test_chunks_outside_the_file_are_refused() -> None:
    data, _ = small()
    (at, *_) = index_of(data).stored["x"].places[1]
    with pytest.raises(Refused, match="cut short: its arrays need"):
        index_of(data.replace(at.to_bytes(8, "little"), (1 << 40).to_bytes(8, "little")))


def test_arrays_that_claim_far_more_than_is_stored_are_refused() -> None:
    chunked = {"x": Stored(((0, 1000, 1 << 29),), 1 << 17)}
    with pytest.raises(Refused, match=r"says 512.0 MiB, but the file holds 1000 bytes of it"):
        in_turn({"x": (0, 1 << 29)}, chunked)


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (50, 20), "compression": "gzip"},
        {"chunks": (10, 256), "compression": "gzip", "fletcher32": True},
        {"chunks": (10, 256), "compression": "lzf"},
        {"chunks": (10, 256)},
        {"chunks": (1, 3), "compression": "gzip"},
        {"chunks": (10, 256), "compression": "gzip", "maxshape": (None, 256), "shape": (1000, 256)},
    ],
)
def test_other_chunked_arrays_are_left_to_the_hdf5_library(options: dict[str, Any]) -> None:
    file = io.BytesIO()
    with h5py.File(file, "w", libver="earliest") as made:
        shape = options.pop("shape", (200, 256))
        made.create_dataset("x", shape, "f4", **options)[:200] = np.ones((200, 256))
    with pytest.raises(NotPlain):
        index_of(file.getvalue())


def through_the_library(data: bytes) -> bytes:
    """The plain copy of a file that the child process makes with the HDF5 library."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with make_plain(file.fileno(), 0, len(data)) as copy:
            return copy.read()


@pytest.mark.parametrize(
    ("stored", "mask", "reason"),
    [
        (zlib.compress(b"\1" * 10240), 0, ""),
        (b"\1" * 10240, 1, ""),
        (zlib.compress(b"\1" * 10240), 1, "a chunk of it holds 33 bytes, and its shape takes 10,240"),
        (zlib.compress(b"\1" * 10239), 0, "a chunk of it holds 10,239 bytes"),
        (zlib.compress(b"\1" * 9000), 0, "a chunk of it holds 9,000 bytes"),
        (zlib.compress(b"\1" * 20480), 0, "a chunk of it holds more than 10,240 bytes"),
        (b"x" * 50, 0, "a chunk of it holds 0 bytes"),
    ],
)
def test_chunks_of_too_few_bytes_are_refused(stored: bytes, mask: int, reason: str) -> None:
    """The HDF5 library takes what stands behind them in its memory, which differs from reading to reading."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver="earliest") as made:
        array = made.create_dataset("x", (20, 256), "f4", chunks=(10, 256), compression="gzip", maxshape=(None, 256))
        array[...] = 1
        array.id.write_direct_chunk((10, 0), stored, filter_mask=mask)
    if not reason:
        assert b"\1" * 10240 in through_the_library(file.getvalue())
        return
    with pytest.raises(Refused) as error:
        through_the_library(file.getvalue())
    assert reason in str(error.value)


def test_a_list_with_a_chunk_too_many_is_refused() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w", libver="earliest") as made:
        made.create_dataset("x", data=np.ones((30, 256), "f4"), chunks=(10, 256), compression="gzip", fletcher32=True)
    data = bytearray(file.getvalue())
    rows = data.index(pack("<QQ", 30, 256))  # the shape
    data[rows : rows + 8] = pack("<Q", 20)
    with pytest.raises(Refused, match="its list of chunks has one twice, or one outside"):
        through_the_library(bytes(data))


def test_levels_that_deflate_does_not_have_are_refused() -> None:
    data, _ = small()
    name = data.index(b"deflate\0")
    wrong = data[: name + 8] + pack("<I", 10) + data[name + 12 :]
    with pytest.raises(NotPlain):
        index_of(wrong)
    with pytest.raises(Refused, match=r"filter returned failure|invalid deflate aggression level"):
        through_the_library(wrong)
