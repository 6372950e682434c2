"""Writing a sharded checkpoint: shards and map appear together, and leftovers of killed runs are removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import ExitStack

from wtool.checkpoint.layouts.shards import shard_map, shard_names
from wtool.checkpoint.lineage import KEY, UNHASHED, Record, lineage_json, lineage_text, with_result
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.seal import MANIFEST, Seal, put_hash
from wtool.errors import Refused, WtoolError
from wtool.io.claims import claimed, hidden_name, write_claim
from wtool.io.drafts import Draft, new_draft
from wtool.io.json_text import parse_object, refuse_unreadable
from wtool.io.limits import MAX_JSON
from wtool.io.places import Place, Target, check_target, open_place
from wtool.io.publish import remove_abandoned_drafts
from wtool.io.stored import Stamp, stamp_of
from wtool.io.stream import RegionCopy
from wtool.io.system import read_at


class Shards:
    """A `.weights.json` and its shards, which are published first: until its map appears, nothing has changed.

    New shards never replace old ones, so that the old map keeps its shards until the new one is there. While they are
    published, a journal in the claim on the map's name holds the stamps of the old and of the new shards. Whatever it
    names and the map does not is removed: at the end, after an error, and by the next command for this target where
    this process was killed.
    """

    def __init__(self, base: Checkpoint, target: Target, lineage: Sequence[Record], stack: ExitStack) -> None:
        if target.path == "-":
            raise WtoolError("a sharded checkpoint is several files; name one for its .weights.json with --output")
        settle_left(target)
        check_target(target)
        self._base = base
        self._place = open_place(target)
        stack.callback(self._place.folder.close)
        stem = self._place.name.removesuffix(".json").removesuffix(".weights")
        old = shard_names(shard_map(base.texts[MANIFEST])[0])
        self._old = _own_shards(self._place, stem) if target.force else {}
        self._names = self._free_names(stem, old, lineage) if target.force else _shards_of(stem, old)
        self._drafts = [stack.enter_context(self._shard_draft(target, name)) for name in self._names.values()]
        self._manifest = stack.enter_context(new_draft(target, claims=False))
        self._seal = Seal()
        self._streams = [
            RegionCopy(region, draft.file, self._seal.part(str(number)).update)
            for number, (region, draft) in enumerate(zip(base.regions, self._drafts, strict=True))
        ]

    def _free_names(self, stem: str, old: Sequence[str], lineage: Sequence[Record]) -> dict[str, str]:
        names, mark = _shards_of(stem, old), lineage_text(lineage)
        while any(_stamp(self._place, name) is not None for name in names.values()):
            mark = hashlib.blake2b(mark.encode(), digest_size=4).hexdigest()
            names = _shards_of(f"{stem}-{mark}", old)
        return names

    def _shard_draft(self, target: Target, name: str) -> Draft:
        shard = Target(os.path.join(os.path.dirname(self._place.path), name), below=target.below)
        if _stamp(self._place, name) is not None:
            raise WtoolError("is in the way as a shard of the output; remove it or choose another --output", shard.path)
        return new_draft(shard, in_order=True)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        self._streams[shard].replace(offset, data)

    def copy_rest(self) -> None:
        for stream in self._streams:
            stream.copy_rest()

    def publish(self, lineage: Sequence[Record]) -> None:
        self._manifest.file.write(self._map(lineage))
        for draft in (*self._drafts, self._manifest):
            draft.sync()
        with claimed(self._place) as claim:
            settle(self._place, claim)
            self._refuse_changed()
            write_claim(claim, json.dumps(self._old | self._new()).encode())
            try:
                for draft in (*self._drafts, self._manifest):
                    draft.publish()
            finally:
                settle(self._place, claim)

    def _map(self, lineage: Sequence[Record]) -> bytes:
        parsed = parse_object(self._base.texts[MANIFEST], MANIFEST)
        stored = {path for index in self._base.indexes for path in index.groups}
        parsed["weight_map"] = {
            path: [self._names[name] for name in names] if isinstance(names, list) else self._names[names]
            for path, names in parsed["weight_map"].items()
            if path.strip("/") in stored
        }
        metadata = parsed.get("metadata")
        told = metadata if isinstance(metadata, dict) else {}
        parsed["metadata"] = {**told, KEY: lineage_json(with_result(lineage, UNHASHED))}
        unsealed = json.dumps(parsed, indent=4).encode()
        refuse_unreadable(unsealed, MANIFEST)
        self._seal.part(MANIFEST).update(unsealed)
        return put_hash(unsealed, UNHASHED, self._seal.hash())

    def _new(self) -> dict[str, Stamp]:
        stamps = [stamp_of(os.fstat(draft.file.fileno())) for draft in self._drafts]
        return dict(zip(self._names.values(), stamps, strict=True))

    def _refuse_changed(self) -> None:
        if self._manifest.target.force:
            self._manifest.refuse_changed()
        for name, stamp in self._old.items():
            if _stamp(self._place, name) != stamp:
                text = "a shard of the output was changed by somebody else since this command began; run it again"
                raise WtoolError(text, name)


def _shards_of(stem: str, old: Sequence[str]) -> dict[str, str]:
    """Returns old name -> new name of each shard; new names are those that Keras gives."""
    return {name: f"{stem}_{number:05d}.weights.h5" for number, name in enumerate(old)}


def _own_shards(place: Place, stem: str) -> dict[str, Stamp]:
    """Returns the shards of the replaced checkpoint: those that its map names and whose names begin with its name."""
    called_so = re.compile(rf"{re.escape(stem)}(-[0-9a-f]{{8}})?_[0-9]{{5}}\.weights\.h5")
    stamps = {name: _stamp(place, name) for name in _mapped(place) or () if called_so.fullmatch(name)}
    return {name: stamp for name, stamp in stamps.items() if stamp is not None}


def _stamp(place: Place, name: str) -> Stamp | None:
    with contextlib.suppress(FileNotFoundError):
        return stamp_of(place.folder.status(name))
    return None


def _mapped(place: Place) -> list[str] | None:
    """Returns the shards that the present map names: none where there is no map, None where it cannot be understood."""
    try:
        file = place.folder.open(place.name, os.O_RDONLY)
    except FileNotFoundError:
        return []
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened, contextlib.suppress(OSError, Refused):
        return shard_names(shard_map(opened.read(MAX_JSON + 1))[0])
    return None


def settle_left(target: Target) -> None:
    """Remove the shards and drafts that killed runs left of this target or beside it."""
    with contextlib.suppress(WtoolError):  # what is wrong with the target is told by whoever writes it
        place = open_place(target)
        try:
            remove_abandoned_drafts(place.folder)
            if _stamp(place, hidden_name(place, "claim")) is not None:
                with claimed(place) as claim:
                    settle(place, claim)
        finally:
            place.folder.close()


def settle(place: Place, claim: int) -> None:
    """Remove the shards that a journal names and the map does not, if their stamps are still those in the journal."""
    mapped = _mapped(place)
    if mapped is None:
        return
    for name, stamp in _journal(claim).items():
        if name not in mapped and _stamp(place, name) == stamp:
            place.folder.remove(name)


def _journal(claim: int) -> dict[str, Stamp]:
    """Returns the journal in a claim; an empty one if its writing was cut short, before any shard appeared."""
    text = read_at(claim, MAX_JSON, 0)
    with contextlib.suppress(Refused, TypeError, ValueError):
        return {os.path.basename(name): tuple(stamp) for name, stamp in parse_object(text, "journal").items()}
    return {}
