"""The seal of a result: a content hash in its last lineage record, by which wtool knows again what it wrote.

The hash is of all that a result says, the lineage included, but for the digits of the hash itself. So the seal of a
file that another tool has changed, or that got its lineage from another file, is broken. It is no signature: nothing
secret goes into it, and whoever writes a file on purpose can compute it as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from blake3 import blake3

from wtool.checkpoint.layouts.signs import HEADER, SAFETENSORS
from wtool.checkpoint.lineage import KEY, UNHASHED, Record, last_record
from wtool.checkpoint.model import NONE, Checkpoint
from wtool.io.safetensors_header import with_length
from wtool.io.source import Source, copy
from wtool.schema.archive_members import METADATA

MANIFEST = "weights.json"
DATA = "data"
"""Name of the part of a safetensors file behind its header."""

_HEAP = 4096
"""Least number of bytes that wtool writes at the end of an HDF5 file, behind the header of the root group."""


class Seal:
    """The hash of a result while it is written or read: of its parts, in any order of their bytes."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, blake3]] = []

    def part(self, name: str) -> blake3:
        """Add a part; returns its hash, to whose `update` the caller gives the part's bytes."""
        part = blake3()
        self._parts.append((name, part))
        return part

    def hash(self) -> str:
        """Returns the seal, `blake3:` and 64 hexadecimal digits: a hash of the names and hashes of all parts."""
        whole = blake3()
        for name, part in self._parts:
            whole.update(f"{name}\0{part.hexdigest()}\n".encode("utf-8", "surrogateescape"))
        return f"blake3:{whole.hexdigest()}"


def is_sealed(checkpoint: Checkpoint) -> bool:
    """Returns whether a checkpoint has, to the byte, the content that wtool wrote with the last record of its lineage.

    Raises:
        Refused: a file became shorter, or changed while it was read.
    """
    told = _told(last_record(checkpoint.lineage))
    seal = Seal()
    if told is None or not all(_feed(seal.part(name), pieces) for name, pieces in _parts(checkpoint, told)):
        return False
    for source in checkpoint.sources:
        source.refuse_changed()
    return seal.hash() == told


def put_hash(text: bytes, old: str, new: str) -> bytes:
    """Returns a text that ends with a lineage, with its last `old` hash replaced by `new`, of the same length."""
    before, found, after = text.rpartition(old.encode())
    return before + new.encode() + after if found else text


def _told(record: Record) -> str | None:
    told = record.result.hash if record.result is not None else None
    return told if told is not None and re.fullmatch("blake3:[0-9a-f]{64}", told) else None


Piece = bytes | tuple[Source, int, int] | None
"""Bytes, or (source, start, stop) of them; None where the file is not one that wtool wrote."""


def _feed(part: blake3, pieces: Sequence[Piece]) -> bool:
    for piece in pieces:
        if piece is None:
            return False
        if isinstance(piece, bytes):
            part.update(piece)
        else:
            copy(*piece, part.update)
    return True


def _parts(checkpoint: Checkpoint, told: str) -> Iterator[tuple[str, Sequence[Piece]]]:
    source = checkpoint.sources[0]
    if checkpoint.format == "keras":
        for name, part in checkpoint.parts.items():
            if name != METADATA:
                yield name, [(part, 0, part.size)]
        for member in () if checkpoint.parts else checkpoint.members:
            if member.name != METADATA:
                yield member.name, [(source, member.data, member.data + member.packed)]
        yield METADATA, [put_hash(checkpoint.texts.get(METADATA, b""), told, UNHASHED)]
    elif checkpoint.format == "weights.json":
        for number, shard in enumerate(checkpoint.sources[1:]):
            yield str(number), [(shard, 0, shard.size)]
        yield MANIFEST, [put_hash(checkpoint.texts[MANIFEST], told, UNHASHED)]
    elif checkpoint.format == SAFETENSORS:
        text = checkpoint.texts[HEADER]
        yield DATA, [(source, len(with_length(text)), source.size)]
        yield HEADER, [put_hash(text, told, UNHASHED)]
    else:
        yield "", _hdf5(checkpoint, source, told)


def _hdf5(checkpoint: Checkpoint, source: Source, told: str) -> Sequence[Piece]:
    """Returns the pieces of an HDF5 file, at whose end is the lineage."""
    text = checkpoint.indexes[0].groups.get("", {}).get(KEY)
    is_copy = checkpoint.regions[0].source is not source and checkpoint.compression == NONE
    if is_copy or not isinstance(text, str):
        return [None]
    start = max(0, source.size - max(_HEAP, len(text) + 64))
    at = source.read(start, source.size - start).rfind(told.encode())
    if at < 0:
        return [None]
    return [(source, 0, start + at), UNHASHED.encode(), (source, start + at + len(told), source.size)]
