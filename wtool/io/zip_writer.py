"""The records of a new zip archive: headers of members, and the directory at the end."""

from __future__ import annotations

import struct

from wtool.io.zip_format import (
    CENTRAL,
    DESCRIPTOR,
    END,
    END64,
    FULL16,
    FULL32,
    LOCAL,
    LOCATOR,
    STORED,
    UTF8,
    ZIP64_EXTRA,
    Member,
)

ZIP64_VERSION, PLAIN_VERSION = 45, 20
"""Versions of the zip format that reading needs: with zip64 records, and without."""


def new_member(name: str, size: int) -> Member:
    """Returns a member that is stored, dated 1980-01-01, from a Unix system and readable by its owner alone.

    These are the values of Python's `zipfile.ZipInfo`, with which the archives that wtool edits were written.

    Args:
        name: the member's name.
        size: how many bytes it will hold.
    """
    midnight_1980 = (0, 1 << 5 | 1)
    return Member(
        name, name.encode(), STORED, 0 if name.isascii() else UTF8, 0, size, size, 0, 0, midnight_1980,
        (3 << 8 | 20, 20), (0, 0o600 << 16), b"", b"",
    )  # fmt: skip


def local_header(member: Member) -> bytes:
    """Returns the header before a member's bytes.

    Its length does not depend on the checksum, which is known only after the bytes were written and is then patched in.
    """
    large = member.size >= FULL32 or member.packed >= FULL32
    extra = struct.pack("<2H2Q", ZIP64_EXTRA, 16, member.size, member.packed) if large else b""
    sizes = (FULL32, FULL32) if large else (member.packed, member.size)
    needed = max(member.versions[1], ZIP64_VERSION if large else PLAIN_VERSION)
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
    """Returns the end of an archive: the central directory of its members and the end records.

    Args:
        members: the members in the order of their bytes, with their places and checksums.
        start: offset in the archive at which the directory begins.
    """
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
            max(needed, ZIP64_VERSION if large else PLAIN_VERSION),
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
