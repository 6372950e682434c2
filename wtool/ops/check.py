"""What is wrong with a file, or what loading it would do besides: the findings that `wtool check` tells."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import configurations, open_checkpoint
from wtool.checkpoint.recognising import architecture, is_plain_json, may_be_model, mentions
from wtool.checkpoint.search import CLOSED, LINK, NAMELESS, PART, SPECIAL, FoundFile, is_model_name
from wtool.checkpoint.unzipped import OF_SAVED_MODEL
from wtool.dtypes import Array, is_floating
from wtool.errors import SEVERITIES, Note, Refused, WtoolError
from wtool.io import tree
from wtool.io.addresses import folder_of, name_of, text_of, without_query
from wtool.io.zip_unpack import verify
from wtool.option import checked, path_of
from wtool.run import pipeline
from wtool.schema.archive_members import OTHER_WEIGHTS
from wtool.schema.unsafe import unsafe_parts
from wtool.schema.unsafe_place import is_path_out
from wtool.values import dataclass

BLOCK = 65_536  # values; what is known of them stays in the cache
MOST = 1000  # findings that are told of one file: more say nothing new
PICKLING = "weights as NumPy's file of arrays, which older versions of Keras unpickle"

SEVERITY_OF = {
    "runs": "runs",
    "imports": "runs",  # a module that is imported runs
    "refers": "reaches",
    "names": "reaches",
    "allocates": "odd",
    "values": "odd",  # the file is whole, and every reader loads it as it is
}
"""Kind of a finding -> severity; other kinds are severities themselves."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before a file is loaded.

    Attributes:
        kind: `runs`, `imports`, `refers`, `names`, `allocates` (see `schema.unsafe`), `values` (NaN or infinite); for
            what is said of the whole file, its severity: `note`, `odd` (parts contradict each other, or belong to
            nothing), `damaged` (it cannot be opened, or is not whole), `differs` (two readers would see different
            models), `reaches` (it points out of itself).
        where: in the file: a path in its configuration, a tensor, a member of the archive; empty for all of it.
        what: for people.
        severity: one of `errors.SEVERITIES`: how much it matters.
    """

    kind: str
    where: str
    what: str
    severity: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", SEVERITY_OF.get(self.kind, self.kind))


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found.

    Attributes:
        model: path.
        findings: none, if all is well; most severe first.
    """

    model: str
    findings: tuple[Finding, ...]

    def reaches(self, severity: str) -> bool:
        """Whether a finding is of this severity or a greater one."""
        return any(rank(found) >= SEVERITIES.index(severity) for found in self.findings)


def rank(found: Finding) -> int:
    """How severe it is, as a number."""
    return SEVERITIES.index(found.severity)


def check(
    path: str | os.PathLike[str], progress: pipeline.Progress | None = None, *, configuration: bool = False
) -> Checked:
    """Look for what loading a file with Keras would run, import or fetch, and whether it is whole.

    Nothing in the file is imported, evaluated or unpickled. All of it is read once: archives against their checksums,
    arrays for NaN and infinities, shapes against the configuration.

    Args:
        path: a file, or `-` for standard input.
        progress: called with bytes done and bytes in all.
        configuration: look at configuration and index alone, and neither at values nor at checksums.

    Raises:
        WtoolError: missing or unreadable. A file that is damaged or hostile is a finding.

    Example:
        >>> wtool.check("model.keras").findings  # doctest: +SKIP
    """
    checked("configuration", bool, configuration)
    name = text_of(path_of("path", path))
    return Checked(without_query(name), tuple(_worst(_found(name, progress, configuration))))


def _found(name: str, progress: pipeline.Progress | None, configuration: bool) -> Iterator[Finding]:
    try:
        with open_checkpoint(name) as checkpoint:
            yield from _of_configuration(checkpoint)
            yield from _of_members(checkpoint)
            yield from _of_notes(checkpoint)
            if configuration:
                return
            try:
                verify(checkpoint.sources[0], checkpoint.members)
                yield from _of_values(checkpoint, progress)
            except Refused as error:
                yield _refusal(error)
    except Refused as error:
        alone = None if name == "-" or tree.is_folder(name) else architecture(name)
        if alone is None:
            yield from _of_damaged(name, configuration)
            yield _refusal(error)
        else:
            yield from _suspected(alone, "")


def check_listed(
    folder: str, entry: FoundFile, progress: pipeline.Progress | None = None, configuration: bool = False
) -> Checked | None:
    """Like `check`, of something that was found in a folder; None if it is no model, by its name nor by its content.

    Args:
        folder: that was searched.
        entry: of its `listing`.
        progress: called with bytes done and bytes in all.
        configuration: see `check`.

    Raises:
        WtoolError: it cannot be read.
    """
    if entry.kind == CLOSED:
        raise WtoolError("a folder that cannot be read", entry.path)
    if entry.kind == SPECIAL:
        return _one(entry.path, "note", "a pipe, socket or device, which is not opened")
    if entry.kind == NAMELESS:
        return _one(entry.path, "note", "a name that no address can have; it is not opened")
    if entry.kind == LINK:
        return _of_link(folder, entry.path)
    if name_of(entry.path) == OTHER_WEIGHTS:
        return _one(entry.path, "runs", PICKLING)
    if name_of(entry.path) in OF_SAVED_MODEL:
        return _one(entry.path, "runs", "a SavedModel, whose TensorFlow graph may do anything; wtool does not read it")
    if entry.kind == PART and folder_of(entry.path) == entry.of:
        return None  # looked at with the unzipped model that it is a part of
    if is_model_name(entry.path) or entry.is_folder:
        return check(entry.path, progress, configuration=configuration)
    if not may_be_model(entry.path):
        return None
    found = check(entry.path, progress, configuration=configuration)
    is_other = is_plain_json(entry.path) or (_is_refusal_alone(found) and not mentions(entry.path))
    return None if is_other else found


def _is_refusal_alone(found: Checked) -> bool:
    """Whether all that is known of a file is that it was refused; what it would run or import is known of models."""
    kinds = [each.kind for each in found.findings if not each.where]
    return len(found.findings) == len(kinds) == 1 and kinds[0] in SEVERITIES and kinds[0] != "runs"


def _one(path: str, kind: str, what: str) -> Checked:
    return Checked(path, (Finding(kind, "", what),))


def _of_link(folder: str, path: str) -> Checked:
    target = os.path.realpath(path)
    if target.startswith(os.path.join(os.path.realpath(folder), "")) and os.path.exists(target):
        return _one(path, "note", "a symbolic link; what it leads to is looked at under its own name")
    return _one(path, "reaches", "a symbolic link that leads out of the folder, and is not followed")


def _refusal(error: Refused) -> Finding:
    return Finding(error.severity, "", error.message.removeprefix("damaged: "))


def _of_damaged(name: str, configuration: bool) -> Iterator[Finding]:
    """What Keras would do before it finds the damage, or with what wtool does not read."""
    if not configuration and name != "-" and not tree.is_folder(name) and mentions(name, (OTHER_WEIGHTS.encode(),)):
        yield Finding("runs", OTHER_WEIGHTS, PICKLING)
    for label, config in configurations(name) if name != "-" else ():
        yield from _suspected(config, label)


def _suspected(config: Any, label: str) -> Iterator[Finding]:
    for found in unsafe_parts(config, label):
        yield Finding(found.kind, found.where, found.what)


def _of_notes(checkpoint: Checkpoint) -> Iterator[Finding]:
    for note in checkpoint.notes:
        yield Finding(note.severity if isinstance(note, Note) else "odd", "", note)


def _of_configuration(checkpoint: Checkpoint) -> Iterator[Finding]:
    for label, config in (("", checkpoint.config), ("training_config", training_config(checkpoint))):
        yield from _suspected(config, label)


def _worst(found: Iterable[Finding]) -> list[Finding]:
    """The most severe first; a thousand of them at most, and how many there are besides."""
    count = 0

    def counted() -> Iterator[Finding]:
        nonlocal count
        for each in found:
            count += 1
            yield each

    kept = heapq.nlargest(MOST, counted(), key=rank)
    return [*kept, Finding(kept[-1].severity, "", f"{count - MOST:,} more findings")] if count > MOST else kept


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
    for tensor, _, found in pipeline.verified_scan([checkpoint], looks, progress):
        counts[tensor.path] = counts.get(tensor.path, 0) + found
    return [Finding("values", path, f"{count:,} NaN or infinite values") for path, count in counts.items() if count]


def _nonfinite(blocks: Sequence[Array], start: int, stop: int) -> int:
    values = blocks[0]
    parts = (values[at : at + BLOCK] for at in range(0, values.size, BLOCK))
    return sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)
