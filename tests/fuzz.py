"""Mutated files: wtool may refuse them or process them, but must not fail in any other way, nor take long.

    python -m tests.fuzz CASES [SEED]       writes docs/fuzz.md; cases that fail are kept under build/fuzz/

Case n of a seed is always the same file.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import wtool
from tests.models import FIXTURES, extents
from wtool.files import plain_hdf5

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "fuzz.md"
BEGIN, END = "<!-- made by make fuzz: begin -->", "<!-- made by make fuzz: end -->"
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


@dataclass
class Summary:
    """What became of some cases."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, other: Summary) -> None:
        self.counts.update(other.counts)
        self.failures += other.failures
        self.slowest = max(self.slowest, other.slowest)


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
    return "accepted"


def one_line(error: wtool.WtoolError) -> None:
    if "\n" in str(error):
        raise AssertionError(f"more than a line: {error}")


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
                    summary.counts["failed"] += 1
                    summary.failures.append(
                        f"seed {seed}, case {number} ({name}): {type(error).__name__}: {error}"[:300]
                    )
                summary.counts["through the HDF5 library's child"] += children > before
                summary.slowest = max(summary.slowest, time.monotonic() - begin)
                for left in (path, path.with_name(f"out-{path.name}")):
                    left.unlink(missing_ok=True)
    finally:
        plain_hdf5.make_plain = real
    return summary


def _part(job: tuple[int, range]) -> Summary:
    return run(*job)


def main() -> int:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    step = 100
    jobs = [(seed, range(start, min(start + step, count))) for start in range(0, count, step)]
    total = Summary()
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for done, part in enumerate(pool.imap_unordered(_part, jobs), start=1):
            total.add(part)
            print(f"\r{min(done * step, count):,} of {count:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    for failure in total.failures:
        print(failure)
    keep(total.failures)
    publish(count, seed, total)
    return 1 if total.failures else 0


def keep(failures: list[str]) -> None:
    folder = ROOT / "build" / "fuzz"
    for text in failures:
        seed, number = (int(word) for word in text.replace(",", "").split()[1:4:2])
        folder.mkdir(parents=True, exist_ok=True)
        name, data = case(seed, number)
        (folder / f"{seed}-{number}-{Path(name).name}").write_bytes(data)


def publish(count: int, seed: int, total: Summary) -> None:
    rows = [["cases", f"{count:,} (seed {seed}), of {len(SEEDS)} files"]]
    rows += [[name, f"{number:,}"] for name, number in sorted(total.counts.items())]
    rows += [["failed", "0"]] if "failed" not in total.counts else []
    rows += [["slowest, all operations together", f"{total.slowest:.1f} s"], ["wtool", wtool.__version__]]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (["", ""], ["---", "---:"], *rows))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    sys.exit(main())
