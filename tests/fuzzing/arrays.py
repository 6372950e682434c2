"""HDF5 files whose arrays have two names, share bytes, were never written or are marked as another type.

Second readers: h5py, and the stores with which Keras 3 and tf_keras read their files.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import wtool
from tests.fuzzing.summary import Summary
from tests.fuzzing.zips import some

Rng = np.random.Generator
DTYPES = ["f4", "f4", "f4", "f2", "f8", ">f4", "V2", "i1", "u2"]
LAYERS = ("layers/dense/vars", "layers/dense_1/vars", "layers/embedding/vars")


def values(rng: Rng, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Some numbers of this type."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(rng.integers(1, 60, count, np.uint8).tobytes(), dtype).reshape(shape)


def layers(file: h5py.File, rng: Rng) -> None:
    """A model of a few layers."""
    dtype = some(rng, DTYPES)
    for group, shapes in zip(LAYERS, ([(4, 4), (4,)], [(4, 4), (4,)], [(9, 4)]), strict=True):
        for key, shape in enumerate(shapes):
            file[f"{group}/{key}"] = values(rng, shape, dtype)
            if dtype == "V2":
                file[f"{group}/{key}"].attrs["dtype"] = "bfloat16"


def names_in(group: h5py.Group, path: str = "") -> Iterator[str]:
    """Every path that leads to a dataset, hard links included, other links not followed."""
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield path + name
            elif isinstance(item, h5py.Group) and path.count("/") < 5:
                yield from names_in(item, f"{path}{name}/")


def one_of(file: h5py.File, rng: Rng) -> str:
    """The path of an array."""
    return str(some(rng, sorted(names_in(file)) or ["x"]))


def linked(file: h5py.File, rng: Rng) -> None:
    """Two names for one array."""
    first, second = one_of(file, rng), one_of(file, rng)
    if first != second:
        item = file[first]
        del file[second]
        file[second] = item


def linked_groups(file: h5py.File, rng: Rng) -> None:
    """Two names for one layer, or a name in a place of its own."""
    name = some(rng, ["layers/dense_1", "layers/dense_2", "dense"])
    if name in file:
        del file[name]
    file[name] = file["layers/dense"]


def soft(file: h5py.File, rng: Rng) -> None:
    """A link by path."""
    name = one_of(file, rng)
    del file[name]
    file[name] = h5py.SoftLink("/layers/embedding/vars/0")


def unwritten(file: h5py.File, rng: Rng) -> None:
    """An array without values, or with some."""
    name = one_of(file, rng)
    shape, dtype = file[name].shape, some(rng, ["f4", "f2", ">f4"])
    del file[name]
    options: dict[str, Any] = {"fillvalue": some(rng, [None, 0, 3])}
    if shape and rng.random() < 0.4:
        options |= {"chunks": tuple(max(1, n // 2) for n in shape), "compression": some(rng, [None, "gzip"])}
    made = file.create_dataset(name, shape, dtype, **options)
    if shape and rng.random() < 0.5:
        made[: int(rng.integers(shape[0] + 1))] = 7


def stored_otherwise(file: h5py.File, rng: Rng) -> None:
    """An array in chunks, whole."""
    name = one_of(file, rng)
    data = file[name][()]
    del file[name]
    file.create_dataset(name, data=data, chunks=tuple(max(1, n // 2) for n in data.shape) or None)


def marked(file: h5py.File, rng: Rng) -> None:
    """A mark of a type, as text or nearly."""
    item, name = file[one_of(file, rng)], some(rng, ["bfloat16", "bfloat16", "float16", "float8_e4m3fn", ""])
    forms: list[Callable[[], Any]] = [
        lambda: name,
        lambda: [name],
        lambda: np.bytes_(name or "x"),
        lambda: np.array([name, name], h5py.string_dtype()),
    ]
    item.attrs["dtype"] = some(rng, forms)()


def retyped(file: h5py.File, rng: Rng) -> None:
    """An array of another type."""
    name = one_of(file, rng)
    old = file[name]
    shape, attributes = old.shape, dict(old.attrs)
    del file[name]
    file[name] = values(rng, shape, some(rng, DTYPES))
    for key, value in attributes.items():
        file[name].attrs[key] = value


CHANGES = (linked, linked, linked_groups, soft, unwritten, unwritten, stored_otherwise, marked, marked, retyped)


def moved(data: bytearray, rng: Rng) -> None:
    """The header of an array leads to bytes of another, or to a part of them, or to the file's own tables."""
    places: list[Any] = []
    with suppress(OSError), h5py.File(io.BytesIO(data)) as file:  # one that ends in an unwritten array is cut short
        places = [file[name].id.get_offset() for name in names_in(file)]
    places = sorted({place for place in places if place})
    if len(places) < 2:
        return
    old, other = some(rng, places), some(rng, places)
    new = some(rng, [other, other, other + 4, other - 8, other + 16, 0, 96, len(data) - 8])
    at = data.find(old.to_bytes(8, "little"))
    if at >= 0:
        data[at : at + 8] = max(0, new).to_bytes(8, "little")


def case(seed: int, number: int) -> bytes:
    """The file of that number."""
    rng = np.random.default_rng([seed, number, 3])
    out = io.BytesIO()
    latest = rng.random() < 0.07  # these take the long way, through the HDF5 library in a child process
    with h5py.File(out, "w", libver="latest" if latest else "earliest") as file:
        layers(file, rng)
        for _ in range(int(rng.integers(0, 3))):
            some(rng, CHANGES)(file, rng)
    data = bytearray(out.getvalue())
    if rng.random() < 0.3:
        moved(data, rng)
    return bytes(data)


def by_wtool(path: Path) -> dict[str, bytes] | None:
    """Path in the file -> bytes of each array; None where wtool refuses the file."""
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            return {tensor.stored: checkpoint.read(tensor).tobytes() for tensor in checkpoint.tensors}
    except wtool.WtoolError:
        return None


def plain(value: Any) -> bytes:
    """The bytes of an array as a little-endian machine has them."""
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("<")).tobytes() if array.dtype.kind != "V" else array.tobytes()


def by_h5py(data: bytes) -> dict[str, bytes]:
    """What h5py reads by every name; an array of which something was never written is an error."""
    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        for name in names_in(file):
            item = file[name]
            if item.chunks is None:
                stored = item.id.get_storage_size() >= item.nbytes
            else:
                wanted = np.prod([-(-n // step) for n, step in zip(item.shape, item.chunks, strict=True)])
                stored = item.id.get_num_chunks() >= wanted
            if not stored:
                raise ValueError(f"{name} was never written")
            found[name] = plain(item[()])
    return found


@cache
def stores() -> dict[str, Any]:
    """What Keras 3 and tf_keras read weights with, as far as they are installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    found: dict[str, Any] = {}
    try:
        from keras.src.saving.saving_lib import H5IOStore

        found["Keras"] = lambda path: H5IOStore(path, mode="r")
        from tf_keras.src.saving.saving_lib import H5IOStore as OldStore

        found["tf_keras"] = lambda path: OldStore(str(path), mode="r")
    except ImportError:
        pass
    return found


def by_store(make: Any, path: Path, names: list[str]) -> dict[str, bytes]:
    """What a Keras reads by its own store."""
    store = make(path)
    try:
        found = {}
        for name in names:
            group, _, key = name.rpartition("/vars/")
            found[name] = plain(store.get(group)[key])
        return found
    finally:
        store.close()


def independent(data: bytes, rng: Rng) -> str:
    """The name of an array that changes when another one is written; empty if there is none."""
    before, out = by_h5py(data), io.BytesIO(data)
    written = some(rng, sorted(before))
    with h5py.File(out, "r+") as file:
        item = file[written]
        if not item.size:
            return ""
        item[...] = np.frombuffer(bytes(255 - each for each in item[()].tobytes()), item.dtype).reshape(item.shape)
    after = by_h5py(out.getvalue())
    return next((name for name in before if name != written and after[name] != before[name]), "")


def compared(path: Path, data: bytes, found: dict[str, bytes], rng: Rng) -> str:
    """What another reader sees otherwise; empty if nothing."""
    others = {"h5py": by_h5py(data)}
    for name, make in stores().items():
        others[name] = by_store(make, path, list(found))
    for name, read in others.items():
        if read != found:
            return f"{name} reads other values: {sorted(each for each in found if read.get(each) != found[each])}"
    changed = independent(data, rng)
    return f"{changed} changes with another array" if changed else ""


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
                wrong = compared(path, data, found, np.random.default_rng([seed, number])) if found is not None else ""
                summary.counts["second readings"] += 1 + len(stores()) if found is not None else 0
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                summary.fail("arrays", seed, number, wrong)
    return summary
