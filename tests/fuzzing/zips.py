"""Archives whose names, headers and ends readers could take in different ways, read by `zipfile` of every Python."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import tempfile
import time
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests.fuzzing.summary import Summary
from tests.fuzzing.zip_writer import End, Entry, archive, packed
from tests.models import FIXTURES
from wtool.io.zip_unpack import unpack

Rng = np.random.Generator
READER = Path(__file__).with_name("zip_reader.py")
MAIN = ("config.json", "metadata.json", "model.weights.h5")
NAMES: list[bytes] = [
    b"config.json\0", b"config.json\0x", b"\0config.json", b"model.weights.h5\0.txt", b"CONFIG.JSON", b"Config.json",
    b"config.json/", b"./config.json", b"../config.json", b"/config.json", b"a/../config.json", b"config.json.",
    b"config.json ", b".\\config.json", b"assets\\x", b"model.weights.npz", b"model.weights.h5/", b"MODEL.weights.h5",
    "c\u043enfig.json".encode(), "\uff43onfig.json".encode(), "config\u200b.json".encode(), "\u212aeras".encode(),
    b"\x87onfig.json", b"\xff\xfe", b"", b"assets/\x81.txt", "assets/gr\u00f6\u00dfe".encode(),
    b"assets/vocabulary.txt",
    b"assets/Vocabulary.txt", b"assets//x", b"notes.txt", b"x" * 300, b"model.weights.json",
]  # fmt: skip
LOCAL = ("needed", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length")
CENTRAL = (*LOCAL, "made", "comment_length", "disk", "internal", "external", "header")
WEIRD = [0, 1, 2, 8, 20, 45, 63, 64, 0x800, 0x808, 0x20, 0x40, 0x2000, 0xFFFF, 0xFFFFFFFF, 1 << 31]


@cache
def honest() -> tuple[Entry, ...]:
    """The members of a small model."""
    with zipfile.ZipFile(FIXTURES / "blobs" / "ckpt-91.keras") as model:
        return tuple(Entry(name.encode(), model.read(name)) for name in model.namelist())


@cache
def other_config() -> bytes:
    """Another configuration than that of the model."""
    config = json.loads(next(entry.data for entry in honest() if entry.name == b"config.json"))
    config["config"]["name"] = "another"
    return json.dumps(config).encode()


def some(rng: Rng, values: Any) -> Any:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


def unicode_path(rng: Rng, raw: bytes) -> bytes:
    """Info-ZIP's field with a second name, sometimes damaged."""
    name = some(rng, [b"config.json", b"model.weights.h5", b"assets/x", b"", b"\xff", "\u00f6".encode(), b"a\0b"])
    crc = zlib.crc32(raw) ^ some(rng, [0, 0, 0, 1])
    body = struct.pack("<BI", some(rng, [1, 1, 1, 0, 2]), crc) + name
    return struct.pack("<2H", 0x7075, (len(body) + some(rng, [0, 0, 0, 1, -1, 9])) & 0xFFFF) + body


def zip64(rng: Rng, entry: Entry) -> bytes:
    """A zip64 field, right or nearly."""
    numbers = [len(entry.data), len(packed(entry)), int(rng.integers(1 << 16))][: int(rng.integers(4))]
    body = b"".join(struct.pack("<Q", number + some(rng, [0, 0, 0, 1])) for number in numbers)
    return struct.pack("<2H", 1, (len(body) + some(rng, [0, 0, 0, 4, -1])) & 0xFFFF) + body


def extra(rng: Rng, entry: Entry) -> bytes:
    """Some extra fields."""
    made = {
        "path": lambda: unicode_path(rng, entry.name),
        "zip64": lambda: zip64(rng, entry),
        "time": lambda: struct.pack("<2HBI", 0x5455, 5, 1, 0),
        "short": lambda: rng.bytes(int(rng.integers(1, 4))),
        "noise": lambda: rng.bytes(int(rng.integers(1, 30))),
    }
    return b"".join(made[some(rng, list(made))]() for _ in range(int(rng.integers(1, 3))))


def strange_name(rng: Rng, entries: list[Entry]) -> None:
    """One more member, called like a member that is there, or nearly."""
    raw = some(rng, [*NAMES, *(name.encode() for name in MAIN)])
    data = some(rng, [other_config(), b"", b"text", entries[0].data])
    entry = Entry(raw, data, method=some(rng, [0, 0, 8]), flags=some(rng, [0, 0x800]))
    if rng.random() < 0.2:
        entry = entry.changed(local_name=some(rng, NAMES))
    entries.insert(int(rng.integers(len(entries) + 1)), entry)


def renamed(rng: Rng, entries: list[Entry]) -> None:
    """A member gets another name, in both headers or in one."""
    at = int(rng.integers(len(entries)))
    name = some(rng, NAMES)
    old = entries[at].name
    local = some(rng, [None, None, old])
    entries[at] = entries[at].changed(name=name, local_name=local, flags=some(rng, [0, 0x800]))


def field(rng: Rng, entries: list[Entry]) -> None:
    """A field of a header says something else."""
    at = int(rng.integers(len(entries)))
    entry = entries[at]
    if rng.random() < 0.5:
        entries[at] = entry.changed(local={**entry.local, some(rng, LOCAL): some(rng, WEIRD)})
    elif rng.random() < 0.6:
        entries[at] = entry.changed(central={**entry.central, some(rng, CENTRAL): some(rng, WEIRD)})
    else:
        name, value = some(rng, LOCAL[:5]), some(rng, WEIRD)
        entries[at] = entry.changed(local={**entry.local, name: value}, central={**entry.central, name: value})


def extras(rng: Rng, entries: list[Entry]) -> None:
    """Extra fields in one header or both; sizes that are in them only."""
    at = int(rng.integers(len(entries)))
    entry = entries[at]
    if rng.random() < 0.7:
        entry = entry.changed(central_extra=extra(rng, entry))
    if rng.random() < 0.4:
        entry = entry.changed(local_extra=extra(rng, entry))
    if rng.random() < 0.3:
        full = dict.fromkeys(("size", "packed", "header")[: int(rng.integers(1, 4))], 4294967295)
        body = struct.pack("<Q", len(entry.data)) + struct.pack("<Q", len(packed(entry))) + struct.pack("<Q", 0)
        entry = entry.changed(central=full, central_extra=struct.pack("<2H", 1, 8 * len(full)) + body[: 8 * len(full)])
    entries[at] = entry


def compressed(rng: Rng, entries: list[Entry]) -> None:
    """A member is deflated, or has its sizes behind it."""
    at = int(rng.integers(len(entries)))
    entry = entries[at].changed(method=some(rng, [0, 8]))
    if rng.random() < 0.5:
        raw = packed(entry)
        sizes = struct.pack("<3I", zlib.crc32(entry.data), len(raw), len(entry.data))
        zeros = dict.fromkeys(("crc", "packed", "size"), 0)
        behind = some(rng, [b"PK\7\x08" + sizes, sizes, b""])
        entry = entry.changed(flags=entry.flags | 8, local=zeros, behind=behind)
    entries[at] = entry


def gap(rng: Rng, entries: list[Entry]) -> None:
    """Something between members, or members in one place."""
    at = int(rng.integers(len(entries)))
    if rng.random() < 0.5:
        entries[at] = entries[at].changed(behind=some(rng, [b"\0" * 7, b"PK\3\4", b"PK\1\2" + bytes(42), b"PK\5\6"]))
    else:
        entries[at] = entries[at].changed(central={"header": some(rng, [0, 1, 60, 500])})


def shuffled(rng: Rng, entries: list[Entry]) -> None:
    """Members in another order."""
    rng.shuffle(entries)  # type: ignore[arg-type]


CHANGES = (strange_name, strange_name, renamed, field, extras, compressed, gap, shuffled)


def end(rng: Rng) -> End:
    """An end of the archive, mostly right."""
    if rng.random() < 0.88:
        return End()
    small = [0, 0, 0, 0, 1, -1, 22, 76]
    second = archive([Entry(b"config.json", other_config())])
    comment = some(rng, [b"", b"", b"a comment", b"PK\5\6" + bytes(18), second, b"PK\6\7" + bytes(16)])
    wide = rng.random() < 0.5
    return End(
        comment=comment, comment_length=some(rng, [0, 0, 0, 1, -len(comment)]), count=some(rng, small),
        size=some(rng, small), start=some(rng, small), zip64=wide, locator=some(rng, small),
        record_size=some(rng, small), start64=some(rng, small), between=some(rng, [b"", b"", b"x" * 20]),
        honest=bool(rng.random() < 0.7),
    )  # fmt: skip


def case(seed: int, number: int) -> bytes:
    """The archive of that number."""
    rng = np.random.default_rng([seed, number, 1])
    entries = list(honest())
    if rng.random() < 0.3:
        entries.append(Entry(b"assets/layers/text/vocabulary.txt", b"a\nb\n"))
    for _ in range(int(rng.integers(1, 4))):
        some(rng, CHANGES)(rng, entries)
    prefix = some(rng, [b""] * 60 + [b"x" * 9, b"#!/bin/sh\n"])
    tail = some(rng, [b""] * 90 + [b"x", b"\0" * 30, b"PK\5\6" + bytes(18)])
    data = bytearray(archive(entries, end(rng), prefix, tail))
    for _ in range(some(rng, [0] * 18 + [1, 2])):
        at = some(rng, [len(data) - 1 - int(rng.integers(min(400, len(data)))), int(rng.integers(min(100, len(data))))])
        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def by_wtool(path: Path) -> dict[str, int] | None:
    """Name -> checksum of what is in each member; None where wtool refuses the file."""
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            checkpoint.finish()
            found = {}
            for member in checkpoint.members:
                out = io.BytesIO()
                unpack(checkpoint.sources[0], member, out)
                found[member.name] = zlib.crc32(out.getvalue())
            return found
    except wtool.WtoolError:
        return None


@cache
def pythons() -> dict[str, str]:
    """Every Python from 3.10 on that this machine has: version -> where it is."""
    places = [shutil.which(f"python3.{minor}") for minor in range(10, 20)]
    places += [str(place) for place in (Path.home() / ".pyenv" / "versions").glob("3.*/bin/python")]
    versions: dict[str, str] = {}
    for place in filter(None, places):
        told = subprocess.run([place, "--version"], capture_output=True, text=True, check=False).stdout.split()
        if told and tuple(map(int, told[1].split(".")[:2])) >= (3, 10):
            versions.setdefault(told[1], place)
    return dict(sorted(versions.items()))


def by_zipfile(python: str, paths: list[Path]) -> list[Any]:
    """What another Python's `zipfile` reads in each of these: name -> checksum, or what it says."""
    words = [python, "-I", str(READER)]
    done = subprocess.run(words, input=json.dumps(list(map(str, paths))), capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    opened: dict[int, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as made:
        for number in numbers:
            path = Path(made) / f"{number}.keras"
            path.write_bytes(case(seed, number))
            begin = time.monotonic()
            try:
                found = by_wtool(path)
            except Exception as error:
                summary.fail("zips", seed, number, f"{type(error).__name__}: {error}")
                continue
            summary.slowest = max(summary.slowest, time.monotonic() - begin)
            summary.counts["refused" if found is None else "accepted"] += 1
            if found is not None:
                opened[number] = found
        paths = [Path(made) / f"{number}.keras" for number in opened]
        for python, place in pythons().items() if paths else ():
            for (number, found), other in zip(opened.items(), by_zipfile(place, paths), strict=True):
                summary.counts["second readings"] += 1
                if other != found:
                    summary.fail("zips", seed, number, f"Python {python} reads {other}, wtool {found}")
    return summary
