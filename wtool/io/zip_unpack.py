"""The unpacked bytes of an archive's members, within limits and checked against their checksums."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from isal import isal_zlib

from wtool.errors import Refused
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO, MAX_JSON
from wtool.io.source import STREAM_BLOCK, Source
from wtool.io.zip_format import DEFLATED, STORED, Member


def member_bytes(source: Source, member: Member) -> bytes:
    """Returns the unpacked bytes of a small member (a JSON text), checked against its checksum.

    Raises:
        Refused: the member is larger than a JSON text may be, compressed by an unknown method, or damaged.
    """
    if member.size > MAX_JSON or member.packed > MAX_JSON:
        raise Refused(f"member {member.name!r} claims {member.size:,} bytes; the limit is {MAX_JSON:,}")
    data = b"".join(_unpacked(source, member))
    if isal_zlib.crc32(data) != member.crc:
        raise Refused(f"damaged: the archive's checksum of {member.name} does not match its bytes")
    return data


def verify(source: Source, members: Sequence[Member]) -> None:
    """Unpack all compressed members and throw their bytes away.

    Raises:
        Refused: a checksum is wrong, or all members together are a bomb.
    """
    packed = [member for member in members if member.method != STORED]
    total, stored = sum(member.size for member in packed), sum(member.packed for member in packed)
    if total > MAX_INFLATED_FLOOR and total > MAX_INFLATED_RATIO * stored:
        raise Refused(f"its compressed members would unpack {stored:,} bytes to {total:,}: a zip bomb")
    with open(os.devnull, "wb") as nothing:
        for member in packed:
            unpack(source, member, nothing)


def unpack(source: Source, member: Member, target: BinaryIO) -> None:
    """Write a compressed member's bytes to `target`, block by block.

    Raises:
        Refused: the member is a bomb, compressed by an unknown method, or damaged.
    """
    if member.size > MAX_INFLATED_FLOOR and member.size > MAX_INFLATED_RATIO * member.packed:
        raise Refused(f"member {member.name!r} would unpack {member.packed:,} bytes to {member.size:,}: a zip bomb")
    crc = 0
    for block in _unpacked(source, member):
        crc = isal_zlib.crc32(block, crc)
        target.write(block)
    if crc != member.crc:
        raise Refused(f"damaged: the archive's checksum of {member.name} does not match its bytes")
    target.flush()


def _unpacked(source: Source, member: Member) -> Iterator[bytes]:
    """Yields the unpacked bytes of a member in blocks, and never more bytes than its header says."""
    if member.method not in (STORED, DEFLATED):
        raise Refused(f"member {member.name!r} is compressed by method {member.method}; only stored and deflate work")
    inflate = zlib.decompressobj(-15) if member.method == DEFLATED else None
    left = member.size
    for start in range(member.data, member.data + member.packed, STREAM_BLOCK):
        block = source.read(start, min(STREAM_BLOCK, member.data + member.packed - start))
        while block:
            out = _inflate(inflate, block, member.name) if inflate else block
            left -= len(out)
            if left < 0:
                raise Refused(f"damaged: member {member.name!r} unpacks to more than its header says")
            yield out
            block = inflate.unconsumed_tail if inflate else b""
    if left:
        raise Refused(f"damaged: member {member.name!r} unpacks to {left:,} bytes less than its header says")


def _inflate(inflate: zlib._Decompress, block: bytes, name: str) -> bytes:
    try:
        return inflate.decompress(block, STREAM_BLOCK)
    except zlib.error as error:
        raise Refused(f"damaged: member {name!r} does not unpack ({error})") from None
