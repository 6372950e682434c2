"""The zip archive that a `.keras` file is: its members, checked, and the headers of a new one.

Stricter than zip readers have to be: two readers must not see two archives. Source: PKWARE APPNOTE 6.3.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from isal import isal_zlib

from wtool.errors import Refused
from wtool.files.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO, MAX_JSON, MAX_MEMBERS
from wtool.files.source import STREAM_BLOCK, Source

STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIPTOR, UTF8 = 0x1, 0x8, 0x800
LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
ZIP64_EXTRA = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `header` is where its local header starts, `data` where its (compressed) bytes do."""

    name: str
    raw_name: bytes
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    header: int
    data: int
    modified: tuple[int, int]
    versions: tuple[int, int]
    attributes: tuple[int, int]
    extra: bytes
    comment: bytes


def read_members(source: Source) -> tuple[Member, ...]:
    """The members in the order of their bytes.

    Raises:
        Refused: anything in which readers could disagree (names twice, overlaps, junk around the archive, local headers
            that contradict the directory), encryption, impossible sizes.
    """
    start, size, count = _directory(source)
    members = sorted(_central_records(source, start, size, count), key=lambda member: member.header)
    names = [member.name for member in members]
    for name in {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ():
        raise Refused(f"the archive holds {name!r} more than once: no telling which is meant")
    located = tuple(_with_data_offset(source, member) for member in members)
    _refuse_overlaps(located, start)
    return located


def _directory(source: Source) -> tuple[int, int, int]:
    """Start, size and number of records of the central directory."""
    position = source.size - END.size
    record = source.read(position, END.size) if position >= 0 else b""
    if record[:4] != b"PK\5\6":
        raise Refused("damaged: cut short, or something follows the archive's end (it should end with a zip directory)")
    _, disk, start_disk, here, count, size, start, comment = END.unpack(record)
    if comment or disk or start_disk or here != count:
        raise Refused("a zip archive in parts or with a comment, which Keras never writes")
    if position >= LOCATOR.size:
        signature, _, end64, _ = LOCATOR.unpack(source.read(position - LOCATOR.size, LOCATOR.size))
        if signature == b"PK\6\7":
            if end64 + END64.size != position - LOCATOR.size:
                raise Refused("damaged: the zip64 directory end is not where it should be")
            fields = END64.unpack(source.read(end64, END64.size))
            if fields[0] != b"PK\6\6":
                raise Refused("damaged: the zip64 directory end has another signature")
            count, size, start, position = fields[7], fields[8], fields[9], end64
    if start + size != position:
        raise Refused("damaged: the zip directory does not end where the archive does")
    if count == 0:
        raise Refused("an empty zip archive")
    if count > MAX_MEMBERS:
        raise Refused(f"the archive claims {count:,} members; models have a handful")
    return start, size, count


def _central_records(source: Source, start: int, size: int, count: int) -> Iterator[Member]:
    if size > MAX_JSON:
        raise Refused("damaged: the zip directory is larger than any model's")
    table = source.read(start, size)
    at = 0
    for _ in range(count):
        if at + CENTRAL.size > size:
            raise Refused("damaged: the zip directory is cut short")
        (signature, made, needed, flags, method, time, date, crc, packed, full, name_length, extra_length,
         comment_length, _, internal, external, header) = CENTRAL.unpack_from(table, at)  # fmt: skip
        if signature != b"PK\1\2":
            raise Refused("damaged: the zip directory has a record with another signature")
        at += CENTRAL.size
        raw_name = table[at : at + name_length]
        extra = table[at + name_length : at + name_length + extra_length]
        comment = table[at + name_length + extra_length : at + name_length + extra_length + comment_length]
        at += name_length + extra_length + comment_length
        name = raw_name.decode("utf-8" if flags & UTF8 else "cp437", errors="surrogateescape")
        extra, (full, packed, header) = _without_zip64(extra, [full, packed, header])
        yield Member(name, raw_name, method, flags, crc, packed, full, header, 0, (time, date), (made, needed),
                     (internal, external), extra, comment)  # fmt: skip
    if at != size:
        raise Refused("damaged: the zip directory holds more than its records")


def _without_zip64(extra: bytes, values: list[int]) -> tuple[bytes, list[int]]:
    """Other extra fields, and `values` with those that overflowed 32 bits read from the zip64 field."""
    kept, at = b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if kind == ZIP64_EXTRA:
            for i, value in enumerate(values):
                if value == FULL32 and len(body) >= 8:
                    values[i], body = int.from_bytes(body[:8], "little"), body[8:]
        else:
            kept += extra[at : at + 4 + length]
        at += 4 + length
    return kept, values


def _with_data_offset(source: Source, member: Member) -> Member:
    """The member with the offset of its bytes, once its local header says the same as the directory."""
    what = f"member {member.name!r}"
    if member.header + LOCAL.size > source.size:
        raise Refused(f"damaged: {what} starts beyond the end of the file")
    (signature, _, flags, method, _, _, crc, packed, full, name_length, extra_length) = LOCAL.unpack(
        source.read(member.header, LOCAL.size)
    )
    if signature != b"PK\3\4":
        raise Refused(f"damaged: no header where {what} should start")
    rest = source.read(member.header + LOCAL.size, name_length + extra_length)
    _, (full, packed) = _without_zip64(rest[name_length:], [full, packed])
    if member.flags & ENCRYPTED:
        raise Refused(f"{what} is encrypted")
    deferred = flags & DESCRIPTOR and not (crc or packed or full)
    if rest[:name_length] != member.raw_name or method != member.method or flags != member.flags:
        raise Refused(f"damaged: {what} has two headers that contradict each other")
    if not deferred and (crc, packed, full) != (member.crc, member.packed, member.size):
        raise Refused(f"damaged: {what} has two headers that contradict each other about its size")
    if member.method == STORED and member.packed != member.size:
        raise Refused(f"damaged: {what} is stored in {member.packed} bytes but claims {member.size}")
    return replace(member, data=member.header + LOCAL.size + name_length + extra_length)


def _refuse_overlaps(members: tuple[Member, ...], directory: int) -> None:
    if members[0].header != 0:
        raise Refused("something comes before the archive's first member: not a plain .keras file")
    ends = [member.header for member in members[1:]] + [directory]
    for member, end in zip(members, ends, strict=True):
        if member.data + member.packed > end:
            raise Refused(f"damaged: member {member.name!r} runs into what follows it")


def member_bytes(source: Source, member: Member) -> bytes:
    """The unpacked bytes of a small member (JSON), checked against its checksum.

    Raises:
        Refused: too large for what it is, an unknown compression, or damaged.
    """
    if member.size > MAX_JSON or member.packed > MAX_JSON:
        raise Refused(f"member {member.name!r} claims {member.size:,} bytes; the limit is {MAX_JSON:,}")
    data = b"".join(_unpacked(source, member))
    if isal_zlib.crc32(data) != member.crc:
        raise Refused(f"damaged: the archive's checksum of {member.name} does not match its bytes")
    return data


def verify(source: Source, members: Sequence[Member]) -> None:
    """Unpack compressed members and throw their bytes away.

    Raises:
        Refused: a checksum is wrong, or all of them together are a bomb.
    """
    packed = [member for member in members if member.method != STORED]
    total, stored = sum(member.size for member in packed), sum(member.packed for member in packed)
    if total > MAX_INFLATED_FLOOR and total > MAX_INFLATED_RATIO * stored:
        raise Refused(f"its compressed members would unpack {stored:,} bytes to {total:,}: a zip bomb")
    with open(os.devnull, "wb") as nothing:
        for member in packed:
            unpack(source, member, nothing)


def unpack(source: Source, member: Member, target: BinaryIO) -> None:
    """Write a compressed member's bytes to `target`, block by block; Refused as for `member_bytes`, or if a bomb."""
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
    """Blocks of a member's unpacked bytes, never more than its header says."""
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


def new_member(name: str, size: int) -> Member:
    """A member as Keras makes them: stored, dated 1980-01-01, from a Unix system, readable by its owner."""
    midnight_1980 = (0, 1 << 5 | 1)
    return Member(
        name, name.encode(), STORED, 0 if name.isascii() else UTF8, 0, size, size, 0, 0, midnight_1980,
        (3 << 8 | 20, 20), (0, 0o600 << 16), b"", b"",
    )  # fmt: skip


def local_header(member: Member) -> bytes:
    """The header before a member's bytes in a new archive, of the same length whatever its checksum."""
    large = member.size >= FULL32 or member.packed >= FULL32
    extra = struct.pack("<2H2Q", ZIP64_EXTRA, 16, member.size, member.packed) if large else b""
    sizes = (FULL32, FULL32) if large else (member.packed, member.size)
    needed = max(member.versions[1], 45 if large else 20)
    return (
        LOCAL.pack(
            b"PK\3\4",
            needed,
            member.flags & ~DESCRIPTOR,
            member.method,
            *member.modified,
            member.crc,
            *sizes,
            len(member.raw_name),
            len(extra),
        )
        + member.raw_name
        + extra
    )


def directory(members: list[Member], start: int) -> bytes:
    """The central directory of `members`, at `start`, and the archive's end."""
    table = b"".join(_central_record(member) for member in members)
    end64 = b""
    if start + len(table) >= FULL32 or len(members) >= FULL16:
        end64 = END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, len(members), len(members), len(table), start)
        end64 += LOCATOR.pack(b"PK\6\7", 0, start + len(table), 1)
    count, size, offset = min(len(members), FULL16), min(len(table), FULL32), min(start, FULL32)
    return table + end64 + END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)


def _central_record(member: Member) -> bytes:
    values = [member.size, member.packed, member.header]
    large = [value for value in values if value >= FULL32]
    extra = struct.pack(f"<2H{len(large)}Q", ZIP64_EXTRA, 8 * len(large), *large) if large else b""
    extra += member.extra
    size, packed, header = (min(value, FULL32) for value in values)
    made, needed = member.versions
    return (
        CENTRAL.pack(
            b"PK\1\2",
            made,
            max(needed, 45 if large else 20),
            member.flags & ~DESCRIPTOR,
            member.method,
            *member.modified,
            member.crc,
            packed,
            size,
            len(member.raw_name),
            len(extra),
            len(member.comment),
            0,
            *member.attributes,
            header,
        )
        + member.raw_name
        + extra
        + member.comment
    )
