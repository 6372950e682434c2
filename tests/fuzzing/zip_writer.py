"""Zip archives byte by byte, so that their headers can say anything."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

LOCAL_FIELDS = ("needed", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length")
CENTRAL_FIELDS = (
    "made", "needed", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length",
    "comment_length", "disk", "internal", "external", "header",
)  # fmt: skip
NARROW = {"crc", "packed", "size", "external", "header"}


@dataclass(frozen=True)
class Entry:
    """A member; `local` and `central` override fields of its two headers."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    behind: bytes = b""
    local: Mapping[str, int] = field(default_factory=dict)
    central: Mapping[str, int] = field(default_factory=dict)

    def changed(self, **values: object) -> Entry:
        """The same member with other values."""
        return replace(self, **values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class End:
    """The end of an archive; numbers are added to what would be right."""

    comment: bytes = b""
    comment_length: int = 0
    count: int = 0
    size: int = 0
    start: int = 0
    zip64: bool = False
    locator: int = 0
    record_size: int = 0
    start64: int = 0
    between: bytes = b""
    honest: bool = True


def packed(entry: Entry) -> bytes:
    """The bytes that are stored."""
    if entry.method != 8:
        return entry.data
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(entry.data) + deflate.flush()


def archive(entries: Sequence[Entry], end: End | None = None, prefix: bytes = b"", tail: bytes = b"") -> bytes:
    """An archive; without overrides, one that every reader reads."""
    end = end or End()
    body, directory = bytearray(prefix), bytearray()
    for entry in entries:
        raw = packed(entry)
        values = {
            "made": 3 << 8 | 20, "needed": 20, "flags": entry.flags, "method": entry.method, "time": 0, "date": 33,
            "crc": zlib.crc32(entry.data), "packed": len(raw), "size": len(entry.data), "name_length": len(entry.name),
            "comment_length": len(entry.comment), "disk": 0, "internal": 0, "external": 0o600 << 16,
            "header": len(body),
        }  # fmt: skip
        local_name = entry.name if entry.local_name is None else entry.local_name
        local = {**values, "name_length": len(local_name), "extra_length": len(entry.local_extra), **entry.local}
        central = {**values, "extra_length": len(entry.central_extra), **entry.central}
        body += b"PK\3\4" + _fields(LOCAL_FIELDS, local) + local_name + entry.local_extra + raw + entry.behind
        directory += b"PK\1\2" + _fields(CENTRAL_FIELDS, central) + entry.name + entry.central_extra + entry.comment
    return bytes(body + directory + _end(end, len(entries), len(directory), len(body)) + tail)


def _fields(names: Sequence[str], values: Mapping[str, int]) -> bytes:
    return b"".join(
        struct.pack("<I", values[name] & 0xFFFFFFFF) if name in NARROW else struct.pack("<H", values[name] & 0xFFFF)
        for name in names
    )


def _end(end: End, count: int, size: int, start: int) -> bytes:
    out = b""
    if end.zip64:
        here = start + size
        out += b"PK\6\6" + struct.pack(
            "<Q2H2I4Q", 44 + end.record_size, 45, 45, 0, 0, count, count, size, start + end.start64
        )
        out += end.between + b"PK\6\7" + struct.pack("<IQI", 0, (here + end.locator) % (1 << 64), 1)
    if end.zip64 and end.honest:
        count, size, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    numbers = (count + end.count) & 0xFFFF, (count + end.count) & 0xFFFF, (size + end.size) & 0xFFFFFFFF
    comment_length = len(end.comment) + end.comment_length & 0xFFFF
    out += b"PK\5\6" + struct.pack("<4H2IH", 0, 0, *numbers, (start + end.start) & 0xFFFFFFFF, comment_length)
    return out + end.comment
