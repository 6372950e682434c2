"""Stamps of models in files: what tells, without a look at its content, that a model is the one that it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from wtool.checkpoint.inputs import NamedModel
from wtool.checkpoint.search import files_of
from wtool.errors import WtoolError
from wtool.io import tree
from wtool.io.addresses import is_address, joined
from wtool.values import dataclass

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """What the system or a store tells of the files of a model.

    Attributes:
        size: bytes of all files; None where a store does not tell a size.
        modified: when the latest of them was changed, in nanoseconds since 1970; None of addresses.
        text: size and time of the file, or size and version (ETag) of an address, or a hash of the names, sizes and
            times of several files; None where a store tells no version.
    """

    size: int | None
    modified: int | None
    text: str | None

    @property
    def time(self) -> str | None:
        """When the model was changed, in UTC: `2026-11-26T09:30:00.000001Z`; None where no calendar has the time."""
        with suppress(OverflowError):
            if self.modified is not None:
                return (EPOCH + timedelta(microseconds=self.modified // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return None


def model_stamp(model: NamedModel) -> ModelStamp | None:
    """Returns the stamp of a model; None if one of its files is missing, or cannot be asked for."""
    try:
        told = sorted(_files_of(model))
    except (OSError, WtoolError):
        return None
    sizes = [each.size for each in told if each.size is not None]
    size = sum(sizes) if len(sizes) == len(told) else None
    modified = max((each.modified for each in told if each.modified is not None), default=None)
    if not told or not all(each.version for each in told):
        return ModelStamp(size, modified, None)
    words = [(each.name, each.size, each.version) for each in told]
    several = hashlib.blake2b(repr(words).encode(), digest_size=16).hexdigest()
    return ModelStamp(size, modified, f"{size}-{told[0].version}" if len(told) == 1 else several)


@dataclass(frozen=True, slots=True, order=True)
class _File:
    """What is known of one file: its name inside the model, size, version (its time, here) and time."""

    name: str
    size: int | None
    version: str
    modified: int | None


def _files_of(model: NamedModel) -> Iterator[_File]:
    if not is_address(model.path):
        for path in files_of(model.path):
            told = os.stat(path)
            yield _File(os.path.relpath(path, model.path), told.st_size, str(told.st_mtime_ns), told.st_mtime_ns)
        return
    if model.version and not model.path.lower().endswith(".json"):
        yield _File("", model.size, model.version, None)  # the listing told it
        return
    from wtool.io.remote.stores import status  # late: local files need no stores

    is_folder = model.is_folder
    paths = [joined(model.path, name) for name in tree.names_in(model.path)] if is_folder else files_of(model.path)
    for path in paths:
        found = status(path)
        if found is None:
            raise FileNotFoundError(path)
        if not found.is_folder:
            yield _File(path, found.size, found.version, None)
