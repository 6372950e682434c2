"""One checkpoint out of several: in which order, what is averaged, what is kept, and the file that comes out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import open_checkpoint
from wtool.choices import OPTIMIZER_MODES, ORDERS, check_choice
from wtool.errors import Refused, Usage
from wtool.ops.average_inputs import STEM, inputs_but, ordered
from wtool.run import pipeline
from wtool.run.averaging import Averaging
from wtool.run.derive import Derived, derive
from wtool.run.plan import Plan
from wtool.run.target import Goal, goal_of, one_place, result_name


@dataclass(frozen=True, slots=True)
class Averaged:
    """What `average` did, or would do.

    Attributes:
        output: path of the new checkpoint, `-` for standard output; None after a dry run.
        inputs: path and coefficient of each checkpoint, oldest first; the coefficients add up to 1.
        actions: path of each tensor of the newest checkpoint -> what becomes of it.
        parameters: how many numbers were averaged.
        notes: what is worth knowing, one line each.
        skipped: the output was there already, made of the same checkpoints in the same way.
    """

    output: str | None
    inputs: tuple[tuple[str, float], ...]
    actions: dict[str, str]
    parameters: int
    notes: tuple[str, ...]
    skipped: bool = False


def average(
    paths: Sequence[str | os.PathLike[str]],
    *,
    equal: bool = False,
    linear: bool = False,
    decay: float | None = None,
    alpha: float | None = None,
    coefficients: Sequence[float] | None = None,
    output: str | os.PathLike[str] | None = None,
    order: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    optimizer: str = "follow",
    allow_nonfinite: bool = False,
    force: bool = False,
    dry_run: bool = False,
    progress: pipeline.Progress | None = None,
) -> Averaged:
    """Average the floating variables of checkpoints of one run into a new one, with the newest's format and config.

    Every value is round(sum_i(c_i * x_i) / sum_i(c_i)): float64 inside, rounded once to the variable's own dtype.
    One of `equal`, `linear`, `decay`, `alpha` and `coefficients` gives the coefficients; equal is the default.

    Args:
        paths: files, folders (searched for models) and patterns.
        equal: 1 for each.
        linear: n-k+1 for the k-th newest of n.
        decay: decay**age, the newest having age 0; 0 < decay <= 1.
        alpha: e**(-i/alpha), i = 1 for the newest, as in the Polyak-averaging tutorial.
        coefficients: one for each checkpoint, oldest first.
        output: of the new checkpoint; default `average` with the newest's extension, in the current folder.
        order: from oldest to newest: `natural` (by path, numbers as numbers), `given`, or `mtime`; default natural, but
            given for `coefficients` of files that are named one by one.
        include, exclude: average only tensors with paths like these; the others are the newest's.
        optimizer: `follow` and `reset` start it anew, `keep` leaves the newest's as it is, `drop` leaves it out.
        allow_nonfinite: average NaN and infinities instead of refusing them.
        force: replace an existing output.
        dry_run: say what would be done, and do nothing.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is damaged, the checkpoints do not match, or values are not finite.
        WtoolError: a file is missing, or the output exists or cannot be written.
        Usage: options that do not go together, or an order in which it is not clear which checkpoint is which.

    Example:
        >>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP
    """
    method, value = _method(equal, linear, decay, alpha, coefficients)
    _check_words(paths, include, exclude, order, optimizer)
    named, passed_by = inputs_but(output, [os.fspath(path) for path in paths])
    names, told = ordered(named, order, method)
    work = Averaging(method, value, include, exclude, optimizer, allow_nonfinite)
    with ExitStack() as stack:
        checkpoints = _opened(names, optimizer == "drop", stack)
        base = checkpoints[-1]
        name = result_name(STEM, base.format, base.name)
        goal = goal_of(None if output is None else os.fspath(output), name, ".", name, force=force, dry_run=dry_run)
        plan = work.plan(checkpoints)
        try:
            derived = derive(plan, goal, progress)
        except Refused as error:
            raise error.about(base.name) from None
        return _told(work, plan, goal, derived, [*passed_by, *told])


def _told(work: Averaging, plan: Plan, goal: Goal, derived: Derived, notes: Sequence[str]) -> Averaged:
    """What was done; of a result that was there already, what went into it."""
    operands = plan.operations[0].operands
    inputs = tuple((each.checkpoint.name, each.told["coefficient"]) for each in operands)
    if derived.there is not None:
        return Averaged(goal.path, inputs, {}, 0, tuple(notes), skipped=True)
    checkpoints, change = [each.checkpoint for each in operands], derived.change
    hashes = [*derived.hashes[1:], *derived.hashes[:1]]  # oldest first: the base is the newest
    same = _same_content(checkpoints, hashes) if hashes else []
    return Averaged(
        None if goal.dry_run else goal.path,
        inputs,
        dict(change.actions),
        sum(prod(tensor.shape) for tensor in plan.base.weights if change.actions[tensor.path] == "averaged"),
        (*notes, *_replacing(goal.path, checkpoints), *change.notes, *same, *work.kept_but_different()),
    )


def _method(
    equal: bool, linear: bool, decay: float | None, alpha: float | None, coefficients: Sequence[float] | None
) -> tuple[str, Any]:
    """Name in `COEFFICIENTS`, and its value where it takes one."""
    chosen: list[tuple[str, Any]] = [(name, None) for name, on in (("equal", equal), ("linear", linear)) if on]
    listed = None if coefficients is None else list(coefficients)
    chosen += [each for each in (("exp", decay), ("alpha", alpha), ("coefficients", listed)) if each[1] is not None]
    if len(chosen) > 1:
        raise Usage(f"{' and '.join(name for name, _ in chosen)} contradict each other; choose one")
    return chosen[0] if chosen else ("equal", None)


def _check_words(paths: object, include: object, exclude: object, order: str | None, optimizer: str) -> None:
    """From Python, words come unchecked; a text where several are expected would be taken letter by letter."""
    for name, value in (("paths", paths), ("include", include), ("exclude", exclude)):
        if isinstance(value, (str, os.PathLike)):
            raise Usage(f"{name} is a list, not a single text")
    if order is not None:
        check_choice(order, "order", ORDERS)
    check_choice(optimizer, "optimizer", OPTIMIZER_MODES)


def _replacing(target: str, checkpoints: Sequence[Checkpoint]) -> list[str]:
    same = [each.name for each in checkpoints if target != "-" and one_place(each.name, target)]
    return [f"{same[0]} was an input, and is the output now"] if same else []


def _opened(paths: Sequence[str], drop: bool, stack: ExitStack) -> list[Checkpoint]:
    """All checkpoints; the newest first, since its index mostly serves the others too."""
    base = stack.enter_context(open_checkpoint(paths[-1], drop_optimizer=drop))
    older = [stack.enter_context(open_checkpoint(path, like=base)) for path in paths[:-1]]
    return [*older, base]


def _same_content(checkpoints: Sequence[Checkpoint], hashes: Sequence[tuple[str, ...]]) -> list[str]:
    """A note on copies: another name and the same bytes. One file under two names is noted before the run."""
    first: dict[tuple[str, ...], Checkpoint] = {}
    notes = []
    for checkpoint, own in zip(checkpoints, hashes, strict=True):
        twin = first.setdefault(own, checkpoint)
        if twin.sources[0].identity != checkpoint.sources[0].identity:
            notes.append(f"{checkpoint.name} and {twin.name} have the same content, which counts twice")
    return notes
