"""One checkpoint out of several: in which order, what is averaged, what is kept, and the file that comes out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from wtool.checkpoint.inputs import expanded, named_folder, natural_key, one_place, target_for
from wtool.checkpoint.lineage import Input, Record, carried
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.patch import rewrite
from wtool.checkpoint.sharding import settle_left
from wtool.choices import OPTIMIZER_MODES, ORDERS, check_choice
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, WtoolError, a_few
from wtool.io.places import Target, check_target, make_folders
from wtool.run import optimizer_rule, pipeline
from wtool.run.matching import Match, match
from wtool.run.selection import arithmetic, selected
from wtool.run.target import stamps
from wtool.transforms.averaging import COEFFICIENTS, all_finite, normalised
from wtool.transforms.averaging import average as mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    named, skipped = _inputs_but(output, [os.fspath(path) for path in paths])
    ordered, told = _ordered(named, order, method)
    with ExitStack() as stack:
        checkpoints = _opened(ordered, optimizer == "drop", stack)
        base = checkpoints[-1]
        weights = COEFFICIENTS[method](len(checkpoints), *([] if value is None else [value]))
        shares = normalised(weights)
        plan = _plan(checkpoints, weights, include, exclude, optimizer, allow_nonfinite)
        where = None if output is None else os.fspath(output)
        target = target_for(base.format, base.name, where, "average")
        goal = Target.at(target, force, named_folder(where), stamps(checkpoints))
        if not dry_run:
            _prepare(goal, base, where)
        parameters = {} if value is None else {method: value}
        record = _record(method, parameters, optimizer, include, exclude)
        if not dry_run:
            unhashed = [checkpoint.unhashed for checkpoint in checkpoints]
            earlier = [*base.lineage, *_brought(checkpoints)]
            draft = [*earlier, replace(record, inputs=_inputs(checkpoints, shares, unhashed))]
            new = rewrite(base, goal, draft, stack)
            try:
                hashes = pipeline.run(checkpoints, plan.edits, new, progress)
            except Refused as error:
                raise error.about(base.name) from None
            new.publish([*earlier, replace(record, inputs=_inputs(checkpoints, shares, hashes))])
            plan.notes.extend(_same_content(checkpoints, hashes))
        return Averaged(
            None if dry_run else target,
            tuple(zip((checkpoint.name for checkpoint in checkpoints), shares, strict=True)),
            plan.actions,
            sum(prod(edit.target.shape) for edit in plan.edits if plan.actions[edit.target.path] == "averaged"),
            (*skipped, *told, *_replacing(target, checkpoints), *plan.notes, *plan.differing()),
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


def _prepare(target: Target, base: Checkpoint, output: str | None) -> None:
    """Make the folder that `output` means, if its slash says that it is one; WtoolError if the target is in the way."""
    if output is not None and output.endswith(os.sep):
        make_folders(target)
    if base.format == "weights.json":
        settle_left(target)
    check_target(target)


Named = list[tuple[str, str]]
"""(word, path of a model that it means)."""


def _inputs_but(output: str | os.PathLike[str] | None, words: list[str]) -> tuple[Named, list[str]]:
    """The models that the words mean, without an earlier output among what folders and patterns hold; and notes."""
    paths: Named = []
    skipped: list[str] = []
    for word, path in expanded(words):
        found = word != path and output is not None and one_place(path, os.fspath(output))
        if found:
            skipped.append(path)
        else:
            paths.append((word, path))
    if not paths:
        raise Usage("no checkpoints to average")
    return paths, [f"{path} is the output of this command, not an input" for path in skipped]


def _replacing(target: str, checkpoints: Sequence[Checkpoint]) -> list[str]:
    same = [each.name for each in checkpoints if target != "-" and one_place(each.name, target)]
    return [f"{same[0]} was an input, and is the output now"] if same else []


def _ordered(named: Named, order: str | None, method: str) -> tuple[list[str], list[str]]:
    """The checkpoints from oldest to newest, and a note where that is not plain.

    Raises:
        Usage: it is not clear what is meant.
    """
    paths = [path for _, path in named]
    if order is None:
        return _usual(paths, all(word == path for word, path in named), method)
    if order == "given":
        return paths, []
    if order == "natural":
        return sorted(paths, key=natural_key), []
    if "-" in paths:
        raise Usage("standard input has no time of change; choose another --order")
    return sorted(paths, key=lambda path: (_modified(path), natural_key(path))), []


def _usual(paths: list[str], one_by_one: bool, method: str) -> tuple[list[str], list[str]]:
    """The order without --order: by name, but never silently another than the one that was typed.

    Shells sort what a pattern matches by characters, so words in that order were not typed in any.
    """
    natural = sorted(paths, key=natural_key)
    if not one_by_one or paths == natural:
        return natural, []
    is_of_shell = paths == sorted(paths)
    if method == "coefficients":
        if is_of_shell:
            raise Usage(
                f"the coefficients may be meant as typed or by number ({_sequence(natural)}); --order says which"
            )
        return paths, [f"coefficients in the order of the words, not of the names: {_sequence(paths)}"]
    if is_of_shell or (method == "equal" and paths[-1] == natural[-1]):
        return natural, []
    return natural, [f"in the order of the names, {natural[-1]} is the newest, not {paths[-1]}; see --order"]


def _sequence(paths: Sequence[str]) -> str:
    return ", ".join(paths) if len(paths) < 5 else f"{paths[0]}, {paths[1]}, ..., {paths[-1]}"


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


def _record(
    method: str, parameters: dict[str, Any], optimizer: str, include: Sequence[str], exclude: Sequence[str]
) -> Record:
    chosen = {"coefficients": method, **parameters, "optimizer": optimizer}
    chosen |= {name: list(globs) for name, globs in (("include", include), ("exclude", exclude)) if globs}
    return Record("average", chosen)


def _same_content(checkpoints: Sequence[Checkpoint], hashes: Sequence[tuple[str, ...]]) -> list[str]:
    """A note on copies: another name and the same bytes. One file under two names is noted before the run."""
    first: dict[tuple[str, ...], Checkpoint] = {}
    notes = []
    for checkpoint, own in zip(checkpoints, hashes, strict=True):
        twin = first.setdefault(own, checkpoint)
        if twin.sources[0].identity != checkpoint.sources[0].identity:
            notes.append(f"{checkpoint.name} and {twin.name} have the same content, which counts twice")
    return notes


def _brought(checkpoints: Sequence[Checkpoint]) -> list[Record]:
    """The lineage that a checkpoint from a pipe brings along; the newest's is the result's own."""
    base = checkpoints[-1]
    return [
        record for each in checkpoints[:-1] for record in carried(each.name, "averaged", each.lineage, base.lineage)
    ]


def _inputs(
    checkpoints: Sequence[Checkpoint], shares: Sequence[float], hashes: Sequence[tuple[str, ...]]
) -> tuple[Input, ...]:
    return tuple(
        Input.at(each.name, parts, {"coefficient": share})
        for each, share, parts in zip(checkpoints, shares, hashes, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    edits: list[pipeline.Edit]
    actions: dict[str, str]
    notes: list[str]
    kept_but_different: dict[str, None]

    def differing(self) -> list[str]:
        """A note on what had to be kept although the checkpoints disagree; known only after the run."""
        paths = list(self.kept_but_different)
        return [f"the newest's {a_few(paths)} kept; older checkpoints have other values"] if paths else []


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
    calculable = {tensor.path for tensor in numbers}
    plan = _Plan([], {}, _notes(checkpoints, matches, [each for each in numbers if each.path in chosen]), {})
    for tensor in base.weights:
        if tensor.path in chosen:
            plan.actions[tensor.path] = "averaged"
            apply = _averaging(columns[tensor.path], weights, checkpoints, allow_nonfinite)
            plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], apply))
        else:
            plan.actions[tensor.path] = "kept from the newest"
            if tensor.path not in calculable and len(checkpoints) > 1:
                plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], _watching(tensor, plan)))
    averaged = {edit.target.path: edit for edit in plan.edits if edit.target.path in chosen}
    if optimizer in ("follow", "reset") and base.slots:
        everything = optimizer == "reset" or len(chosen) == len(numbers)
        slots = (optimizer_rule.anew if everything else optimizer_rule.followed)(base, averaged)
        plan.edits.extend(slots.edits)
        plan.actions.update(slots.actions)
        plan.notes.extend(slots.notes)
    elif optimizer == "drop":
        plan.notes.append("the optimizer's state is left out")
    elif optimizer == "keep":
        plan.actions.update({tensor.path: "kept from the newest" for tensor in base.slots})
    return plan


def _notes(checkpoints: Sequence[Checkpoint], matches: Sequence[Match], chosen: Sequence[Tensor]) -> list[str]:
    told: dict[str, list[str]] = {}
    seen: set[tuple[int, int]] = set()
    for checkpoint, found in zip(checkpoints, matches, strict=True):
        again = ["the same file twice, which counts twice"] if checkpoint.sources[0].identity in seen else []
        seen.add(checkpoint.sources[0].identity)
        for note in (*checkpoint.notes, *([found.note] if found.note else []), *again):
            told.setdefault(note, []).append(checkpoint.name)
    notes = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}" for note, names in told.items()
    ]
    if len(checkpoints) == 1:
        notes.append("only one checkpoint: its average is itself")
    if len(checkpoints) > 1 and any(tensor.role in ("moving_mean", "moving_variance") for tensor in chosen):
        notes.append(
            "the moving statistics of batch normalisation are averaged too, but are not those of the averaged weights: "
            "run training data through the model in training mode, without training it, before it predicts"
        )
    return notes


def _averaging(
    columns: Sequence[Tensor], weights: NDArray[np.float64], checkpoints: Sequence[Checkpoint], allow_nonfinite: bool
) -> pipeline.Apply:
    size = prod(columns[-1].shape)

    def apply(blocks: Sequence[Array], start: int, stop: int) -> Array:
        new = mean(blocks, weights, size, out=blocks[0])
        if not allow_nonfinite and not all_finite(new):
            raise _nonfinite(columns, checkpoints, start, stop)
        return new

    return apply


def _nonfinite(columns: Sequence[Tensor], checkpoints: Sequence[Checkpoint], start: int, stop: int) -> Refused:
    for tensor, checkpoint in zip(columns, checkpoints, strict=True):
        if not all_finite(checkpoint.read_range(tensor, start, stop)):
            text = f"{tensor.path} holds NaN or infinite values; --allow-nonfinite averages them as well"
            return Refused(text, checkpoint.name)
    return Refused(f"the average of {columns[-1].path} is too large for {columns[-1].dtype}", checkpoints[-1].name)


def _watching(tensor: Tensor, plan: _Plan) -> pipeline.Apply:
    def apply(blocks: Sequence[Array], start: int, stop: int) -> None:
        newest = blocks[-1].view(np.uint8)
        if any(not np.array_equal(block.view(np.uint8), newest) for block in blocks[:-1]):
            plan.kept_but_different[tensor.path] = None

    return apply
