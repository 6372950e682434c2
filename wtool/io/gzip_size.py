"""About how many bytes `gzip -9` would make of a file."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor

from wtool.io.source import Source

_BLOCK = 512 << 10
"""Bytes that are deflated alone, so that several threads share the work: the sum is half a hundredth too large."""

_MOST = 16
"""Blocks that are deflated: level 9 takes a second for some MiB. Of larger files they are spread evenly."""


def gzip_size(source: Source) -> int:
    """Returns about how many bytes `gzip -9` makes of an open file.

    Raises:
        Refused: the file became shorter since it was opened.
    """
    blocks = -(-source.size // _BLOCK)
    taken = range(blocks) if blocks <= _MOST else [number * blocks // _MOST for number in range(_MOST)]

    def deflated(number: int) -> tuple[int, int]:
        data = source.read(number * _BLOCK, min(_BLOCK, source.size - number * _BLOCK))
        return len(data), len(zlib.compress(data, 9))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        done = list(pool.map(deflated, taken))
    read, made = (sum(sizes) for sizes in zip((0, 0), *done, strict=True))
    return round(made * source.size / read) if read else 0
