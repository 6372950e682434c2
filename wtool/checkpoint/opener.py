"""The one opener: from a path to an open checkpoint, decided by what the file holds and never by its suffix."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO

from blake3 import blake3

from wtool.checkpoint import foreign
from wtool.checkpoint import unzipped as folders
from wtool.checkpoint.inputs import ALL, FITTING, extension
from wtool.checkpoint.layouts import keras3, legacy
from wtool.checkpoint.layouts.shards import beside, merged, shard_map, shard_names, with_shards
from wtool.checkpoint.lineage import lineage_in
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.optimizer.lost import noted
from wtool.errors import Differs, Note, Refused, WtoolError
from wtool.hdf5.limits import MAX_METADATA
from wtool.hdf5.reader import SIGNATURE, Index, NotPlain, Value, possible_starts, read_index
from wtool.io.json_text import parse_as_python, parse_object
from wtool.io.source import Region, Source
from wtool.io.zip_format import STORED, Member
from wtool.io.zip_reader import opens_as_zip, read_members
from wtool.io.zip_unpack import member_bytes, unpack
from wtool.schema.archive_members import CONFIG, KNOWN, METADATA, OTHER_WEIGHTS, WEIGHTS

TWO_WEIGHTS = f"holds both {WEIGHTS} and {OTHER_WEIGHTS}: no telling which is meant"
OPTIMIZER_GROUPS = ("optimizer", "optimizer_weights")


def open_checkpoint(path: str, like: Checkpoint | None = None, drop_optimizer: bool = False) -> Checkpoint:
    """Open a saved Keras model or weights file, reading its index but not its weights.

    Args:
        path: a file, or `-` for standard input.
        like: an open checkpoint that probably has the same layout; where it does, its index serves this one too.
        drop_optimizer: leave the optimizer's state out, as if it had never been saved.

    Raises:
        Refused: no Keras model, damaged, or hostile.
        WtoolError: missing or unreadable.
    """
    drop = OPTIMIZER_GROUPS if drop_optimizer else ()
    with ExitStack() as stack:
        try:
            if os.path.isdir(path):
                return _open_folder(path, like, drop, stack)
            source = _adopt(Source(_descriptor(path), path), stack)
            return _by_content(source, like, drop, stack)
        except WtoolError as error:
            raise error.about(path) from None


def _by_content(source: Source, like: Checkpoint | None, drop: tuple[str, ...], stack: ExitStack) -> Checkpoint:
    start = source.read(0, min(8, source.size))
    if start[:4] in (b"PK\3\4", b"PK\5\6"):
        return noted(_open_keras(source, like, drop, stack))
    if start == SIGNATURE or _behind_user_block(source):
        return noted(_open_hdf5(source, like, drop, stack))
    if start.lstrip()[:1] == b"{":
        return _open_shards(source, drop, stack)
    raise Refused(foreign.described(source))


def _name_notes(name: str, kind: str) -> tuple[Note, ...]:
    """What is to be said of a name whose ending promises Keras another format than the file has."""
    ending = extension(name)
    if ending not in ALL or ending in FITTING[kind]:
        return ()
    if ending == ".keras" and kind.startswith("h5"):
        return (Note("HDF5 under a name in .keras, as TensorFlow 2.12 and older wrote it; Keras 3 wants .h5", "note"),)
    return (Note(f"its name ends in {ending}, but its format is {kind}: Keras expects {FITTING[kind][0]}", "odd"),)


class Opener:
    """Opens checkpoints one after the other; the last with another layout stays open, to serve those that follow."""

    def __init__(self) -> None:
        self._last: Checkpoint | None = None

    def open(self, path: str, stack: ExitStack, drop_optimizer: bool = False) -> Checkpoint:
        """Like `open_checkpoint`; `stack` is what closes it, or keeps it from being closed too early."""
        found = open_checkpoint(path, self._last, drop_optimizer)
        if self._last is not None and found.indexes and found.indexes[0] is self._last.indexes[0]:
            return stack.enter_context(found)
        stack.callback(self._keep, found)
        return found

    def _keep(self, checkpoint: Checkpoint) -> None:
        self.close()
        self._last = checkpoint

    def close(self) -> None:
        """Close what is still open."""
        if self._last is not None:
            self._last.close()
            self._last = None

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _adopt(source: Source, stack: ExitStack) -> Source:
    stack.callback(source.close)
    return source


def _descriptor(path: str) -> int:
    if path == "-":
        return _spooled(getattr(sys.stdin, "buffer", None))
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))  # a FIFO must not block
    except (OSError, ValueError) as error:
        raise WtoolError(getattr(error, "strerror", None) or str(error), path) from None


def _spooled(stream: BinaryIO | None) -> int:
    """A descriptor of an unnamed file with all that a stream holds: an archive's index is at its end."""
    if stream is None:
        raise WtoolError("standard input is closed", "-")
    if stream.isatty():
        raise WtoolError("standard input is a terminal; pipe a model in, or name a file", "-")
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, 1 << 20)
        spool.flush()
        return os.dup(spool.fileno())


def _behind_user_block(source: Source) -> int | None:
    """Where HDF5 starts if not at 0: at 512, 1024, ..., behind a block for the user's own purposes."""
    starts = possible_starts(source.size)
    return next((at for at in starts if at and source.read(at, len(SIGNATURE)) == SIGNATURE), None)


def _indexed(
    region: Region, like: tuple[Region, Index] | None, drop: tuple[str, ...], stack: ExitStack
) -> tuple[Region, Index]:
    """A plain HDF5 file and its index: the region itself, or an equal one that the HDF5 library made in a child."""
    if not drop:
        if like is not None and _same_outside_arrays(region, *like):
            return region, like[1]
        try:
            return region, read_index(region.read, region.size)
        except NotPlain:
            pass
    from wtool.hdf5.sandbox import make_plain  # only here: it starts processes, which takes long to import

    with make_plain(region.source.fd, region.start, region.size, drop) as plain:
        source = _adopt(Source(os.dup(plain.fileno()), region.source.name), stack)
    made = Region(source, 0, source.size)
    return made, read_index(made.read, made.size)


def _same_outside_arrays(region: Region, other: Region, index: Index) -> bool:
    """Whether all bytes outside the arrays of `index` are the same, so that it describes both files."""
    arrays = sorted((array.offset, array.offset + array.nbytes) for array in index.datasets.values() if array.nbytes)
    if region.size != other.size or region.size - sum(stop - start for start, stop in arrays) > MAX_METADATA:
        return False
    return _hash_outside(region, tuple(arrays)) == _hash_outside(other, tuple(arrays))


@lru_cache(maxsize=2)  # a whole run of checkpoints is compared with the same one
def _hash_outside(region: Region, arrays: tuple[tuple[int, int], ...]) -> bytes:
    digest = blake3()
    position = 0
    for start, stop in [*arrays, (region.size, region.size)]:
        if start > position:
            digest.update(region.read(position, start - position))
        position = max(position, stop)
    return digest.digest()


def _open_keras(source: Source, like: Checkpoint | None, drop: tuple[str, ...], stack: ExitStack) -> Checkpoint:
    members = read_members(source, KNOWN)
    named = {member.name: member for member in members}
    if CONFIG not in named or WEIGHTS not in named:
        raise Refused(foreign.described_zip(list(named), CONFIG if CONFIG not in named else WEIGHTS))
    if OTHER_WEIGHTS in named:
        raise Differs(TWO_WEIGHTS)
    for member in members:
        if member.method == STORED:
            source.expect(member.data, member.data + member.packed, member.crc, member.name)
    texts = {name: member_bytes(source, named[name]) for name in (CONFIG, METADATA) if name in named}
    held = {"sources": (source,), "members": members}
    model = _keras_model(source.name, texts, _weights(source, named[WEIGHTS], stack), held, like, drop, stack)
    _refuse_second_model(source, named[WEIGHTS], model.indexes[0])
    return replace(model, notes=(*model.notes, *_name_notes(source.name, "keras")))


def _open_folder(path: str, like: Checkpoint | None, drop: tuple[str, ...], stack: ExitStack) -> Checkpoint:
    """An unzipped model: what an archive has as members are the files of a folder."""
    if not folders.is_model_folder(path):
        what = folders.kind_of_folder(path)
        raise Refused(what or "a folder, and no unzipped model; a single file is expected")
    parts = folders.open_parts(path, stack)
    for name in (CONFIG, WEIGHTS):
        if name not in parts:
            raise Refused(f"an unzipped model without {name}")
    if os.path.lexists(os.path.join(path, OTHER_WEIGHTS)):
        raise Differs(TWO_WEIGHTS)
    texts = {name: folders.text_of(parts[name], name) for name in (CONFIG, METADATA) if name in parts}
    held = {"sources": tuple(parts.values()), "members": folders.as_members(parts), "parts": parts}
    return _keras_model(path, texts, Region(parts[WEIGHTS], 0, parts[WEIGHTS].size), held, like, drop, stack)


def _keras_model(
    name: str,
    texts: dict[str, bytes],
    whole: Region,
    held: Mapping[str, Any],
    like: Checkpoint | None,
    drop: tuple[str, ...],
    stack: ExitStack,
) -> Checkpoint:
    """A `.keras` model: `whole` are its weights, `held` says what the checkpoint knows of its files."""
    metadata, notes = _metadata(texts)
    version = metadata.get("keras_version")
    version = version if isinstance(version, str) else None
    same = like if like is not None and like.format == "keras" else None
    twin = same if same is not None and texts[CONFIG] == same.texts[CONFIG] else None  # of the same architecture
    if twin is not None:
        texts[CONFIG] = twin.texts[CONFIG]  # one copy for a whole run
    config = twin.config if twin is not None else parse_object(texts[CONFIG], CONFIG)
    region, index = _indexed(whole, (same.regions[0], same.indexes[0]) if same else None, drop, stack)
    if twin is not None and index is twin.indexes[0] and version == twin.keras_version:
        contents = twin.contents
    else:
        contents = keras3.contents(index, config, version)
    return Checkpoint(
        name=name, format="keras", keras_version=version, config=config, contents=contents,
        lineage=lineage_in(metadata), regions=(region,), indexes=(index,), texts=texts,
        notes=(*contents.notes, *notes), closing=stack.pop_all(), **held,
    )  # fmt: skip


def _refuse_second_model(source: Source, weights: Member, index: Index) -> None:
    """Refuse an archive that the HDF5 library opens as well, and finds another model in.

    It looks for HDF5 at 512, 1024, ... By chance the stored weights of an archive may start just there (of some
    thousand models one): the library then reads the same weights, and nothing differs.
    """
    at = _behind_user_block(source)
    if at is None:
        return
    if at != weights.data or weights.method != STORED:
        raise Differs(f"both a zip archive and an HDF5 file, from byte {at} on: no telling which is meant")
    if _is_legacy(index):
        raise Differs(f"both a zip archive and an HDF5 file with another model, from byte {at} on")


def _is_legacy(index: Index) -> bool:
    """Whether an HDF5 file says of itself what Keras's readers of `.h5` look for."""
    root = index.groups.get("", {})
    names = ("model_config", "layer_names", "layer_names0")
    return "model_weights" in index.groups or any(name in root for name in names)


def _metadata(texts: dict[str, bytes]) -> tuple[dict[str, object], tuple[str, ...]]:
    """What metadata.json says; Keras never reads it, so nothing in it may be a reason to refuse the file."""
    if METADATA not in texts:
        return {}, ("has no metadata.json",)
    try:
        return parse_object(texts[METADATA], METADATA), ()
    except Refused as error:
        return {}, (error.message,)


def _weights(source: Source, member: Member, stack: ExitStack) -> Region:
    """The bytes of the weights: in place where they are stored, unpacked to an unnamed file where not."""
    if member.method == STORED:
        return Region(source, member.data, member.size)
    import tempfile

    with tempfile.TemporaryFile() as spool:
        unpack(source, member, spool)
        unpacked = _adopt(Source(os.dup(spool.fileno()), source.name), stack)
    return Region(unpacked, 0, unpacked.size)


def _open_hdf5(source: Source, like: Checkpoint | None, drop: tuple[str, ...], stack: ExitStack) -> Checkpoint:
    if opens_as_zip(source):
        raise Differs("both an HDF5 file and a zip archive: no telling which is meant")
    whole = Region(source, 0, source.size)
    same = like if like is not None and like.format in ("h5", "h5-weights", "weights.h5") else None
    region, index = _indexed(whole, (same.regions[0], same.indexes[0]) if same else None, drop, stack)
    root = index.groups.get("", {})
    config = None
    if same and index is same.indexes[0]:
        kind, version, config, contents = same.format, same.keras_version, same.config, same.contents
    elif "model_config" in root or "model_weights" in index.groups:
        kind, version = "h5", _text(root, "keras_version")
        config = parse_object(_text(root, "model_config") or "", "the attribute model_config")
        training = _text(root, "training_config")
        parsed = parse_object(training, "the attribute training_config") if training else None
        contents = legacy.contents(index, config, parsed, version)
    elif "layer_names" in root or "layer_names0" in root:
        kind, version = "h5-weights", _text(root, "keras_version")
        contents = legacy.contents(index, None, None, version)
    elif any(path == "vars" or path.endswith("/vars") for path in index.groups):
        kind, version = "weights.h5", None
        contents = keras3.contents(index, None, None)
    else:
        raise Refused("an HDF5 file, but none that Keras wrote: it has neither layer_names nor vars groups")
    return Checkpoint(
        name=source.name, format=kind, keras_version=version, config=config, contents=contents,
        lineage=lineage_in(root), sources=(source,), regions=(region,), indexes=(index,),
        notes=(*contents.notes, *_name_notes(source.name, kind)), closing=stack.pop_all(),
    )  # fmt: skip


def configurations(path: str) -> list[tuple[str, dict[str, object]]]:
    """What a file says of its model, whatever else is wrong with it: (label, parsed JSON).

    Keras reads it, and acts on it, before it looks at the weights.
    """
    found: list[tuple[str, dict[str, object]]] = []
    with ExitStack() as stack, suppress(WtoolError, UnicodeError, LookupError):
        if os.path.isdir(path):
            return [("", parse_as_python(folders.text_of(folders.open_parts(path, stack)[CONFIG], CONFIG), CONFIG))]
        source = _adopt(Source(_descriptor(path), path), stack)
        if source.read(0, min(4, source.size)) == b"PK\3\4":
            members = [member for member in read_members(source, KNOWN) if member.name == CONFIG]
            return [("", parse_as_python(member_bytes(source, member), CONFIG)) for member in members]
        _, index = _indexed(Region(source, 0, source.size), None, (), stack)
        for label, name in (("", "model_config"), ("training_config", "training_config")):
            with suppress(Refused):
                found.append((label, parse_as_python(_text(index.groups.get("", {}), name) or "", name)))
    return found


def training_config(checkpoint: Checkpoint) -> dict[str, object] | None:
    """How a whole-model `.h5` says that it was compiled; None where there is nothing."""
    text = _text(checkpoint.indexes[0].groups.get("", {}), "training_config") if checkpoint.format == "h5" else None
    return parse_object(text, "the attribute training_config") if text else None


def _text(attributes: Mapping[str, Value], name: str) -> str | None:
    value = attributes.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="surrogateescape")
    if value is not None and not isinstance(value, str):
        raise Refused(f"the attribute {name} is not a text")
    return value


def _open_shards(source: Source, drop: tuple[str, ...], stack: ExitStack) -> Checkpoint:
    text = source.read(0, source.size)
    groups, metadata = shard_map(text)
    names = shard_names(groups)
    sources = [_adopt(Source(beside(source.name, name), name), stack) for name in names]
    parts = [_indexed(Region(shard, 0, shard.size), None, drop, stack) for shard in sources]
    indexes = [index for _, index in parts]
    kept = {path: shards for path, shards in groups.items() if path.split("/")[0] not in drop}
    contents = with_shards(keras3.contents(merged(kept, names, indexes), None, None), indexes)
    return Checkpoint(
        name=source.name, format="weights.json", keras_version=None, config=None, contents=contents,
        lineage=lineage_in(metadata), sources=(source, *sources), regions=tuple(region for region, _ in parts),
        indexes=tuple(indexes), texts={"weights.json": text},
        notes=(*contents.notes, *_name_notes(source.name, "weights.json")), closing=stack.pop_all(),
    )  # fmt: skip
