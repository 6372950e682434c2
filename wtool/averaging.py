"""One checkpoint out of several: in which order, what is averaged, what is kept, and the file that comes out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool import optimizer_rule, pipeline
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, WtoolError
from wtool.files.checkpoint import Checkpoint, Tensor
from wtool.files.inputs import expanded, extension, natural_key
from wtool.files.opener import open_checkpoint
from wtool.files.publish import check_target
from wtool.files.rewrite import rewrite
from wtool.matching import Match, match
from wtool.selection import arithmetic, selected
from wtool.transforms.averaging import COEFFICIENTS, all_finite
from wtool.transforms.averaging import average as mean
from wtool.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDERS = ("natural", "given", "mtime")
UNHASHED = "blake3:" + 64 * "0"  # as long as the hash that takes its place


@dataclass(frozen=True, slots=True)
class Averaged:
    """What `average` did, or would do.

    Attributes:
        output: path of the new checkpoint, `-` for standard output; None after a dry run.
        inputs: path and coefficient of each checkpoint, oldest first; the coefficients add up to 1.
        actions: path of each tensor of the newest checkpoint -> what becomes of it.
        parameters: how many numbers were averaged.
        notes: what is worth knowing, one line each.
    """

    output: str | None
    inputs: tuple[tuple[str, float], ...]
    actions: dict[str, str]
    parameters: int
    notes: tuple[str, ...]


def average(
    paths: Sequence[str | os.PathLike[str]],
    *,
    equal: bool = False,
    linear: bool = False,
    decay: float | None = None,
    alpha: float | None = None,
    coefficients: Sequence[float] | None = None,
    output: str | os.PathLike[str] | None = None,
    order: str = "natural",
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
        order: from oldest to newest: `natural` (by path, numbers as numbers), `given`, or `mtime`.
        include, exclude: average only tensors with paths like these; the others are the newest's.
        optimizer: `follow` and `reset` start it anew, `keep` leaves the newest's as it is, `drop` leaves it out.
        allow_nonfinite: average NaN and infinities instead of refusing them.
        force: replace an existing output.
        dry_run: say what would be done, and do nothing.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is damaged, the checkpoints do not match, or values are not finite.
        WtoolError: a file is missing, or the output exists or cannot be written.
        Usage: options that do not go together.

    Example:
        >>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP
    """
    method, value = _method(equal, linear, decay, alpha, coefficients)
    words = expanded([os.fspath(path) for path in paths])
    if not words:
        raise Usage("no checkpoints to average")
    with ExitStack() as stack:
        checkpoints = _opened(_ordered(words, order), optimizer == "drop", stack)
        base = checkpoints[-1]
        weights = COEFFICIENTS[method](len(checkpoints), *([] if value is None else [value]))
        shares = [float(share) for share in weights / weights.sum()]
        plan = _plan(checkpoints, weights, include, exclude, optimizer, allow_nonfinite)
        target = os.fspath(output) if output is not None else f"average{_extension(base)}"
        parameters = {} if value is None else {method: value}
        record = _record(method, parameters, optimizer, include, exclude)
        if not dry_run:
            check_target(target, force)
            unhashed = [(UNHASHED,) * len(checkpoint.sources) for checkpoint in checkpoints]
            draft = [*base.lineage, record | {"inputs": _inputs(checkpoints, shares, unhashed)}]
            new = rewrite(base, target, force, draft, stack)
            try:
                hashes = pipeline.run(checkpoints, plan.edits, new, progress)
            except Refused as error:
                raise error.about(base.name) from None
            new.publish([*base.lineage, record | {"inputs": _inputs(checkpoints, shares, hashes)}])
        return Averaged(
            None if dry_run else target,
            tuple(zip((checkpoint.name for checkpoint in checkpoints), shares, strict=True)),
            plan.actions,
            sum(prod(edit.target.shape) for edit in plan.edits if plan.actions[edit.target.path] == "averaged"),
            (*plan.notes, *plan.differing()),
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


def _ordered(paths: list[str], order: str) -> list[str]:
    if order == "given":
        return paths
    if order == "natural":
        return sorted(paths, key=natural_key)
    if "-" in paths:
        raise Usage("standard input has no time of change; choose another --order")
    return sorted(paths, key=lambda path: (_modified(path), natural_key(path)))


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise WtoolError(error.strerror or str(error), path) from None


def _opened(paths: Sequence[str], drop: bool, stack: ExitStack) -> list[Checkpoint]:
    """All checkpoints; the newest first, since its index mostly serves the others too."""
    base = stack.enter_context(open_checkpoint(paths[-1], drop_optimizer=drop))
    older = [stack.enter_context(open_checkpoint(path, like=base)) for path in paths[:-1]]
    return [*older, base]


def _extension(base: Checkpoint) -> str:
    return extension(base.name) or (".keras" if base.format == "keras" else ".h5")


def _record(
    method: str, parameters: dict[str, Any], optimizer: str, include: Sequence[str], exclude: Sequence[str]
) -> dict[str, Any]:
    chosen = {"coefficients": method, **parameters, "optimizer": optimizer}
    chosen |= {name: list(globs) for name, globs in (("include", include), ("exclude", exclude)) if globs}
    return {"operation": "average", "parameters": chosen, "wtool": __version__}


def _inputs(
    checkpoints: Sequence[Checkpoint], shares: Sequence[float], hashes: Sequence[tuple[str, ...]]
) -> list[dict[str, Any]]:
    return [
        {
            "name": os.path.basename(each.name),
            "coefficient": share,
            "hash": parts[0] if len(parts) == 1 else list(parts),
        }
        for each, share, parts in zip(checkpoints, shares, hashes, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Plan:
    edits: list[pipeline.Edit]
    actions: dict[str, str]
    notes: list[str]
    kept_but_different: dict[str, None]

    def differing(self) -> list[str]:
        """A note on what had to be kept although the checkpoints disagree; known only after the run."""
        paths = list(self.kept_but_different)
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        return [f"the newest's {', '.join(paths[:3])}{more} kept; older checkpoints have other values"] if paths else []


def _plan(
    checkpoints: Sequence[Checkpoint],
    weights: NDArray[np.float64],
    include: Sequence[str],
    exclude: Sequence[str],
    optimizer: str,
    allow_nonfinite: bool,
) -> _Plan:
    base = checkpoints[-1]
    matches = [match(base, checkpoint) for checkpoint in checkpoints[:-1]] + [Match(base.weights)]
    columns = dict(zip((tensor.path for tensor in base.weights), zip(*(m.tensors for m in matches), strict=True),
                       strict=True))  # fmt: skip
    numbers = arithmetic(base.weights)
    chosen = {tensor.path for tensor in selected(numbers, include, exclude)}
    plan = _Plan([], {}, _notes(checkpoints, matches, [each for each in numbers if each.path in chosen]), {})
    for tensor in base.weights:
        if tensor.path in chosen:
            plan.actions[tensor.path] = "averaged"
            apply = _averaging(columns[tensor.path], weights, checkpoints, allow_nonfinite)
            plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], apply))
        else:
            plan.actions[tensor.path] = "kept from the newest"
            if tensor not in numbers and len(checkpoints) > 1:
                plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], _watching(tensor, plan)))
    averaged = {edit.target.path: edit for edit in plan.edits if edit.target.path in chosen}
    if optimizer in ("follow", "reset") and base.slots:
        slots = optimizer_rule.anew(base, averaged)
        plan.edits.extend(slots.edits)
        plan.actions.update(slots.actions)
        plan.notes.extend(slots.notes)
    elif optimizer == "keep":
        plan.actions.update({tensor.path: "kept from the newest" for tensor in base.slots})
    return plan


def _notes(checkpoints: Sequence[Checkpoint], matches: Sequence[Match], chosen: Sequence[Tensor]) -> list[str]:
    notes = [f"{each.name}: {note}" for each in checkpoints for note in each.notes]
    notes += [f"{each.name}: {m.note}" for each, m in zip(checkpoints, matches, strict=True) if m.note]
    if len(checkpoints) == 1:
        notes.append("only one checkpoint: its average is itself")
    seen: dict[tuple[int, int], str] = {}
    for each in checkpoints:
        first = seen.setdefault(each.sources[0].identity, each.name)
        if first is not each.name:
            notes.append(f"{each.name} and {first} are the same file, which counts twice")
    if len(checkpoints) > 1 and any(tensor.role in ("moving_mean", "moving_variance") for tensor in chosen):
        notes.append("averaged moving statistics of batch normalisation are approximate; "
                     "a pass over training data makes them exact")  # fmt: skip
    return notes


def _averaging(
    columns: Sequence[Tensor], weights: NDArray[np.float64], checkpoints: Sequence[Checkpoint], allow_nonfinite: bool
) -> pipeline.Apply:
    size = prod(columns[-1].shape)

    def apply(blocks: Sequence[Array], start: int, stop: int) -> Array:
        new = mean(blocks, weights, size, out=blocks[0])
        if not allow_nonfinite and not all_finite(new):
            raise _nonfinite(columns, checkpoints)
        return new

    return apply


def _nonfinite(columns: Sequence[Tensor], checkpoints: Sequence[Checkpoint]) -> Refused:
    for tensor, checkpoint in zip(columns, checkpoints, strict=True):
        if not all_finite(checkpoint.read(tensor).reshape(-1)):
            text = f"{tensor.path} holds NaN or infinite values; --allow-nonfinite averages them as well"
            return Refused(text, checkpoint.name)
    return Refused(f"the average of {columns[-1].path} is too large for {columns[-1].dtype}", checkpoints[-1].name)


def _watching(tensor: Tensor, plan: _Plan) -> pipeline.Apply:
    def apply(blocks: Sequence[Array], start: int, stop: int) -> None:
        newest = blocks[-1].view(np.uint8)
        if any(not np.array_equal(block.view(np.uint8), newest) for block in blocks[:-1]):
            plan.kept_but_different[tensor.path] = None

    return apply
