"""The signs by which a file's layout is known: its first or last bytes. What opens it is imported then, and not before.

A layout whose files another one could recognise as well comes first in `registry`: an archive is recognised by its
first bytes, but HDF5 also behind a block of other bytes, and JSON text by its first bracket.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from wtool.hdf5.reader import SIGNATURE, Index, behind_user_block, possible_starts
from wtool.io.safetensors_header import has_header
from wtool.io.source import Source

INDEX = ".index"
"""Ending of the index of a TensorFlow checkpoint, behind the checkpoint's own name (the prefix of its files)."""


SAFETENSORS, HEADER = "safetensors", "header"
"""The format of safetensors files, and the name of their header in `Checkpoint.texts` and in seals."""


def is_archive(source: Source) -> bool:
    """Returns whether a file begins like a zip archive."""
    return source.read(0, min(4, source.size)) in (b"PK\3\4", b"PK\5\6")


def is_safetensors(source: Source) -> bool:
    """Returns whether a file begins like a safetensors file."""
    return has_header(source.read, source.size)


def is_hdf5(source: Source) -> bool:
    """Returns whether HDF5 begins at the file's first byte, or behind a user block."""
    start = source.read(0, min(len(SIGNATURE), source.size))
    if start != SIGNATURE:
        source.prefetch((at, at + len(SIGNATURE)) for at in possible_starts(source.size))
    return start == SIGNATURE or behind_user_block(source.read, source.size) is not None


def look_for_hdf5(source: Source, judge: Callable[[int], None]) -> None:
    """Have a function judge each place behind a user block at which HDF5 begins in a file (see `Source.look`).

    Args:
        source: the file.
        judge: gets the offset; raises `Refused`.
    """

    def seen(start: int, found: bytes) -> None:
        if found == SIGNATURE:
            judge(start)

    for start in possible_starts(source.size):
        if start:
            source.look(start, len(SIGNATURE), partial(seen, start))


def is_legacy(index: Index) -> bool:
    """Returns whether an HDF5 file holds what Keras's readers of `.h5` look for."""
    root = index.groups.get("", {})
    names = ("model_config", "layer_names", "layer_names0")
    return "model_weights" in index.groups or any(name in root for name in names)


def is_json(source: Source) -> bool:
    """Returns whether a file begins like a JSON object."""
    return source.read(0, min(8, source.size)).lstrip()[:1] == b"{"


def index_of(path: str) -> str | None:
    """Returns the index of the TensorFlow checkpoint whose name is a path; None where there is none."""
    is_prefix = not os.path.lexists(path) and os.path.lexists(path + INDEX)
    return path + INDEX if is_prefix else None
