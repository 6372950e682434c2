"""The zip archive that a `.keras` file is: its members, checked, and the headers of a new one.

Stricter than zip readers have to be: two readers must not see two archives. Sources: PKWARE APPNOTE 6.3, and `zipfile`
of Python 3.10 to 3.14, with which Keras reads. What the names of members may be is in `zip_names`.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from isal import isal_zlib

from wtool.errors import Differs, Refused
from wtool.io.limits import MAX_INFLATED_FLOOR, MAX_INFLATED_RATIO, MAX_JSON, MAX_MEMBERS
from wtool.io.source import STREAM_BLOCK, Source
from wtool.io.zip_names import UTF8, check_names, decoded

STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIPTOR = 0x1, 0x8
KNOWN_FLAGS = 0x2 | 0x4 | DESCRIPTOR | UTF8
"""Flag bits that every reader takes alike; 0x2 and 0x4 tell how hard deflate tried."""

NEWEST_VERSION = 63
"""Of the zip format, that `zipfile` reads; it lists no archive with a member of a newer one."""

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
ZIP64_EXTRA, UNICODE_PATH_EXTRA = 1, 0x7075
COMMENT = 0xFFFF
"""Bytes that the comment behind an end record may have: how far from the end of a file readers look for one."""


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
        Differs: readers could disagree: names twice or read in two ways, two directories, junk around the archive.
        Refused: overlaps, local headers that contradict the directory, encryption, impossible sizes.
    """
    start, size, count = _directory(source)
    members = sorted(_central_records(source, start, size, count), key=lambda member: member.header)
    check_names([member.name for member in members])
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
        raise Differs("a zip archive in parts or with a comment, which Keras never writes")
    if position >= LOCATOR.size:
        locator = source.read(position - LOCATOR.size, LOCATOR.size)
        if locator[:4] == b"PK\6\7":
            (count, size, start), position = _directory64(source, locator, position, (count, size, start))
    if start + size != position:
        raise Refused("damaged: the zip directory does not end where the archive does")
    if count == 0:
        raise Refused("an empty zip archive")
    if count > MAX_MEMBERS:
        raise Refused(f"the archive claims {count:,} members; models have a handful")
    return start, size, count


def _directory64(
    source: Source, locator: bytes, position: int, said: tuple[int, int, int]
) -> tuple[tuple[int, int, int], int]:
    """Number of records, size and start of the directory by the zip64 record, and where that record is.

    Some readers look for it right before its locator, others where the locator says; some believe it in any case,
    others only where the old record has no room. So all of these have to come to the same.
    """
    _, disk, record_at, disks = LOCATOR.unpack(locator)
    if disk or disks != 1 or record_at + END64.size != position - LOCATOR.size:
        raise Differs("damaged: the zip64 directory end is not where it should be")
    signature, length, _, _, disk, start_disk, here, count, size, start = END64.unpack(
        source.read(record_at, END64.size)
    )
    if signature != b"PK\6\6" or length != END64.size - 12 or disk or start_disk or here != count:
        raise Differs("damaged: the zip64 directory end is not one that every reader understands")
    for old, new, full in zip(said, (count, size, start), (FULL16, FULL32, FULL32), strict=True):
        if old not in (new, full):
            raise Differs("damaged: two records of the archive's end contradict each other")
    return (count, size, start), record_at


def opens_as_zip(source: Source) -> bool:
    """Whether `zipfile` would find a directory of members in this file, whatever it begins with.

    It looks for the last end record in the last 64 KiB. Four bytes there are an accident in one of 65,000 files of
    weights; with a directory where the record says, they are none.
    """
    start = max(0, source.size - END.size - COMMENT)
    tail = source.read(start, source.size - start)
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if len(tail) - at >= END.size and any(_is_directory(source, *place) for place in _places(source, start + at)):
            return True
        at = tail.rfind(b"PK\5\6", 0, at)
    return False


def _places(source: Source, end: int) -> Iterator[tuple[int, int]]:
    """Where readers would look for the directory of this end record: start and size."""
    size = END.unpack(source.read(end, END.size))[5]
    yield end - size, size
    if end < LOCATOR.size or source.read(end - LOCATOR.size, 4) != b"PK\6\7":
        return
    named = LOCATOR.unpack(source.read(end - LOCATOR.size, LOCATOR.size))[2]
    for record in {end - LOCATOR.size - END64.size, named}:
        if 0 <= record <= source.size - END64.size:
            fields = END64.unpack(source.read(record, END64.size))
            yield record - fields[8], fields[8]
            yield fields[9], fields[8]


def _is_directory(source: Source, start: int, size: int) -> bool:
    return 0 <= start <= source.size - CENTRAL.size and size >= CENTRAL.size and source.read(start, 4) == b"PK\1\2"


def _central_records(source: Source, start: int, size: int, count: int) -> Iterator[Member]:
    if size > MAX_JSON:
        raise Refused("damaged: the zip directory is larger than any model's")
    table = source.read(start, size)
    at = 0
    for _ in range(count):
        if at + CENTRAL.size > size:
            raise Refused("damaged: the zip directory is cut short")
        (signature, made, needed, flags, method, time, date, crc, packed, full, name_length, extra_length,
         comment_length, disk, internal, external, header) = CENTRAL.unpack_from(table, at)  # fmt: skip
        if signature != b"PK\1\2":
            raise Refused("damaged: the zip directory has a record with another signature")
        at += CENTRAL.size
        raw_name = table[at : at + name_length]
        extra = table[at + name_length : at + name_length + extra_length]
        comment = table[at + name_length + extra_length : at + name_length + extra_length + comment_length]
        at += name_length + extra_length + comment_length
        name = decoded(raw_name, flags)
        if disk or flags & ~(KNOWN_FLAGS | ENCRYPTED) or needed & 0xFF > NEWEST_VERSION:
            raise Differs(f"member {name!r} uses features of zip archives that only some readers know")
        extra, (full, packed, header) = _without_zip64(extra, [full, packed, header], name)
        yield Member(name, raw_name, method, flags, crc, packed, full, header, 0, (time, date), (made, needed),
                     (internal, external), extra, comment)  # fmt: skip
    if at != size:
        raise Refused("damaged: the zip directory holds more than its records")


def _without_zip64(extra: bytes, values: list[int], name: str) -> tuple[bytes, list[int]]:
    """Other extra fields, and `values` with those that overflowed 32 bits read from the zip64 field."""
    kept, at, seen = b"", 0, False
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if len(body) < length or (kind == ZIP64_EXTRA and seen):
            raise Differs(f"damaged: the extra fields of member {name!r} are cut short, or say a size twice")
        if kind == UNICODE_PATH_EXTRA:
            raise Differs(f"member {name!r} has a second name in its extra fields, which only some readers follow")
        if kind == ZIP64_EXTRA:
            seen = True
            for i, value in enumerate(values):
                if value == FULL32:
                    if len(body) < 8:
                        raise Differs(f"damaged: the zip64 field of member {name!r} is cut short")
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
    _, (full, packed) = _without_zip64(rest[name_length:], [full, packed], member.name)
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
