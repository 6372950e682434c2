"""Writing a checkpoint of the same structure: the base's bytes in one pass, with those of some tensors replaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from isal import isal_zlib

from wtool.checkpoint.lineage import KEY, UNHASHED, Record, lineage_json, lineage_text, with_result
from wtool.checkpoint.model import GZIP, Checkpoint
from wtool.checkpoint.seal import Seal, put_hash
from wtool.checkpoint.structure import structure_text
from wtool.errors import Refused, WtoolError
from wtool.hdf5.attribute_writer import with_root_attribute
from wtool.hdf5.limits import MAX_ATTRIBUTES
from wtool.io.drafts import Draft, new_draft
from wtool.io.json_text import parse_object, refuse_unreadable
from wtool.io.limits import MAX_MEMBERS
from wtool.io.places import Target
from wtool.io.source import Source, copy
from wtool.io.stream import RegionCopy
from wtool.io.zip_format import DESCRIPTOR, STORED, UTF8, Member
from wtool.io.zip_writer import directory, local_header, new_member
from wtool.schema.archive_members import CONFIG, METADATA, WEIGHTS
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.casting import Casts

ATTRIBUTE_HEAP = 8192  # bytes that an attribute takes of the limit besides its text, which counts in its heap too
LOCAL_CRC = 14  # where a local header keeps its checksum


class Rewrite(Protocol):
    """A new checkpoint being written. Bytes are replaced in ascending order of shard and offset."""

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        """Write `data` in the place of the bytes from `offset` on of one of the base's HDF5 files."""

    def copy_rest(self) -> None:
        """Copy the rest of the base."""

    def publish(self, lineage: Sequence[Record]) -> None:
        """Write the lineage with the seal of the result, and give the new file its name.

        The text of the lineage must not be longer than the one announced.
        """


def rewrite(
    base: Checkpoint,
    target: Target,
    lineage: Sequence[Record],
    stack: ExitStack,
    texts: Mapping[str, bytes] | None = None,
    names: Mapping[str, str] | None = None,
    casts: Casts | None = None,
) -> Rewrite:
    """Start writing a copy of `base` to `target`, in the base's format.

    Args:
        base: stays open until the copy is published.
        target: where the copy goes.
        lineage: as it will be in the end, but for the values of content hashes and counts, which must not be shorter
            than these will be: an archive holds it in front.
        stack: throws the draft away when it closes.
        texts: members of an archive with other contents than in the base.
        names: members of an archive with other names than in the base: old -> new.
        casts: arrays that get another number type.

    Raises:
        WtoolError: the target cannot be written.
    """
    if base.is_edited and base.format == "keras":
        assert base.config is not None
        texts = {CONFIG: structure_text(base.config), **(texts or {})}
    if casts or is_repacked(base):
        # Imported late: most files are not packed.
        from wtool.checkpoint.repacking import Repacking

        return Repacking(base, casts or {}, lambda made: rewrite(made, target, lineage, stack, texts, names), stack)
    announced = with_result(lineage, UNHASHED)
    if base.format == "weights.json":
        from wtool.checkpoint.sharding import Shards

        return Shards(base, target, announced, stack)
    draft = stack.enter_context(new_draft(target, in_order=True))
    if base.format == "keras":
        return _Archive(base, draft, announced, texts or {}, names or {})
    if base.format == "safetensors":
        from wtool.checkpoint.safetensors_rewrite import HeaderAndData

        return HeaderAndData(base, draft, announced)
    return _Hdf5(base, draft, announced)


def is_repacked(base: Checkpoint) -> bool:
    """Returns whether new HDF5 files have to be made where a copy of a checkpoint is written."""
    is_hdf5 = base.format != "safetensors"
    return is_hdf5 and (base.is_edited or base.compression == GZIP or any(index.stored for index in base.indexes))


@dataclass(frozen=True, slots=True)
class _Patch:
    offset: int
    data: bytes


class _Hdf5:
    """Writes a whole-model `.h5` or a weights file; the lineage is a root attribute, written behind the old bytes."""

    def __init__(self, base: Checkpoint, draft: Draft, lineage: Sequence[Record]) -> None:
        text = lineage_text(lineage)
        refuse_unreadable(f'{{"{KEY}": {text}}}', f"attribute {KEY}")
        if base.indexes[0].attributes + 2 * len(text) + ATTRIBUTE_HEAP > MAX_ATTRIBUTES:
            raise WtoolError(
                f"nothing was written, since its attributes would take more than {MAX_ATTRIBUTES >> 20} MiB"
            )
        self._region = base.regions[0]
        self._draft = draft
        self._seal = Seal()
        self._whole = self._seal.part("")
        self._stream = RegionCopy(self._region, draft.file, self._whole.update)
        self._length = len(lineage_text(lineage))
        self._stays, _, replaced = self._with(lineage)
        for offset, data in replaced:
            self._stream.replace(offset, data)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        self._stream.replace(offset, data)

    def copy_rest(self) -> None:
        self._stream.copy_to(self._stays)

    def publish(self, lineage: Sequence[Record]) -> None:
        _, tail, _ = self._with(with_result(lineage, UNHASHED))
        self._whole.update(tail)
        self._draft.file.write(put_hash(tail, UNHASHED, self._seal.hash()))
        self._draft.publish()

    def _with(self, lineage: Sequence[Record]) -> tuple[int, bytes, list[tuple[int, bytes]]]:
        """Returns how many of the old bytes stay, the bytes behind these, and replacements of the announced length."""
        text = padded(lineage_text(lineage), self._length)
        return with_root_attribute(self._region.read, self._region.size, KEY, text)


def padded(text: str, length: int) -> str:
    """Returns JSON of the announced length; blanks may stand at the end of JSON."""
    if len(text) > length:
        raise AssertionError("the lineage is longer than it was announced")
    return text.ljust(length)


class _Archive:
    """Writes a `.keras` archive: members in their old order, weights stored, the lineage in `metadata.json`."""

    def __init__(
        self,
        base: Checkpoint,
        draft: Draft,
        lineage: Sequence[Record],
        texts: Mapping[str, bytes],
        names: Mapping[str, str],
    ) -> None:
        self._base = base
        self._draft = draft
        self._file = draft.file
        self._texts = texts
        self._names = names
        self._written: list[Member] = []
        self._checksums: list[_Patch] = []  # of members that nobody has told a checksum of
        self._seal = Seal()
        self._metadata = metadata_text(base, lineage)
        refuse_unreadable(self._metadata, METADATA)
        if CONFIG in texts:
            refuse_unreadable(texts[CONFIG], CONFIG)
        there = [member.name for member in base.members]
        if METADATA not in there and len(there) == MAX_MEMBERS:
            raise WtoolError(f"nothing was written: it has {MAX_MEMBERS:,} members, and no room for a {METADATA}")
        if METADATA not in there:
            self._begin(new_member(METADATA, len(self._metadata)))
            self._draft.reserve(len(self._metadata))
            self._file.write(self._metadata.encode())
        at = there.index(WEIGHTS)
        for member in base.members[:at]:
            self._copy(member)
        self._rest = base.members[at + 1 :]
        self._weights = len(self._written)
        region = base.regions[0]
        weights = base.members[at]
        in_place = region.source is base.sources[0] and weights.data > weights.header  # a new member has no place yet
        self._begin(weights if in_place else _stored(weights, region.size), in_place)
        self._stream = RegionCopy(region, self._file, self._seal.part(WEIGHTS).update)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        self._stream.replace(offset, data)

    def copy_rest(self) -> None:
        self._stream.copy_rest()
        for member in self._rest:
            self._copy(member)

    def publish(self, lineage: Sequence[Record]) -> None:
        unsealed = padded(metadata_text(self._base, with_result(lineage, UNHASHED)), len(self._metadata)).encode()
        self._seal.part(METADATA).update(unsealed)
        metadata = put_hash(unsealed, UNHASHED, self._seal.hash())
        patches = [*self._checksums, self._with_crc(self._weights, self._stream.crc)]
        at = next(i for i, member in enumerate(self._written) if member.name == METADATA)
        patches += [_Patch(self._written[at].data, metadata), self._with_crc(at, isal_zlib.crc32(metadata))]
        self._file.write(directory(self._written, self._file.tell()))
        for patch in patches:
            self._draft.patch(patch.offset, patch.data)
        self._draft.publish()

    def _copy(self, member: Member) -> None:
        text = self._metadata.encode() if member.name == METADATA else self._texts.get(member.name)
        renamed = _renamed(member, self._names.get(member.name, member.name))
        if text is not None:
            is_patched = member.name == METADATA
            self._begin(replace(_stored(renamed, len(text)), crc=isal_zlib.crc32(text)), is_patched=is_patched)
            self._draft.reserve(len(text) if is_patched else 0)
            self._write(renamed.name)(text)
            return
        has_parts = bool(self._base.parts)
        self._begin(renamed, keep_header=renamed is member and not has_parts, is_patched=has_parts)
        write = self._write(self._written[-1].name)
        if has_parts:
            self._copy_part(self._base.parts[member.name], write)
        else:
            copy(self._base.sources[0], member.data, member.data + member.packed, write)

    def _copy_part(self, source: Source, write: Callable[[bytes | memoryview], object]) -> None:
        """Copy a file of an unzipped model, whose checksum is not known yet."""
        crc = 0

        def checked(data: memoryview) -> None:
            nonlocal crc
            crc = isal_zlib.crc32(data, crc)
            write(data)

        copy(source, 0, source.size, checked)
        self._checksums.append(self._with_crc(len(self._written) - 1, crc))

    def _write(self, name: str) -> Callable[[bytes | memoryview], object]:
        """Write bytes of a member, and feed the seal; metadata, which holds the seal, does so in the end."""
        if name == METADATA:
            return self._file.write
        part = self._seal.part(name)

        def write(data: bytes | memoryview) -> None:
            part.update(data)
            self._file.write(data)

        return write

    def _begin(self, member: Member, keep_header: bool = False, is_patched: bool = True) -> None:
        """Write a member's header: the old one to the byte if it has the sizes and they stay, else a new one.

        Args:
            member: whose header it is.
            keep_header: whether the old one is kept.
            is_patched: whether the checksum in the header is known at the end only.
        """
        at = self._file.tell()
        if keep_header and not member.flags & DESCRIPTOR:
            header = self._base.sources[0].read(member.header, member.data - member.header)
        else:
            header = local_header(member)
        self._draft.reserve(len(header) if is_patched else 0)
        self._file.write(header)
        self._written.append(replace(member, header=at, data=at + len(header)))

    def _with_crc(self, at: int, crc: int) -> _Patch:
        self._written[at] = replace(self._written[at], crc=crc)
        return _Patch(self._written[at].header + LOCAL_CRC, crc.to_bytes(4, "little"))


def _renamed(member: Member, name: str) -> Member:
    """Returns a member with another name; the member itself where the name is its own."""
    if name == member.name:
        return member
    flags = member.flags if name.isascii() else member.flags | UTF8
    return replace(member, name=name, raw_name=name.encode(), flags=flags)


def _stored(member: Member, size: int) -> Member:
    return replace(member, method=STORED, packed=size, size=size)


def metadata_text(base: Checkpoint, lineage: Sequence[Record]) -> str:
    """Returns the new text of `metadata.json`; an old one that is no JSON object is replaced, as nobody can read it."""
    try:
        old = parse_object(base.texts[METADATA], METADATA) if METADATA in base.texts else {}
    except Refused:
        old = {}
    old.pop(KEY, None)  # the lineage comes last, with its seal at its end
    return json.dumps({**old, KEY: lineage_json(lineage)})
