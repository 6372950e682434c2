"""Files that are of two kinds at once, read by h5py and by `zipfile` of every Python."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import wtool
from tests.fuzzing.summary import Summary
from tests.fuzzing.zip_writer import End, Entry, archive
from tests.fuzzing.zips import by_zipfile, honest, pythons, some
from tests.models import FIXTURES, WEIGHTS

Rng = np.random.Generator
BLOCKS = [0, 512, 1024, 2048, 8192]
SUFFIXES = [".keras", ".h5", ".weights.h5", ".weights.json"]


@cache
def hdf5(kind: str, block: int) -> bytes:
    """A whole model, or weights alone, behind a block of the user's."""
    out = io.BytesIO()
    source = FIXTURES / "bn" / ("ckpt-9.h5" if kind == "whole" else "ckpt-9.weights.h5")
    with h5py.File(source) as old, h5py.File(out, "w", userblock_size=block, libver="earliest") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
    return out.getvalue()


@cache
def stored_weights() -> bytes:
    """The weights of the honest archive."""
    return next(entry.data for entry in honest() if entry.name == WEIGHTS.encode())


def hdf5_in_zip(rng: Rng) -> bytes:
    """An archive whose first member brings HDF5 to a place where the library looks for it, or nearly."""
    block = some(rng, BLOCKS[1:])
    name = some(rng, [b"assets/readme.bin", b"a", b"assets/x.h5"])
    filler = hdf5(some(rng, ["whole", "weights"]), block)[30 + len(name) :]
    cut = some(rng, [0, 0, 0, 0, 1])
    members = [Entry(name, filler[cut:]), *honest()]
    return archive(members if rng.random() < 0.8 else [members[1], members[0], *members[2:]])


def aligned(rng: Rng) -> bytes:
    """An archive whose weights begin at such a place, or nearly, by the length of what comes before."""
    weights = stored_weights()
    if rng.random() < 0.3:
        out = io.BytesIO(weights)
        with h5py.File(out, "r+") as file:
            file.attrs[some(rng, ["model_config", "layer_names", "harmless"])] = "{}"
        weights = out.getvalue()
    config = next(entry for entry in honest() if entry.name == b"config.json")
    member, metadata = Entry(WEIGHTS.encode(), weights), {"keras_version": "3.9.0", "pad": ""}
    room = some(rng, BLOCKS[1:]) - 30 - len("metadata.json") - 30 - len(WEIGHTS) - len(json.dumps(metadata))
    metadata["pad"] = "x" * (room + some(rng, [0, 0, 0, 0, 1, -1]))
    second = Entry(b"assets/more.h5", hdf5("whole", 0))
    members = [Entry(b"metadata.json", json.dumps(metadata).encode()), member, config]
    if rng.random() < 0.3:
        members[1:2] = [second, member] if rng.random() < 0.5 else [member, second]
    if rng.random() < 0.2:
        members[1] = members[1].changed(method=8)
    return archive(members)


def zip_in_hdf5(rng: Rng) -> bytes:
    """HDF5 with an archive behind it, before it, or in its arrays."""
    model = hdf5(some(rng, ["whole", "weights"]), some(rng, [0] * 9 + BLOCKS))  # a block takes the long way, by a child
    comment = b"x" * some(rng, [0, 0, 9, 65535])
    end = End(comment=comment, zip64=bool(rng.random() < 0.2), comment_length=some(rng, [0, 0, 0, 1, -1]))
    tail = some(rng, [b""] * 5 + [b"\0" * 100, b"\0" * 70000])
    if rng.random() < 0.5:
        return archive(honest(), end, prefix=model, tail=tail)
    return model + archive(honest(), end) + tail


def marks(rng: Rng) -> bytes:
    """HDF5 with the mark of an archive's end near its own, alone or with more around it."""
    end = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, some(rng, [0, 46, 60]), some(rng, [0, 5000]), 0)
    directory = some(rng, [b"", b"PK\1\2" + bytes(42), bytes(46), b"PK\1\2" + bytes(56)])
    values = np.zeros(3000, "u1")
    piece = directory + some(rng, [end, b"PK\5\6", b"PK\6\7" + bytes(16) + end])
    at = 3000 - len(piece) - some(rng, [0, 0, 7, 900])
    values[at : at + len(piece)] = np.frombuffer(piece, "u1")
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as file:
        file["layers/dense/vars/0"] = values.view("f4").reshape(75, 10)
        file["layers/dense/vars/1"] = np.zeros(10, "f4")
    return out.getvalue()


def in_user_block(rng: Rng) -> bytes:
    """HDF5 behind a block that begins like another kind of file."""
    data = bytearray(hdf5(some(rng, ["whole", "weights"]), some(rng, BLOCKS[1:])))
    first = some(
        rng, [b'{"weight_map": {}}', archive(honest())[:500], b"PK\3\4", b"PK\5\6" + bytes(18), b"#!/bin/sh\n"]
    )
    data[: len(first[:512])] = first[:512]
    return bytes(data)


def honest_file(rng: Rng) -> bytes:
    """A file of one kind."""
    kinds = [archive(honest()), hdf5("whole", 0), hdf5("weights", 0), hdf5("whole", 1024)]
    return bytes(some(rng, kinds)) + some(rng, [b"", b"", b"", b"\0" * 9])


KINDS = (*(hdf5_in_zip, aligned, aligned, zip_in_hdf5, marks) * 4, in_user_block, honest_file)


def case(seed: int, number: int) -> tuple[str, bytes]:
    """The ending of a name, and the file of that number."""
    rng = np.random.default_rng([seed, number, 4])
    return some(rng, SUFFIXES), some(rng, KINDS)(rng)


def by_wtool(path: Path) -> str | None:
    """The format that wtool takes a file for; None where it refuses it."""
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            return checkpoint.format
    except wtool.WtoolError:
        return None


def arrays_of(file: h5py.File) -> dict[str, bytes]:
    """Path -> bytes of every array."""
    found: dict[str, bytes] = {}
    file.visititems(lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
    return found


def seen_by_h5py(path: Path) -> str:
    """What h5py finds in an archive other than the weights that are stored in it; empty if nothing."""
    import zipfile

    with zipfile.ZipFile(path) as stored:
        weights = stored.read(WEIGHTS)
    try:
        file = h5py.File(path)
    except OSError:
        return ""
    with file, h5py.File(io.BytesIO(weights)) as inside:
        if {"model_config", "layer_names", "layer_names0"} & set(file.attrs) or "model_weights" in file:
            return "h5py finds a whole model in the archive"
        return "" if arrays_of(file) == arrays_of(inside) else "h5py finds other weights in the archive"


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    paths: dict[int, Path] = {}
    with tempfile.TemporaryDirectory() as made:
        for number in numbers:
            suffix, data = case(seed, number)
            path = Path(made) / f"{number}{suffix}"
            path.write_bytes(data)
            begin = time.monotonic()
            try:
                kind = by_wtool(path)
                summary.slowest = max(summary.slowest, time.monotonic() - begin)
                summary.counts["refused" if kind is None else "accepted"] += 1
                wrong = seen_by_h5py(path) if kind == "keras" else ""
            except Exception as error:
                kind, wrong = None, f"{type(error).__name__}: {error}"
            summary.counts["second readings"] += kind == "keras"
            if wrong:
                summary.fail("polyglots", seed, number, wrong)
            if kind not in (None, "keras"):
                paths[number] = path
        _not_zip(seed, paths, summary)
    return summary


def _not_zip(seed: int, paths: dict[int, Path], summary: Summary) -> None:
    """Hold that no Python finds members of an archive in these files."""
    for python, place in pythons().items() if paths else ():
        answers: list[Any] = by_zipfile(place, list(paths.values()))
        for number, answer in zip(paths, answers, strict=True):
            summary.counts["second readings"] += 1
            if answer and not isinstance(answer, str):
                summary.fail("polyglots", seed, number, f"Python {python} reads an archive: {answer}")
