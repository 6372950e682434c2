"""Mutated files: wtool may refuse them or process them, but must not fail in any other way, nor take long.

Every operation is done to each, as users do: open, inspect, check, prune, open the result, swap, convert.
"""

from __future__ import annotations

import io
import json
import signal
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import wtool
from tests.fuzzing.summary import Summary
from tests.models import FIXTURES, extents
from wtool.hdf5 import sandbox as plain_hdf5

LIMIT = 10.0  # seconds for all operations on a case; the HDF5 library's child may take two of them each time
SEEDS = [
    "blobs/ckpt-91.keras",
    "bn/ckpt-9.keras",
    "bn/ckpt-9.h5",
    "bn/ckpt-9.weights.h5",
    "zoo/k3.15.1/mlp.keras",
    "zoo/k3.15.1/mlp.h5",
    "zoo/k3.15.1/rnn.keras",
    "zoo/k3.15.1/quant_int8.keras",
    "zoo/k3.15.1/pure_f16.keras",
    "zoo/k2.2.4/mlp_defaultnames.h5",
    "zoo/tf2.13/mlp.keras",
    "zoo/tf2.10/custom_layer.h5",
    "zoo/k3.12.4/sharded.weights.json",
]
WEIRD = [
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    10**30,
    "",
    "x" * 5000,
    "../..",
    "\ud800",
    [],
    {},
    [[]],
    {"class_name": "x"},
]

Rng = np.random.Generator


class TooLong(BaseException):
    """The time limit of a case."""


@cache
def original(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


@cache
def metadata_of(name: str) -> np.ndarray[Any, Any]:
    """Positions of the HDF5 file's bytes that are in no array; those are where most of the structure is."""
    data = hdf5_of(name)
    mask = np.ones(len(data), bool)
    for _, start, stop in extents(FIXTURES / name):
        mask[start:stop] = False
    return np.flatnonzero(mask)


@cache
def hdf5_of(name: str) -> bytes:
    data = original(name)
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read("model.weights.h5")
    return data


def flipped(data: bytearray, places: np.ndarray[Any, Any], rng: Rng) -> None:
    for at in rng.choice(places, rng.integers(1, 9)):
        data[at] ^= 1 << int(rng.integers(8))


def numbered(data: bytearray, places: np.ndarray[Any, Any], rng: Rng) -> None:
    """A number field becomes another number: an end, the size of the file, an address in it."""
    width = int(rng.choice([1, 2, 4, 8]))
    at = int(rng.choice(places)) // width * width
    values = [*WEIRD, len(data), at, int(rng.integers(len(data)))]
    value = values[rng.integers(len(values))] % (1 << 8 * width)
    data[at : at + width] = value.to_bytes(width, "little")[: max(0, len(data) - at)]


def spliced(data: bytearray, places: np.ndarray[Any, Any], rng: Rng) -> None:
    """Bytes of one place, also in another one."""
    length = int(2 ** rng.uniform(0, 12))
    start, at = int(rng.choice(places)), int(rng.choice(places))
    piece = data[start : start + length]
    data[at : at + len(piece)] = piece[: len(data) - at]


def truncated(data: bytearray, places: np.ndarray[Any, Any], rng: Rng) -> None:
    del data[int(rng.integers(len(data))) :]


def lengthened(data: bytearray, places: np.ndarray[Any, Any], rng: Rng) -> None:
    at = int(rng.integers(len(data) + 1))
    data[at:at] = rng.bytes(int(rng.integers(1, 600)))


BYTES: list[Callable[[bytearray, np.ndarray[Any, Any], Rng], None]] = [
    flipped,
    flipped,
    numbered,
    numbered,
    spliced,
    truncated,
    lengthened,
]


def edited(value: Any, rng: Rng) -> Any:
    """JSON with one value, somewhere inside, replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.08:
            return {name: child for name, child in value.items() if name != key}
        return {**value, key: edited(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = int(rng.integers(len(value)))
        if rng.random() < 0.1:
            return value[:at] + value[at : at + 1] * int(rng.integers(0, 3)) + value[at + 1 :]
        return [*value[:at], edited(value[at], rng), *value[at + 1 :]]
    return VALUES[rng.integers(len(VALUES))]


def in_archive(name: str, rng: Rng) -> bytes:
    """An archive whose checksums are right, and whose configuration or weights are not."""
    out = io.BytesIO()
    which = "config.json" if rng.random() < 0.4 else "model.weights.h5"
    with zipfile.ZipFile(io.BytesIO(original(name))) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            data = bytearray(old.read(member))
            if member.filename == which == "config.json":
                data = bytearray(json.dumps(edited(json.loads(bytes(data)), rng)).encode("utf-8", "surrogatepass"))
            elif member.filename == which:
                BYTES[rng.integers(len(BYTES))](data, metadata_of(name), rng)
            new.writestr(member, bytes(data))
    return out.getvalue()


def mutated(name: str, rng: Rng) -> bytes:
    data = bytearray(original(name))
    if name.endswith(".weights.json"):
        if rng.random() < 0.5:
            return json.dumps(edited(json.loads(bytes(data)), rng)).encode("utf-8", "surrogatepass")
        places = np.arange(len(data))
    elif name.endswith(".keras"):
        if rng.random() < 0.75:
            return in_archive(name, rng)
        places = np.concatenate([np.arange(3000), np.arange(len(data) - 600, len(data))])
    else:
        places = metadata_of(name) if rng.random() < 0.9 else np.arange(len(data))
    for _ in range(int(rng.integers(1, 3))):
        places = places[places < len(data)]
        if len(places):
            BYTES[rng.integers(len(BYTES))](data, places, rng)
    return bytes(data)


def case(seed: int, number: int) -> tuple[str, bytes]:
    """The name of the original, and the mutated file."""
    rng = np.random.default_rng([seed, number])
    name = SEEDS[rng.integers(len(SEEDS))]
    return name, mutated(name, rng)


@contextmanager
def limited() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(path: Path) -> str:
    """`refused` or `accepted`; an accepted file is gone through, pruned, and the result opened."""
    try:
        with wtool.open_checkpoint(str(path)) as checkpoint:
            names = [tensor.path for tensor in checkpoint.tensors]
    except wtool.WtoolError as error:
        one_line(error)
        wtool.check(path)
        return "refused"
    wtool.check(path)
    out = path.with_name(f"out-{path.name}")
    try:
        wtool.inspect(path)
        wtool.prune(path, sparsity=0.5, output=out)
    except wtool.WtoolError as error:
        one_line(error)
        if out.exists():
            raise AssertionError("a result after an error") from error
        return "accepted, and not all of it done"
    with wtool.open_checkpoint(str(out)) as result:
        assert [tensor.path for tensor in result.tensors] == names
    out.unlink()
    with suppress(wtool.WtoolError):
        wtool.swap(path, to="linked", layers=["*"], output=out)
        wtool.inspect(out)
    for name in ("weights.h5", "h5") if path.suffix == ".keras" else ("keras", "weights.json"):
        converted = path.with_name(f"converted.{name}")
        try:
            wtool.convert(path, output=converted)
            wtool.inspect(converted)
        except wtool.WtoolError as error:
            one_line(error)
    return "accepted"


def one_line(error: wtool.WtoolError) -> None:
    if "\n" in str(error) or "this is a bug" in str(error):
        raise AssertionError(f"more than a line, or a bug: {error}")


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    children = 0
    real = plain_hdf5.make_plain

    def counted(*arguments: Any) -> Any:
        nonlocal children
        children += 1
        return real(*arguments)

    plain_hdf5.make_plain = counted  # type: ignore[assignment]
    try:
        with tempfile.TemporaryDirectory() as made:
            for part in (FIXTURES / "zoo" / "k3.12.4").glob("sharded_0*.h5"):
                (Path(made) / part.name).write_bytes(part.read_bytes())
            for number in numbers:
                name, data = case(seed, number)
                path = Path(made) / Path(name).name
                path.write_bytes(data)
                before, begin = children, time.monotonic()
                try:
                    with limited():
                        summary.counts[attempt(path)] += 1
                except (Exception, TooLong) as error:
                    summary.fail("mutations", seed, number, f"({name}) {type(error).__name__}: {error}")
                summary.counts["through the HDF5 library's child"] += children > before
                summary.slowest = max(summary.slowest, time.monotonic() - begin)
                for left in (path, path.with_name(f"out-{path.name}")):
                    left.unlink(missing_ok=True)
    finally:
        plain_hdf5.make_plain = real
    return summary
