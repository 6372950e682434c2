"""safetensors files with strange headers, read by the library of that name, and by `zipfile` and h5py.

To each is done what is done to mutated files.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import wtool
from tests.fuzzing.mutations import TooLong, attempt, edited, limited
from tests.fuzzing.summary import Summary
from tests.fuzzing.zip_writer import archive
from tests.fuzzing.zips import honest, some
from tests.models import FIXTURES

Rng = np.random.Generator
NUMBERS = [0, -1, 1, 2, 3, 8, 16, 1 << 31, 1 << 62, (1 << 64) - 1, 1 << 64, 1.0, True, None, "8", [], 1e999]
TYPES = ["F32", "F64", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I8", "U64", "BOOL", "C64", "F4", "f32", "", None, 7]
NAMES = ["a", "b/kernel", "", "__metadata__", "é", "x\0y", "\ud800", "a" * 300, "../x", "a\nb"]
PLACES = [
    {"arrays": {"a": "layers/dense/vars/0"}, "groups": {}},
    {"arrays": {"a": "vars/0", "b/kernel": "vars/0"}, "groups": {}},
    {"arrays": {"a": "x//y", "b/kernel": "/x"}, "groups": {"x": {"name": "é"}}},
    {"arrays": {"a": "vars", "b/kernel": "vars/0"}, "groups": {"vars": {}}},
    {"arrays": [], "groups": {}},
    {"arrays": {"a": "dense/vars/0", "b/kernel": "b/vars/0"}, "groups": {"b/vars": {"name": "b"}}},
]


def _entries(rng: Rng) -> tuple[dict[str, Any], int]:
    """The entries of a sound header, and the bytes of its data."""
    found: dict[str, Any] = {}
    end = 0
    for name in ("a", "b/kernel", "c.weight")[: int(rng.integers(1, 4))]:
        dtype, width = some(rng, [("F32", 4), ("F32", 4), ("BF16", 2), ("I64", 8), ("F8_E4M3", 1), ("BOOL", 1)])
        shape = [int(each) for each in rng.integers(0, 4, int(rng.integers(0, 4)))]
        start, end = end, end + int(np.prod(shape)) * width
        found[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return found, end


def _spoil(rng: Rng, found: dict[str, Any]) -> None:
    """Change something in the entries of a header."""
    name = some(rng, list(found))
    entry = found[name]
    kind = int(rng.integers(8))
    if kind == 0:
        found[some(rng, NAMES)] = found.pop(name)
    elif kind == 1:
        found[name] = some(rng, [None, [], {}, 7, "F32"])
    elif kind == 2:
        own = {"config.json": some(rng, ["{}", "[", '{"class_name":1}'])} if rng.random() < 0.5 else {}
        texts = {"wtool_places": json.dumps(some(rng, PLACES)), **own}
        found["__metadata__"] = some(rng, [texts, texts, {"a": 1}, [], {"wtool_lineage": "[{}]"}, None])
    elif kind == 3:
        found[some(rng, NAMES)] = entry
    elif isinstance(entry, dict):
        key = some(rng, ["dtype", "shape", "data_offsets", "data_offsets"])
        old = entry.get(key)
        new = [*old[:-1], some(rng, NUMBERS)] if isinstance(old, list) else some(rng, TYPES)
        found[name] = {**entry, some(rng, [key] * 9 + ["more"]): new}
        if kind == 7:
            del found[name][some(rng, list(found[name]))]


@cache
def model(name: str) -> bytes:
    """A model as a safetensors file."""
    with tempfile.TemporaryDirectory() as made:
        wtool.convert(FIXTURES / "zoo" / "k3.15.1" / name, output=Path(made) / "m.safetensors")
        return (Path(made) / "m.safetensors").read_bytes()


def of_model(rng: Rng) -> bytes:
    """A model whose header has one other value: in the entries, or inside one of its texts."""
    data = model(some(rng, ["mlp.keras", "rnn.keras", "text_assets.keras"]))
    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])
    texts = told["__metadata__"]
    kind = some(rng, ["wtool_places", "wtool_places", "config.json", "metadata.json", "wtool_lineage", ""])
    if kind:
        texts[kind] = json.dumps(edited(json.loads(texts[kind]), rng))
    else:
        told = edited(told, rng)
    text = json.dumps(told).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def case(seed: int, number: int) -> bytes:
    """The file of that number."""
    rng = np.random.default_rng([seed, number, 5])
    if rng.random() < 0.3:
        return of_model(rng)
    found, size = _entries(rng)
    for _ in range(int(rng.integers(0, 3))):
        _spoil(rng, found)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=bool(rng.random() < 0.5)).encode(
        "utf-8", "surrogatepass"
    )
    if rng.random() < 0.1:
        text = text.replace(b'"a"', b'"b/kernel"') if rng.random() < 0.5 else text[:-1] + b',"a":' + text[5:]
    text += b" " * some(rng, [0, 0, 1, 8]) + some(rng, [b""] * 8 + [b"\0", b"x", b"{}"])
    length = len(text) + some(rng, [0] * 12 + [1, -1, 1 << 20, 1 << 40])
    data = rng.integers(0, 2, size).astype("u1").tobytes() + bytes(some(rng, [0] * 12 + [1, 8]))
    made = max(0, length).to_bytes(8, "little") + text + data
    if rng.random() < 0.05:
        made += archive(honest())
    if rng.random() < 0.05 and len(made) < 512:
        made = _with_hdf5(text, made)
    return made


def _with_hdf5(text: bytes, made: bytes) -> bytes:
    """A file whose data HDF5 begins in, at a place where the library looks for it."""
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as file:
        file["layers/dense/vars/0"] = np.ones((2, 2), "f4")
    data = bytes(512 - len(made)) + out.getvalue()
    entry = json.dumps({"z": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return len(entry.ljust(len(text))).to_bytes(8, "little") + entry.ljust(len(text)) + data


def by_wtool(path: Path) -> dict[str, tuple[list[int], bytes]] | None:
    """Name -> shape and bytes of each array; None where wtool refuses the file."""
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            if checkpoint.format != "safetensors":
                raise AssertionError(f"taken for {checkpoint.format}")
            return {each.path: (list(each.shape), checkpoint.read(each).tobytes()) for each in checkpoint.tensors}
    except wtool.WtoolError:
        return None


def by_library(data: bytes) -> dict[str, tuple[list[int], bytes]] | str:
    """What the library reads, or what it says."""
    import safetensors

    try:
        return {name: (told["shape"], bytes(told["data"])) for name, told in safetensors.deserialize(data)}
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def other_kinds(path: Path) -> str:
    """What other readers find in the file; empty if nothing."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as found:
                if found.namelist():
                    return "zipfile finds an archive"
        except zipfile.BadZipFile:
            pass
    return "h5py finds an HDF5 file" if h5py.is_hdf5(path) else ""


Arrays = dict[str, tuple[list[int], bytes]]


def _different(mine: Arrays, theirs: Arrays | str) -> str:
    """How two readings differ; wtool leaves arrays out that are in no layer's place."""
    if isinstance(theirs, str) or any(theirs.get(name) != told for name, told in mine.items()):
        return f"the library reads {theirs}"[:200]
    return ""


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    with tempfile.TemporaryDirectory() as made:
        for number in numbers:
            path = Path(made) / f"{number}.safetensors"
            path.write_bytes(data := case(seed, number))
            begin = time.monotonic()
            wrong = ""
            try:
                with limited():
                    mine = by_wtool(path)
                    summary.counts[attempt(path)] += 1
                summary.slowest = max(summary.slowest, time.monotonic() - begin)
                if mine is not None:
                    summary.counts["second readings"] += 2
                    wrong = other_kinds(path) or _different(mine, by_library(data))
            except (Exception, TooLong) as error:
                wrong = f"{type(error).__name__}: {error}"
            for left in Path(made).iterdir():
                left.unlink()
            if wrong:
                summary.fail("headers", seed, number, wrong)
    return summary
