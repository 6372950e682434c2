"""How many bytes `gzip -9` would make of a file."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor

from wtool.io.source import Source

_BLOCK = 4 << 20
"""Bytes that are deflated alone, so that several threads share the work: the sum is a thousandth too large."""

_HEAD_AND_TAIL = 18  # bytes around the stream of a gzip file


def gzip_size(source: Source) -> int:
    """Returns about how many bytes `gzip -9` makes of an open file.

    Raises:
        Refused: the file became shorter since it was opened.
    """

    def deflated(start: int) -> int:
        compress = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = source.read(start, min(_BLOCK, source.size - start))
        return len(compress.compress(data)) + len(compress.flush())

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return _HEAD_AND_TAIL + sum(pool.map(deflated, range(0, source.size, _BLOCK)))
