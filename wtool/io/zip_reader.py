"""The directory of a zip archive: its members, checked.

The checks are stricter than zip readers have to be, since two readers must not see two archives in one file. Sources:
PKWARE APPNOTE 6.3, and `zipfile` of Python 3.10 to 3.14. `zip_names` says which names members may have.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import replace

from wtool.errors import Differs, Refused
from wtool.io.limits import MAX_DIRECTORY, MAX_MEMBERS
from wtool.io.source import Source
from wtool.io.zip_format import (
    CENTRAL,
    COMMENT,
    DESCRIPTOR,
    ENCRYPTED,
    END,
    END64,
    FULL16,
    FULL32,
    KNOWN_FLAGS,
    LOCAL,
    LOCATOR,
    NEWEST_VERSION,
    STORED,
    UNICODE_PATH_EXTRA,
    ZIP64_EXTRA,
    Member,
)
from wtool.io.zip_names import check_names, decoded_name


def read_members(source: Source, known: Collection[str]) -> tuple[Member, ...]:
    """Returns the members in the order of their bytes.

    Args:
        source: the archive.
        known: names that readers of this kind of archive ask for: no other member may be taken for one of them.

    Raises:
        Differs: readers could disagree, since a name stands twice or can be read in two ways, there are two
            directories, or junk stands around the archive.
        Refused: members overlap, are encrypted or have impossible sizes, or a local header contradicts the directory.
    """
    start, size, count = _directory(source)
    members = sorted(_central_records(source, start, size, count), key=lambda member: member.header)
    check_names([member.name for member in members], known)
    located = tuple(_with_data_offset(source, member) for member in members)
    _refuse_overlaps(located, start)
    return located


def _directory(source: Source) -> tuple[int, int, int]:
    """Returns start, size and number of records of the central directory."""
    position = source.size - END.size
    record = source.read(position, END.size) if position >= 0 else b""
    if record[:4] != b"PK\5\6":
        raise Refused("damaged: cut short, or something follows the archive's end (it should end with a zip directory)")
    _, disk, start_disk, here, count, size, start, comment = END.unpack(record)
    if comment or disk or start_disk or here != count:
        raise Differs("a zip archive in parts or with a comment, which no model has")
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
    """Returns number of records, size and start of the directory by the zip64 record, and where that record is.

    Some readers look for the record right before its locator, others where the locator says; some believe the record
    in any case, others only where a field of the old end record has no room. So all of these ways have to lead to the
    same directory.
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
    """Returns whether `zipfile` would find a directory of members in this file, whatever the file begins with.

    `zipfile` looks for the last end record in the last 64 KiB. In one of 65,000 files of random bytes the record's
    four-byte signature stands there by accident; where a directory stands at the place that the record names, it is
    no accident.
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
    """Yields start and size of every place where a reader would look for the directory of this end record."""
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
    """Yields the members that the directory lists; where their bytes start is not known from it (`data` is 0)."""
    if size > MAX_DIRECTORY:
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
        name = decoded_name(raw_name, flags)
        if disk or flags & ~(KNOWN_FLAGS | ENCRYPTED) or needed & 0xFF > NEWEST_VERSION:
            raise Differs(f"member {name!r} uses features of zip archives that only some readers know")
        extra, (full, packed, header) = _without_zip64(extra, [full, packed, header], name)
        yield Member(name, raw_name, method, flags, crc, packed, full, header, 0, (time, date), (made, needed),
                     (internal, external), extra, comment)  # fmt: skip
    if at != size:
        raise Refused("damaged: the zip directory holds more than its records")


def _without_zip64(extra: bytes, values: list[int], name: str) -> tuple[bytes, list[int]]:
    """Returns the other extra fields, and `values` with those that overflowed 32 bits as the zip64 field says."""
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
    """Returns the member with the offset of its bytes; its local header has to agree with the directory."""
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
    # A writer to a pipe knows the sizes too late for the local header: it leaves zeros there, and a descriptor behind.
    deferred = flags & DESCRIPTOR and not (crc or packed or full)
    if rest[:name_length] != member.raw_name or method != member.method or flags != member.flags:
        raise Refused(f"damaged: {what} has two headers that contradict each other")
    if not deferred and (crc, packed, full) != (member.crc, member.packed, member.size):
        raise Refused(f"damaged: {what} has two headers that contradict each other about its size")
    if member.method == STORED and member.packed != member.size:
        raise Refused(f"damaged: {what} is stored in {member.packed} bytes but claims {member.size}")
    return replace(member, data=member.header + LOCAL.size + name_length + extra_length)


def _refuse_overlaps(members: tuple[Member, ...], directory: int) -> None:
    """Refuse members that share bytes, so that every byte of the archive belongs to one member at most."""
    if members[0].header != 0:
        raise Refused("something comes before the archive's first member")
    ends = [member.header for member in members[1:]] + [directory]
    for member, end in zip(members, ends, strict=True):
        if member.data + member.packed > end:
            raise Refused(f"damaged: member {member.name!r} runs into what follows it")
