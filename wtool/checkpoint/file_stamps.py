"""Stamps of models in files: what tells, without a look at its content, that a model is the one that it was."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from wtool.checkpoint.search import files_of

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """What the system tells of the files of a model.

    Attributes:
        size: bytes of all files together.
        modified: when the latest of them was changed, in nanoseconds since 1970.
        text: size and time of the file, or a hash of the names, sizes and times of several files.
    """

    size: int
    modified: int
    text: str

    @property
    def time(self) -> str | None:
        """When the model was changed, in UTC: `2026-11-26T09:30:00.000001Z`; None where no calendar has the time."""
        with suppress(OverflowError):
            return (EPOCH + timedelta(microseconds=self.modified // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return None


def model_stamp(model: str) -> ModelStamp | None:
    """Returns the stamp of a model; None if one of its files is missing, or cannot be asked for.

    Args:
        model: path of a file, of the folder of an unzipped model, or of a map of shards.
    """
    try:
        found = [(os.path.relpath(path, model), os.stat(path)) for path in files_of(model)]
    except OSError:
        return None
    told = [(name, status.st_size, status.st_mtime_ns) for name, status in sorted(found, key=lambda each: each[0])]
    size, modified = sum(each[1] for each in told), max((each[2] for each in told), default=0)
    text = f"{size}-{modified}" if len(told) == 1 else hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()
    return ModelStamp(size, modified, text)
