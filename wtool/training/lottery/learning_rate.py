"""Learning-rate rewinding: the optimizer of an earlier checkpoint, and the weights of a later one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from wtool.checkpoint.lineage import UNHASHED, Input, Record
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.patch import rewrite
from wtool.dtypes import Array
from wtool.io.places import Target
from wtool.run import pipeline
from wtool.run.matching import match

OPERATION = "rewind-schedule"

ORDER = ("operation", "parameters", "inputs", "wtool", "result")


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
    with ExitStack() as stack:
        pruned = stack.enter_context(open_checkpoint(model))
        base = stack.enter_context(open_checkpoint(initial, like=pruned))
        rows = zip(base.weights, match(base, pruned).tensors, strict=True)
        edits = [pipeline.Edit(own, (own, other), _other) for own, other in rows]
        chosen = {"weights": True, "biases": False, "include": list(include), "exclude": list(exclude)}

        def lineage(hashes: Sequence[tuple[str, ...]]) -> list[Record]:
            named = zip((initial, model), hashes, ("initial", "model"), strict=True)
            inputs = tuple(Input.at(path, each, {"as": role}) for path, each, role in named)
            return [*base.lineage, Record(OPERATION, chosen, inputs, order=ORDER)]

        new = rewrite(base, Target.at(output, True), lineage([(UNHASHED,), (UNHASHED,)]), stack)
        new.publish(lineage(pipeline.run([base, pruned], edits, new)))


def _other(blocks: Sequence[Array], start: int, stop: int) -> Array:
    return blocks[1]
