"""The lineage of a model as a tree: what was done to it, with which inputs, and how these were made."""

from __future__ import annotations

from collections.abc import Sequence

from wtool.checkpoint.lineage import Input, Record, without_masks
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.seal import is_sealed
from wtool.io.addresses import text_of, without_query
from wtool.ops.history_options import History, HistoryInput, HistoryStep
from wtool.ops.recorded_calls import Unrepeatable, call_of, options_told
from wtool.option import checked
from wtool.words import Path

DEEPEST = 8
"""How many pipes deep the histories of inputs are told apart; deeper ones are told together."""


def history(model: Path, *, verify: bool = False) -> History:
    """Tell how a model was made, by its lineage: operations, options, inputs with their content hashes.

    The lineage is a note in the file. `verify` reads the whole file, and tells whether the file still is what wtool
    wrote with that note.

    Args:
        model: a file, the folder of an unzipped model, or `-` for standard input.
        verify: whether to read the whole file.

    Returns:
        one `wtool.History`.

    Raises:
        Refused: the file is no Keras model, damaged, or hostile.
        WtoolError: the file is missing or unreadable.

    Example:
        >>> wtool.history("pruned.keras").steps[-1].operation  # doctest: +SKIP
    """
    path = text_of(checked("model", Path, model))
    with open_checkpoint(path) as checkpoint:
        sealed = is_sealed(checkpoint) if checked("verify", bool, verify) else None
        return History(without_query(path), steps_of(checkpoint.lineage), sealed)


def steps_of(records: Sequence[Record]) -> tuple[HistoryStep, ...]:
    """Returns the steps that records tell, oldest first.

    Records that an input brought through a pipe stand before the record of the operation that read the pipe; they
    become the steps of that input.
    """
    return _told(records, [record.is_own for record in records], 0)


def grouped(
    records: Sequence[Record], is_step: Sequence[bool]
) -> tuple[list[tuple[Record, list[Record]]], list[Record]]:
    """Returns each record that is a step, with the records before it that an input brought; and the records at the end.

    Args:
        records: oldest first.
        is_step: whether each record is a step; others were brought.
    """
    found, brought = list[tuple[Record, list[Record]]](), list[Record]()
    for record, is_one in zip(records, is_step, strict=True):
        if is_one:
            found.append((record, brought))
            brought = []
        else:
            brought.append(record)
    return found, brought


def _told(records: Sequence[Record], is_step: Sequence[bool], depth: int) -> tuple[HistoryStep, ...]:
    pairs, rest = grouped(records, is_step)
    steps = [_step(record, brought, depth) for record, brought in pairs]
    return (*steps, *(_step(record, (), depth) for record in rest))  # nothing tells to what these belong


def _step(record: Record, brought: Sequence[Record], depth: int) -> HistoryStep:
    reason = None
    try:
        call_of(record)
    except Unrepeatable as error:
        reason = error.message
    inputs = [HistoryInput(each.name, role_of(each), each.hashes) for each in record.inputs]
    if brought:
        index, inputs = _taken_through_pipe(inputs, brought[-1])
        one = inputs[index]
        inputs[index] = HistoryInput(one.name, one.role, one.hashes, _brought(brought, depth + 1))
    return HistoryStep(record.operation, options_told(record), reason, tuple(inputs), without_masks(record.as_read()))


def brought_are_steps(brought: Sequence[Record], depth: int = 0) -> list[bool]:
    """Returns which of the records that came through a pipe are steps of what came: those with the role of the last.

    The others came through a pipe before.
    """
    return [depth >= DEEPEST or each.of == brought[-1].of for each in brought]


def _brought(brought: Sequence[Record], depth: int) -> tuple[HistoryStep, ...]:
    return _told(brought, brought_are_steps(brought, depth), depth)


def _taken_through_pipe(inputs: list[HistoryInput], last: Record) -> tuple[int, list[HistoryInput]]:
    """Returns the index of the input that came through a pipe, among the inputs; adds one where no input says so."""
    names = [each.name for each in inputs]
    if "-" in names:
        return names.index("-"), inputs
    return len(inputs), [*inputs, HistoryInput("-", last.of or "", ())]


def role_of(each: Input) -> str:
    """Returns what an input was to its operation."""
    role = each.told.get("as")
    if isinstance(role, str):
        return role
    return "averaged" if "coefficient" in each.told else ""
