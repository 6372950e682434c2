"""The files of a sharded checkpoint: what lies beside its map, and how shards and map appear together.

Shards are published before their map, and never replace old ones: until the new map is there, nothing has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Protocol

from wtool.checkpoint.layouts.shards import shard_map, shard_names
from wtool.errors import Refused, WtoolError
from wtool.io.addresses import is_address, name_of
from wtool.io.claims import claimed, hidden_name, write_claim
from wtool.io.drafts import Draft
from wtool.io.json_text import parse_object
from wtool.io.limits import MAX_JSON
from wtool.io.places import Place, Target, open_place
from wtool.io.publish import remove_abandoned_drafts
from wtool.io.stored import Stamp, stamp_of
from wtool.io.system import read_at


class ShardFiles(Protocol):
    """The place of a map and of its shards.

    Attributes:
        name: of the map's file.
    """

    name: str

    def stamp(self, name: str) -> Stamp | None:
        """Returns the stamp of a file beside the map, or None where there is none."""

    def mapped(self) -> list[str] | None:
        """Returns the shards that the present map names: none without a map, None where nobody understands the map."""

    def target(self, name: str) -> Target:
        """Returns the target of a new file beside the map."""

    def publish(self, shards: Mapping[str, Draft], manifest: Draft, old: Mapping[str, Stamp]) -> None:
        """Publish the shards, and then their map; remove the old shards, or after an error the new ones.

        Args:
            shards: name -> draft.
            manifest: the draft of the map.
            old: name -> stamp of each shard of the map that is replaced.

        Raises:
            WtoolError: the map or an old shard is another one by now.
        """

    def close(self) -> None:
        """Close the folder."""


def files_of(target: Target) -> ShardFiles:
    """Returns the place of the map of a sharded checkpoint, and of its shards.

    Raises:
        WtoolError: see `places.open_place`.
    """
    return _InStore(target) if is_address(target.path) else _InFolder(target)


class _InFolder:
    """Shards in a folder.

    While they are published, a journal in the claim on the map's name holds the stamps of the old and of the new
    shards. Whatever it names and the map does not is removed: at the end, after an error, and by the next command for
    this target where this process was killed.
    """

    def __init__(self, target: Target) -> None:
        self._place = open_place(target)
        self._below = target.below
        self.name = self._place.name

    def stamp(self, name: str) -> Stamp | None:
        return _stamp(self._place, name)

    def mapped(self) -> list[str] | None:
        return _mapped(self._place)

    def target(self, name: str) -> Target:
        return Target(os.path.join(os.path.dirname(self._place.path), name), below=self._below)

    def publish(self, shards: Mapping[str, Draft], manifest: Draft, old: Mapping[str, Stamp]) -> None:
        for draft in (*shards.values(), manifest):
            draft.sync()
        new = {name: stamp_of(os.fstat(draft.file.fileno())) for name, draft in shards.items()}
        with claimed(self._place) as claim:
            _settle(self._place, claim)
            _refuse_changed(self, manifest, old)
            write_claim(claim, json.dumps({**old, **new}).encode())
            try:
                for draft in (*shards.values(), manifest):
                    draft.publish()
            finally:
                _settle(self._place, claim)

    def close(self) -> None:
        self._place.folder.close()


class _InStore:
    """Shards in a store: conditions of its requests keep others out, and no journal tells what a killed process left.

    All bytes are in the store before the first shard appears, so that only a moment lies between the first shard and
    the map.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.name = name_of(target.path)

    def stamp(self, name: str) -> Stamp | None:
        return Target.at(self.target(name).path).seen

    def mapped(self) -> list[str] | None:
        from wtool.io.remote.whole import read_whole  # late: most shards are files in folders

        text = read_whole(self._target.path, MAX_JSON)
        return [] if text is None else _names_in(text)

    def target(self, name: str) -> Target:
        return self._target.beside(name)

    def publish(self, shards: Mapping[str, Draft], manifest: Draft, old: Mapping[str, Stamp]) -> None:
        for draft in shards.values():
            draft.sync()
        _refuse_changed(self, manifest, old)
        new: list[str] = []
        try:
            for name, draft in shards.items():
                draft.publish()
                new.append(name)
            manifest.publish()
        finally:
            self._remove_unmapped([*new, *(name for name, stamp in old.items() if self.stamp(name) == stamp)])

    def _remove_unmapped(self, names: list[str]) -> None:
        from wtool.io.remote.whole import remove

        mapped = self.mapped()
        if mapped is None:
            return
        for name in names:
            if name not in mapped:
                remove(self.target(name).path)

    def close(self) -> None:
        pass


def _refuse_changed(files: ShardFiles, manifest: Draft, old: Mapping[str, Stamp]) -> None:
    if manifest.target.force:
        manifest.refuse_changed()
    for name, stamp in old.items():
        if files.stamp(name) != stamp:
            text = "a shard of the output was changed by somebody else since this command began; run it again"
            raise WtoolError(text, name)


def _stamp(place: Place, name: str) -> Stamp | None:
    with contextlib.suppress(FileNotFoundError):
        return stamp_of(place.folder.status(name))
    return None


def _mapped(place: Place) -> list[str] | None:
    try:
        file = place.folder.open(place.name, os.O_RDONLY)
    except FileNotFoundError:
        return []
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened, contextlib.suppress(OSError):
        return _names_in(opened.read(MAX_JSON + 1))
    return None


def _names_in(text: bytes) -> list[str] | None:
    with contextlib.suppress(Refused):
        return shard_names(shard_map(text)[0])
    return None


def settle_left(target: Target) -> None:
    """Remove the shards and drafts that killed runs left of this target or beside it; a store keeps none of these."""
    if is_address(target.path):
        return
    with contextlib.suppress(WtoolError):  # what is wrong with the target is told by whoever writes it
        place = open_place(target)
        try:
            remove_abandoned_drafts(place.folder)
            if _stamp(place, hidden_name(place, "claim")) is not None:
                with claimed(place) as claim:
                    _settle(place, claim)
        finally:
            place.folder.close()


def _settle(place: Place, claim: int) -> None:
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
