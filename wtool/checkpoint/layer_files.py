"""Files that layers keep beside their weights, such as vocabularies: whether two models have the same."""

from __future__ import annotations

import zlib
from collections import Counter

from wtool.checkpoint.model import Checkpoint
from wtool.io.source import Source

FOLDER = "assets/"
"""Beginning of the names of such files."""


def contents_of(checkpoint: Checkpoint) -> Counter[tuple[int, int]]:
    """Returns (size, CRC-32) of the content of each file, with how many have it; empty where the format has none.

    The names do not count: they tell the layer, and separate runs give layers other numbers.
    """
    return Counter(named_contents_of(checkpoint).values())


def named_contents_of(checkpoint: Checkpoint) -> dict[str, tuple[int, int]]:
    """Returns name of each file -> (size, CRC-32) of its content; empty where the format has none."""
    found = {name: (len(text), zlib.crc32(text)) for name, text in checkpoint.texts.items() if name.startswith(FOLDER)}
    if checkpoint.parts:  # of an unzipped model, whose members have no checksums
        own = {name: _content(source) for name, source in checkpoint.parts.items() if name.startswith(FOLDER)}
    else:
        own = {each.name: (each.size, each.crc) for each in checkpoint.members if each.name.startswith(FOLDER)}
    return found | own


def _content(source: Source) -> tuple[int, int]:
    crc, buffer = 0, bytearray(1 << 16)
    for start in range(0, source.size, len(buffer)):
        part = memoryview(buffer)[: min(len(buffer), source.size - start)]
        source.read_into(start, part)
        crc = zlib.crc32(part, crc)
    return source.size, crc
