"""The records of a zip archive: their layouts, and what is known of one member.

Source: PKWARE APPNOTE 6.3. All numbers are little-endian.
"""

from __future__ import annotations

import struct

from wtool.values import dataclass

STORED, DEFLATED = 0, 8
"""The two methods of compression that wtool reads: none, and deflate."""

ENCRYPTED, DESCRIPTOR, UTF8 = 0x1, 0x8, 0x800
"""Flag bits: the member is encrypted; its sizes follow its bytes; its name is in UTF-8 and not in code page 437."""

KNOWN_FLAGS = 0x2 | 0x4 | DESCRIPTOR | UTF8
"""Flag bits that every reader takes alike; 0x2 and 0x4 tell how hard deflate tried."""

NEWEST_VERSION = 63
"""The newest version of the zip format that `zipfile` reads; it lists no archive with a member of a newer one."""

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")
END64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
"""Values that stand for numbers with no room in a field: the zip64 records then hold the number."""

ZIP64_EXTRA, UNICODE_PATH_EXTRA = 1, 0x7075
COMMENT = 0xFFFF
"""Largest size of the comment behind an end record, in bytes: how far from the end of a file readers look for one."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Attributes:
        name: its decoded name.
        raw_name: its name as the archive has it.
        method: its method of compression.
        flags: its flag bits.
        crc: the CRC-32 of its unpacked bytes.
        packed: how many bytes it takes in the archive.
        size: how many bytes it has when it is unpacked.
        header: where its local header starts.
        data: where its (compressed) bytes start; 0 for a member that is yet to be written.
        modified: MS-DOS time and date.
        versions: the format's version that made it, and the one that reading it needs.
        attributes: internal and external file attributes.
        extra: its extra fields without that of zip64.
        comment: its comment.
    """

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
