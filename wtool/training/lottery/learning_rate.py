"""Learning-rate rewinding: the optimizer of an earlier checkpoint, and the weights of a later one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.dtypes import Array
from wtool.run.changes import Changes, Edited
from wtool.run.derive import derive
from wtool.run.matching import match
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.target import Goal

OPERATION = "rewind-schedule"

ORDER = ("operation", "parameters", "inputs", "wtool", "result")
"""The keys of its record, in the order in which they are written."""


def rewind_schedule(model: str, initial: str, output: str, include: Sequence[str], exclude: Sequence[str]) -> None:
    """Write the earlier checkpoint with the weights of a pruned model: all else, optimizer and step too, is as it was.

    Args:
        model: path of the pruned model.
        initial: path of the earlier checkpoint.
        output: path of the result; what is there is replaced.
        include, exclude: which kernels were pruned; their zeros are a mask.

    Raises:
        Refused: damaged files, or of different architectures.
        WtoolError: a file is missing, or the output cannot be written.

    Source: Renda, Frankle & Carbin, arXiv:2003.02389.
    """
    chosen = {"weights": True, "biases": False, "include": list(include), "exclude": list(exclude)}
    with ExitStack() as stack:
        pruned = stack.enter_context(open_checkpoint(model))
        base = stack.enter_context(open_checkpoint(initial, like=pruned))
        operands = (Operand(base, {"as": "initial"}), Operand(pruned, {"as": "model"}, "model"))
        operation = Operation(Record(OPERATION, chosen, order=ORDER), operands, partial(_changes, pruned))
        derive(Plan(base, (operation,)), Goal(output, force=True))


def _changes(pruned: Checkpoint, edited: Edited, passes: Passes) -> Changes:
    rows = zip(edited.base.weights, match(edited.base, pruned).tensors, strict=True)
    return Changes(tuple(Edit(own, (own, other), _other) for own, other in rows))


def _other(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[1]
