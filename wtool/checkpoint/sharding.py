"""Writing a sharded checkpoint: a map in JSON, and HDF5 files that hold the weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack

from wtool.checkpoint.layouts.shards import shard_map, shard_names
from wtool.checkpoint.lineage import KEY, UNHASHED, Record, lineage_json, lineage_text, with_result
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.seal import MANIFEST, Seal, put_hash
from wtool.checkpoint.shard_files import ShardFiles, files_of, settle_left
from wtool.errors import WtoolError
from wtool.io.drafts import Draft, new_draft
from wtool.io.json_text import parse_object, refuse_unreadable
from wtool.io.places import Target, check_target
from wtool.io.stored import Stamp
from wtool.io.stream import RegionCopy


class Shards:
    """A `.weights.json` and its shards, which are published first; see `shard_files`."""

    def __init__(self, base: Checkpoint, target: Target, lineage: Sequence[Record], stack: ExitStack) -> None:
        if target.path == "-":
            raise WtoolError("a sharded checkpoint is several files; name one for its .weights.json with --output")
        settle_left(target)
        check_target(target)
        self._base = base
        self._files = files_of(target)
        stack.callback(self._files.close)
        stem = self._files.name.removesuffix(".json").removesuffix(".weights")
        old = shard_names(shard_map(base.texts[MANIFEST])[0])
        self._old = _own_shards(self._files, stem) if target.force else {}
        self._names = self._free_names(stem, old, lineage) if target.force else _shards_of(stem, old)
        self._drafts = [stack.enter_context(self._shard_draft(name)) for name in self._names.values()]
        self._manifest = stack.enter_context(new_draft(target, claims=False))
        self._seal = Seal()
        self._streams = [
            RegionCopy(region, draft.file, self._seal.part(str(number)).update)
            for number, (region, draft) in enumerate(zip(base.regions, self._drafts, strict=True))
        ]
        self._whole = 0  # how many shards have all their bytes

    def _free_names(self, stem: str, old: Sequence[str], lineage: Sequence[Record]) -> dict[str, str]:
        names, mark = _shards_of(stem, old), lineage_text(lineage)
        while any(self._files.stamp(name) is not None for name in names.values()):
            mark = hashlib.blake2b(mark.encode(), digest_size=4).hexdigest()
            names = _shards_of(f"{stem}-{mark}", old)
        return names

    def _shard_draft(self, name: str) -> Draft:
        shard = self._files.target(name)
        if self._files.stamp(name) is not None:
            raise WtoolError("is in the way as a shard of the output; remove it or choose another --output", shard.path)
        return new_draft(shard, in_order=True)

    def replace(self, shard: int, offset: int, data: bytes | memoryview) -> None:
        self._copy_to(shard)
        self._streams[shard].replace(offset, data)

    def copy_rest(self) -> None:
        self._copy_to(len(self._streams))

    def _copy_to(self, shard: int) -> None:
        """Copy the rest of the shards before this one: what they hold in memory on the way to a store is given back."""
        for number in range(self._whole, shard):
            self._streams[number].copy_rest()
            self._drafts[number].sync()
        self._whole = max(self._whole, shard)

    def publish(self, lineage: Sequence[Record]) -> None:
        self._manifest.file.write(self._map(lineage))
        self._files.publish(dict(zip(self._names.values(), self._drafts, strict=True)), self._manifest, self._old)

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


def _shards_of(stem: str, old: Sequence[str]) -> dict[str, str]:
    """Returns old name -> new name of each shard; new names are those that Keras gives."""
    return {name: f"{stem}_{number:05d}.weights.h5" for number, name in enumerate(old)}


def _own_shards(files: ShardFiles, stem: str) -> dict[str, Stamp]:
    """Returns the shards of the replaced checkpoint: those that its map names and whose names begin with its name."""
    called_so = re.compile(rf"{re.escape(stem)}(-[0-9a-f]{{8}})?_[0-9]{{5}}\.weights\.h5")
    stamps = {name: files.stamp(name) for name in files.mapped() or () if called_so.fullmatch(name)}
    return {name: stamp for name, stamp in stamps.items() if stamp is not None}
