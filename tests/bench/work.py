"""The work that an operation cannot avoid, part by part: what `make bench` holds wtool against.

    python work.py OPERATION OUT SECONDS MODEL... [--smoke]

OPERATION is average, prune, prune_each, stroke, ties, copy or compare. Each part is done alone, by one thread, in
blocks that stay in the cache, on the real files: reading, hashing (BLAKE3) and checksums (CRC-32) of the bytes that are
read and of those that are written, arithmetic, and writing with fsync. The parts take turns. The file SECONDS gets
JSON: part -> seconds, one for each turn.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from blake3 import blake3
from isal import isal_zlib

TURNS, BLOCK = 3, 1 << 20


def blocks(path: Path) -> Iterator[memoryview]:
    """The bytes of a file, read by position into one buffer."""
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb") as file:
        at = 0
        while count := os.preadv(file.fileno(), [buffer], at):
            yield buffer[:count]
            at += count


def read(paths: Sequence[Path]) -> None:
    for path in paths:
        for _ in blocks(path):
            pass


def hashed(paths: Sequence[Path]) -> None:
    """Without the reading, which is measured by itself: one block, as often as there are blocks."""
    block = os.urandom(BLOCK)
    for path in paths:
        whole = blake3()
        for _ in range(-(-path.stat().st_size // BLOCK)):
            whole.update(block)
        whole.hexdigest()


def checked(paths: Sequence[Path]) -> None:
    block, crc = os.urandom(BLOCK), 0
    for path in paths:
        for _ in range(-(-path.stat().st_size // BLOCK)):
            crc = isal_zlib.crc32(block, crc)


def write(models: Sequence[Path], out: Path) -> None:
    """As many bytes as each model has, and fsync."""
    block = memoryview(os.urandom(BLOCK))
    for model in models:
        left = model.stat().st_size
        out.unlink(missing_ok=True)
        with out.open("wb", 0) as file:
            while left > 0:
                left -= file.write(block[:left])
            os.fsync(file.fileno())


def average(values: np.ndarray, models: int) -> None:
    """A weighted sum in float64 of as many blocks as there are models, and the division."""
    for block in in_blocks(values):
        total = np.zeros(block.size)
        scratch = np.empty(block.size)
        for number in range(models):
            np.multiply(block, 0.9**number, out=scratch, casting="unsafe")
            total += scratch
        total /= 2.0
        total.astype("f4")


def prune(values: np.ndarray, models: int) -> None:
    """The threshold by a partition of all magnitudes, and the mask."""
    magnitudes = np.abs(values)
    threshold = np.partition(magnitudes, round(0.8 * values.size))[round(0.8 * values.size)]
    for block in in_blocks(values):
        np.where(np.abs(block) < threshold, np.float32(0), block)


def prune_each(values: np.ndarray, models: int) -> None:
    """The same of each of twenty tensors of each model."""
    for _ in range(models):
        for tensor in np.array_split(values, 20):
            prune(tensor, 1)


def stroke(values: np.ndarray, models: int) -> None:
    """A random number for each tenth value, put at positions that are drawn."""
    rng = np.random.default_rng(0)
    for block in in_blocks(values):
        count = block.size // 10
        changed = block.copy()
        changed[rng.integers(0, block.size, count)] = rng.standard_normal(count, dtype=np.float32)


def ties(values: np.ndarray, models: int) -> None:
    """A partition of each model's differences, the sign that is elected, and the mean of those that have it."""
    thresholds = []
    for _ in range(models - 1):
        thresholds.append(np.partition(np.abs(values), round(0.7 * values.size))[round(0.7 * values.size)])
    for block in in_blocks(values):
        kept = [np.where(np.abs(block) >= threshold, block, 0) for threshold in thresholds]
        sign = np.sign(sum(kept))
        agreeing = [np.where(np.sign(each) == sign, each, 0) for each in kept]
        np.divide(sum(agreeing), np.maximum(sum(each != 0 for each in agreeing), 1)) + block


def copy(values: np.ndarray, models: int) -> None:
    """Nothing is computed."""


def compare(values: np.ndarray, models: int) -> None:
    """Equal values, the largest difference and the sums of squares."""
    for block in in_blocks(values):
        difference = np.subtract(block, block, dtype="f8")
        np.count_nonzero(difference), np.abs(difference).max(initial=0), np.dot(difference, difference)


OPERATIONS: dict[str, Callable[[np.ndarray, int], None]] = {
    each.__name__: each for each in (average, prune, prune_each, stroke, ties, copy, compare)
}


def in_blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    for at in range(0, values.size, BLOCK // 16):
        yield values[at : at + BLOCK // 16]


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operation", choices=OPERATIONS)
    parser.add_argument("out", type=Path)
    parser.add_argument("seconds", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args(words)
    models = given.models
    written = {"compare": [], "prune_each": models}.get(given.operation, models[:1])
    values = np.random.default_rng(0).standard_normal(models[0].stat().st_size // 4, dtype=np.float32)
    touched = [*models, *written]
    parts: dict[str, Callable[[], None]] = {
        "read": lambda: read(models),
        "hash": lambda: hashed(touched),
        "checksum": lambda: checked(touched),
        "arithmetic": lambda: OPERATIONS[given.operation](values, len(models)),
        **({"write and fsync": lambda: write(written, given.out)} if written else {}),
    }
    found: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(1 if given.smoke else 1 + TURNS):
        for name, part in parts.items():
            begin = time.perf_counter()
            part()
            if turn or given.smoke:  # the first turn warms up
                found[name].append(time.perf_counter() - begin)
    given.seconds.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
