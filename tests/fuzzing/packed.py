"""HDF5 files in deflated chunks: those that wtool packs and others, with damaged lists of chunks, filters and streams.

Second readers: h5py, and the stores with which Keras 3 and tf_keras read their files. What wtool makes of one, packed
again and plain, has to hold the same values.
"""

from __future__ import annotations

import io
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import pack, unpack_from
from typing import Any

import h5py
import numpy as np

import wtool
from tests.fuzzing import arrays
from tests.fuzzing.arrays import by_h5py, by_wtool, compared
from tests.fuzzing.summary import Summary
from tests.fuzzing.zips import some
from wtool.hdf5 import packing
from wtool.hdf5.reader import read_index

Rng = np.random.Generator

SHAPES = [(64, 40), (3, 50, 33), (300, 512), (1200,), (9, 4), (2, 2, 700), (70, 1024), (1, 1100)]
DTYPES = ["f4", "f4", "f2", "f8", "V2", "i1"]
CHUNKS = [4096, 4096, 8192, 128 << 10]

LAYOUT, FILTERS = 8, 11
NODE, CHILDREN = 24, 64
UNDEFINED = (1 << 64) - 1


@dataclass(frozen=True)
class Chunked:
    """Where a file says how one of its arrays is chunked.

    Attributes:
        layout, filters: offset and size of the bodies of these messages; None where there is none.
        rank: of the array.
        root: address of the root of its list of chunks.
    """

    layout: tuple[int, int] | None
    filters: tuple[int, int] | None
    rank: int
    root: int

    @property
    def step(self) -> int:
        """Bytes of a key and the address behind it."""
        return 8 + 8 * (self.rank + 1) + 8


def values(rng: Rng, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Numbers of which some, or most, are zero."""
    found = arrays.values(rng, shape, dtype).copy()
    found[rng.random(shape) < some(rng, [0, 0.5, 0.99])] = np.zeros((), found.dtype)
    return found


@cache
def packed(number: int) -> bytes:
    """Returns a file as wtool packs it."""
    rng = np.random.default_rng([number, 7])
    plain = io.BytesIO()
    with h5py.File(plain, "w", libver="earliest") as file:
        for group in arrays.LAYERS[: int(rng.integers(1, 4))]:
            dtype = some(rng, DTYPES)
            for key in range(int(rng.integers(1, 3))):
                file[f"{group}/{key}"] = values(rng, some(rng, SHAPES), dtype)
                if dtype == "V2":
                    file[f"{group}/{key}"].attrs["dtype"] = "bfloat16"
    data = plain.getvalue()
    index = read_index(lambda offset, count: data[offset : offset + count], len(data))
    chunk, smallest = packing.CHUNK, packing.node_size
    packing.CHUNK, packing.node_size = some(rng, CHUNKS), lambda rank: 0  # small arrays are deflated too
    try:
        with tempfile.TemporaryFile() as file:
            packing.write_file(file, index.groups, index.datasets, lambda at, count: data[at : at + count], True)
            file.seek(0)
            return file.read()
    finally:
        packing.CHUNK, packing.node_size = chunk, smallest


@cache
def written(number: int) -> bytes:
    """Returns a file that h5py chunks: some as wtool does, others with other chunks, filters, and rooms for more."""
    rng = np.random.default_rng([number, 8])
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as file:
        for group in arrays.LAYERS[: int(rng.integers(1, 4))]:
            data = values(rng, some(rng, SHAPES[:-1]), some(rng, ["f4", "f4", "f2", "i1"]))
            rows = (max(1, min(len(data), 4096 // max(1, data[0].nbytes))), *data.shape[1:])
            chunks = some(rng, [rows, rows, rows, tuple(max(1, n // 2) for n in data.shape), data.shape])
            options: dict[str, Any] = some(
                rng,
                [
                    {"compression": "gzip"},
                    {"compression": "gzip", "shuffle": True},
                    {"compression": "gzip", "compression_opts": 9, "shuffle": True},
                    {"compression": "gzip", "fletcher32": True},
                    {"compression": "lzf"},
                    {"shuffle": True},
                    {"maxshape": (None, *data.shape[1:]), "compression": "gzip"},
                ],
            )
            made = file.create_dataset(f"{group}/0", data=data, chunks=chunks, **options)
            if chunks == rows and rng.random() < 0.4:  # a chunk whose filters were left out, as the library may do
                first = np.zeros(chunks, data.dtype)
                first[: min(len(data), chunks[0])] = data[: chunks[0]]
                made.id.write_direct_chunk((0,) * data.ndim, first.tobytes(), filter_mask=int(rng.integers(1, 4)))
    return out.getvalue()


def chunked(data: bytes) -> list[Chunked]:
    """Returns the chunked arrays of a file that nothing is wrong with; none of LZF, whose streams have no checksum."""
    found = []
    with h5py.File(io.BytesIO(data)) as file:
        for name in arrays.names_in(file):
            if file[name].compression == "lzf":
                return []
            if file[name].chunks is None:
                continue
            places = dict(messages(data, h5py.h5o.get_info(file[name].id).addr))
            layout = places.get(LAYOUT)
            root = unpack_from("<Q", data, layout[0] + 3)[0] if layout else UNDEFINED
            found.append(Chunked(layout, places.get(FILTERS), file[name].ndim, root))
    return found


def messages(data: bytes, header: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yields type, and offset and size of the body, of the messages in the first part of an object's header."""
    count, size = unpack_from("<H", data, header + 2)[0], unpack_from("<I", data, header + 8)[0]
    at = header + 16
    for _ in range(count):
        if at >= header + 16 + size:
            return
        kind, length = unpack_from("<HH", data, at)
        yield kind, (at + 8, length)
        at += 8 + length


def nodes(data: bytes, array: Chunked) -> list[int]:
    """Returns the addresses of the nodes in the list of an array's chunks."""
    found, waiting = [], [array.root]
    while waiting and len(found) < 100:
        at = waiting.pop()
        if data[at : at + 4] != b"TREE":
            continue
        found.append(at)
        level, count = data[at + 5], unpack_from("<H", data, at + 6)[0]
        if level:
            places = (at + NODE + i * array.step + array.step - 8 for i in range(min(count, CHILDREN)))
            waiting += [unpack_from("<Q", data, place)[0] for place in places]
    return found


# --- what is done to a file ---


def other(rng: Rng, old: int, size: int, near: list[int]) -> bytes:
    """Returns another number in the place of one of `size` bytes."""
    limit = 1 << 8 * size
    numbers = [old + 1, old - 1, old + 4096, old - 4096, old * 2, old // 2, 0, 1, limit - 1, limit // 2, *near, *near]
    return (some(rng, numbers) % limit).to_bytes(size, "little")


def put(data: bytearray, rng: Rng, at: int, size: int, near: list[int] | None = None) -> None:
    """Put another number into a file."""
    old = int.from_bytes(data[at : at + size], "little")
    data[at : at + size] = other(rng, old, size, [*(near or []), len(data), len(data) - 8])[: len(data[at : at + size])]


def in_head(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Change a node: its signature, kind, level, count or neighbours."""
    found = nodes(data, array)
    if found:
        at, size = some(rng, [(0, 4), (4, 1), (5, 1), (6, 2), (6, 2), (8, 8), (16, 8)])
        put(data, rng, some(rng, found) + at, size, found)


def in_key(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Change a key of a node: the size of a chunk, its filters, its coordinates, or where the chunk is."""
    found = nodes(data, array)
    if not found:
        return
    node = some(rng, found)
    count = min(unpack_from("<H", data, node + 6)[0], CHILDREN)
    key = node + NODE + int(rng.integers(count + 1)) * array.step
    fields = [(0, 4), (0, 4), (4, 4), (array.step - 8, 8), (array.step - 8, 8)]
    at, size = some(rng, [*fields, *((8 + 8 * axis, 8) for axis in range(array.rank + 1))])
    twin = node + NODE + int(rng.integers(max(1, count))) * array.step + at
    put(data, rng, key + at, size, [int.from_bytes(data[twin : twin + size], "little")])


def in_order(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Let two entries of a node change places, or one take the place of another, whole or but for their keys."""
    found = nodes(data, array)
    if not found:
        return
    node = some(rng, found)
    count = max(1, min(unpack_from("<H", data, node + 6)[0], CHILDREN))
    start, length = some(rng, [(0, array.step), (0, array.step - 8), (array.step - 8, 8), (0, 4)])
    one, two = (node + NODE + int(rng.integers(count)) * array.step + start for _ in range(2))
    first, second = bytes(data[one : one + length]), bytes(data[two : two + length])
    data[one : one + length] = second
    if rng.random() < 0.6:
        data[two : two + length] = first


def in_layout(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Change the message that tells the shape of chunks and where their list is."""
    if array.layout is not None:
        at = array.layout[0]
        dims = [(11 + 4 * axis, 4) for axis in range(array.rank + 1)]
        where, size = some(rng, [(0, 1), (1, 1), (2, 1), (3, 8), *dims, *dims])
        put(data, rng, at + where, size, [unpack_from("<I", data, at + 11 + 4 * i)[0] for i in range(array.rank + 1)])


def in_filters(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Change the message that tells the filters of chunks."""
    if array.filters is not None:
        at, length = array.filters
        put(data, rng, at + int(rng.integers(max(1, length - 1))), some(rng, [1, 2]), [1, 2, 3, 32000])


def leaf_entries(data: bytes, array: Chunked) -> list[int]:
    """Returns where the keys of all chunks are."""
    found = []
    for node in nodes(data, array):
        if data[node + 5] == 0:
            count = min(unpack_from("<H", data, node + 6)[0], CHILDREN)
            found += [node + NODE + i * array.step for i in range(count)]
    return found


def in_stream(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Change the deflated values of a chunk, or put another stream in their place."""
    entries = leaf_entries(data, array)
    if not entries:
        return
    key = some(rng, entries)
    size, place = unpack_from("<I", data, key)[0], unpack_from("<Q", data, key + array.step - 8)[0]
    if place + size > len(data) or not size:
        return
    if rng.random() < 0.4:
        at = place + int(rng.integers(size)) if rng.random() < 0.5 else place + some(rng, [0, 1, size - 1, size - 4])
        data[max(place, at)] ^= 1 << int(rng.integers(8))
        return
    with suppress(zlib.error):
        inflated = zlib.decompress(data[place : place + size])
        body = some(
            rng, [inflated, inflated[:-1], inflated + b"\0", inflated[: len(inflated) // 2], b"", bytes(len(inflated))]
        )
        stream = some(
            rng,
            [
                zlib.compress(body, 9),
                zlib.compress(body, 9) + some(rng, [b"\0", b"x", zlib.compress(b"more")]),
                zlib.compress(body, 9)[:-4],
                zlib.compress(body, 9)[:-4] + b"\0\0\0\0",
                zlib.compressobj(9, wbits=-15).flush() or b"",
                zlib.compressobj(9, wbits=31).compress(body) + b"",
                with_dictionary(body),
            ],
        )
        room = stream[:size] if rng.random() < 0.2 else stream
        if len(room) > size:  # behind the end, where nothing else is
            data[key + array.step - 8 : key + array.step] = pack("<Q", len(data))
            data[:] = data + room
            data[40:48] = pack("<Q", len(data))
        else:
            data[place : place + len(room)] = room
        if rng.random() < 0.8:
            data[key : key + 4] = pack("<I", len(room))


def with_dictionary(body: bytes) -> bytes:
    """Returns a stream that only whoever has its dictionary can inflate."""
    stream = zlib.compressobj(9, zdict=b"\0" * 64)
    return stream.compress(body) + stream.flush()


def anywhere(data: bytearray, rng: Rng, array: Chunked) -> None:
    """Flip a bit of anything."""
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


CHANGES = (in_head, in_key, in_key, in_key, in_order, in_order, in_layout, in_filters, in_stream, in_stream, anywhere)


def case(seed: int, number: int) -> bytes:
    """The file of that number."""
    rng = np.random.default_rng([seed, number, 5])
    base = packed(int(rng.integers(60))) if rng.random() < 0.8 else written(int(rng.integers(60)))
    data, found = bytearray(base), chunked(base)
    for _ in range(some(rng, [0, 1, 1, 1, 1, 2, 2, 3]) if found else 0):
        some(rng, CHANGES)(data, rng, some(rng, found))
    return bytes(data)


def remade(path: Path, found: dict[str, bytes]) -> str:
    """What is otherwise in the file that wtool packs anew, or makes plain; empty if nothing."""
    for compression in ("gzip", "none"):
        out = path.with_name(f"{compression}.weights.h5")
        wtool.pack(path, compression=compression, output=out, force=True)
        if by_h5py(out.read_bytes()) != found:
            return f"packing it with {compression} gives other values"
    return ""


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "m.weights.h5"
        for number in numbers:
            data = case(seed, number)
            path.write_bytes(data)
            begin = time.monotonic()
            try:
                found = by_wtool(path)
                summary.slowest = max(summary.slowest, time.monotonic() - begin)
                summary.counts["refused" if found is None else "accepted"] += 1
                wrong = ""
                if found is not None:
                    wrong = compared(path, data, found, np.random.default_rng([seed, number])) or remade(path, found)
                    summary.counts["second readings"] += 1 + len(arrays.stores())
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                summary.fail("packed", seed, number, wrong)
    return summary
