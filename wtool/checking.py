"""What is wrong with a file, or what loading it would do besides: the findings that `wtool check` tells."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from wtool import pipeline
from wtool.dtypes import Array, is_floating
from wtool.errors import Refused
from wtool.files.archive import verify
from wtool.files.checkpoint import Checkpoint
from wtool.files.opener import configurations, open_checkpoint, training_config
from wtool.files.suspects import is_path_out, suspects

BLOCK = 65_536  # values; what is known of them stays in the cache
MOST = 1000  # findings that are told of one file: more say nothing new
NOT_ODD = ("the model had no weights yet", "the optimizer's variables match no known optimizer")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before a file is loaded.

    Attributes:
        kind: `runs`, `imports`, `refers`, `names` (see `files.suspects`), `damaged` (it cannot be opened, or is not
            whole), `values` (NaN or infinite), `odd` (parts that contradict each other, or belong to nothing).
        where: in the file: a path in its configuration, a tensor, a member of the archive; empty for all of it.
        what: for people.
    """

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found.

    Attributes:
        model: path.
        findings: none, if all is well.
    """

    model: str
    findings: tuple[Finding, ...]


def check(path: str | os.PathLike[str], progress: pipeline.Progress | None = None) -> Checked:
    """Look for what loading a file with Keras would run, import or fetch, and whether it is whole.

    Nothing in the file is imported, evaluated or unpickled. All of it is read once: archives against their checksums,
    arrays for NaN and infinities, shapes against the configuration.

    Args:
        path: a file, or `-` for standard input.
        progress: called with bytes done and bytes in all.

    Raises:
        WtoolError: missing or unreadable. A file that is damaged or hostile is a finding.

    Example:
        >>> wtool.check("model.keras").findings  # doctest: +SKIP
    """
    name = os.fspath(path)
    try:
        with open_checkpoint(name) as checkpoint:
            told = [*_of_configuration(checkpoint), *_of_members(checkpoint), *_of_notes(checkpoint)]
            try:
                verify(checkpoint.sources[0], checkpoint.members)
                told += _of_values(checkpoint, progress)
            except Refused as error:
                told.append(_damage(error))
    except Refused as error:
        told = [*_of_damaged(name), _damage(error)]
    more = [Finding("odd", "", f"{len(told) - MOST:,} more findings")] if len(told) > MOST else []
    return Checked(name, (*told[:MOST], *more))


def _damage(error: Refused) -> Finding:
    return Finding("damaged", "", error.message.removeprefix("damaged: "))


def _of_damaged(name: str) -> Iterator[Finding]:
    """What Keras would do before it finds the damage."""
    for label, config in configurations(name) if name != "-" else ():
        yield from _suspected(config, label, MOST)


def _suspected(config: Any, label: str, most: int) -> Iterator[Finding]:
    for found in islice(suspects(config, label), most):
        yield Finding(found.kind, found.where, found.what)


def _of_notes(checkpoint: Checkpoint) -> Iterator[Finding]:
    """What contradicts itself; a model or an optimizer that was not built yet does not."""
    for note in checkpoint.notes:
        if not note.startswith(NOT_ODD):
            yield Finding("odd", "", note)


def _of_configuration(checkpoint: Checkpoint) -> Iterator[Finding]:
    for label, config in (("", checkpoint.config), ("training_config", training_config(checkpoint))):
        yield from _suspected(config, label, MOST + 1)


def _of_members(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Members of an archive that would be more than files below a folder, if somebody extracted them."""
    for member in checkpoint.members:
        if stat.S_ISLNK(member.attributes[1] >> 16):
            yield Finding("refers", member.name, "a symbolic link in the archive")
        if is_path_out(member.name):
            yield Finding("names", member.name, "a member of the archive whose name leads out of its folder")


def _of_values(checkpoint: Checkpoint, progress: pipeline.Progress | None) -> list[Finding]:
    counts: dict[str, int] = {}
    looks = [pipeline.Edit(tensor, (tensor,), _nonfinite) for tensor in checkpoint.tensors if is_floating(tensor.dtype)]
    for tensor, _, found in pipeline.verified_scan(checkpoint, looks, progress):
        counts[tensor.path] = counts.get(tensor.path, 0) + found
    return [Finding("values", path, f"{count:,} NaN or infinite values") for path, count in counts.items() if count]


def _nonfinite(blocks: Sequence[Array], start: int, stop: int) -> int:
    values = blocks[0]
    parts = (values[at : at + BLOCK] for at in range(0, values.size, BLOCK))
    return sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)
