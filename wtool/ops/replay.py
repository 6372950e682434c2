"""A model made again from the records of its lineage, and compared with what it is, byte for byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from wtool.checkpoint.lineage import lineage_json
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage, WtoolError, a_few
from wtool.io import tree
from wtool.io.addresses import folder_of, name_of, text_of, trimmed, without_query
from wtool.io.source import Source
from wtool.ops.diff import diff
from wtool.ops.found_inputs import FoundInputs
from wtool.ops.recorded_calls import Unrepeatable
from wtool.ops.replay_options import Replayed
from wtool.ops.replay_run import Run
from wtool.ops.replay_steps import all_steps, steps_to
from wtool.option import checked
from wtool.run.batch import words_of
from wtool.words import Models, Path, Progress

BLOCK = 1 << 20


def replay(
    model: Path,
    *,
    inputs: Models | None = None,
    output: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Replayed:
    """Make a model again from the records of its lineage, and tell whether every byte is the same.

    The inputs are found by their content hashes, whatever they are called. The work begins with the latest step whose
    inputs are there.

    Args:
        model: a file, or the folder of an unzipped model.
        inputs: folders, which are searched with all folders below, and files; by default the folder of the model.
        output: path at which the new model is kept; by default it is thrown away.
        force: whether `output` may replace a file that is there.
        progress: called with the files that were hashed in search of inputs, and the files in all.

    Returns:
        one `wtool.Replayed`.

    Raises:
        WtoolError: an operation is not done again (a training, a record of another tool), inputs are not found, or a
            file is missing, damaged or hostile.
        Usage: arguments that do not go together.

    Example:
        >>> wtool.replay("pruned.keras", inputs="zoo/").same  # doctest: +SKIP
    """
    path = text_of(checked("model", Path, model))
    wanted = checked("output", Path | None, output)
    kept = None if wanted is None else text_of(wanted)
    if "-" in (path, kept):
        raise Usage("both models are read to be compared, and are files: no -")
    if kept is not None and not checked("force", bool, force) and tree.is_named(kept):
        raise WtoolError("exists already; --force replaces it", kept)
    words = words_of((folder_of(trimmed(path)) or ".") if inputs is None else checked("inputs", Models, inputs))
    for word in words if inputs is not None else ():
        if not tree.exists(word):
            raise WtoolError("No such file or directory", word)
    with open_checkpoint(path) as there, tempfile.TemporaryDirectory(prefix="wtool-replay-") as scratch:
        try:
            steps = steps_to(there.lineage, FoundInputs(words, progress))
            run = Run(scratch)
            made = run.made(steps, name_of(trimmed(path)), kept, force)
        except Unrepeatable as error:
            raise error.about(without_query(path)) from None
        with open_checkpoint(made) as new:
            same = _same_bytes(there, new)
            differences = () if same else tuple(_differences(there, new))
    found = {step.record.inputs[at].name: file for step in all_steps(steps) for at, file in step.found.items()}
    operations = tuple(step.call.operation for step in all_steps(steps))
    return Replayed(
        without_query(path), same, operations, found, None if kept is None else made, differences, tuple(run.notes)
    )


def _same_bytes(one: Checkpoint, other: Checkpoint) -> bool:
    """Returns whether two models have the same files, byte for byte."""
    return (
        tuple(one.parts) == tuple(other.parts)
        and len(one.sources) == len(other.sources)
        and all(_is_same(a, b) for a, b in zip(one.sources, other.sources, strict=True))
    )


def _is_same(a: Source, b: Source) -> bool:
    if a.size != b.size:
        return False
    pieces = ((start, min(BLOCK, a.size - start)) for start in range(0, a.size, BLOCK))
    return all(a.read(*piece) == b.read(*piece) for piece in pieces)


def _differences(there: Checkpoint, new: Checkpoint) -> Iterator[str]:
    """Yields in what a model differs from what was made again, a line for each kind of difference."""
    one, other = lineage_json(there.lineage), lineage_json(new.lineage)
    for mine, theirs in zip(one, other, strict=False):
        names = [name for name in dict.fromkeys([*mine, *theirs]) if mine.get(name) != theirs.get(name)]
        if names:
            yield f"the record of {mine.get('operation')}: {a_few(names)}"
    if len(one) != len(other):
        yield f"{len(one):,} records of its lineage, where {len(other):,} were made"
    mine, theirs = _members(there), _members(new)
    if names := [name for name in dict.fromkeys([*mine, *theirs]) if mine.get(name) != theirs.get(name)]:
        yield f"members of the archive: {a_few(names)}"
    found = diff(there.name, new.name)
    if tensors := [each.path for each in (*found.tensors, *found.slots) if each.is_different]:
        yield f"values of {len(tensors):,} tensors: {a_few(tensors)}"
    if alone := [*found.layers_added, *found.layers_removed, *found.tensors_added, *found.tensors_removed]:
        yield f"only in one of the two: {a_few(alone)}"
    if settings := [
        f"{each.layer} {each.key}".strip() for each in (*found.settings, *found.optimizer, *found.training)
    ]:
        yield f"settings: {a_few(settings)}"
    if found.equal:
        yield "no layer, setting or tensor: bytes that say the same"


def _members(model: Checkpoint) -> dict[str, tuple[int, int]]:
    """Returns name of each member of an archive -> its size and checksum."""
    return {each.name: (each.packed, each.crc) for each in model.members}
