"""One transform of one model: open, select, look, change, publish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from wtool.checkpoint.initializers import initializers, output_kernels
from wtool.checkpoint.lineage import Input, Record, Result, carried, mask_origin, own_records
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.checkpoint.patch import rewrite
from wtool.dtypes import Array
from wtool.errors import Usage, WtoolError
from wtool.io.places import Target
from wtool.run import optimizer_rule, pipeline
from wtool.run.matching import match
from wtool.run.selection import by_role
from wtool.run.target import done_before, goal
from wtool.schema.layers import built_in
from wtool.transforms.change import Apply, Blocks, Change, Look, Site, Transform, put
from wtool.transforms.streams import CHUNK, overlaps

COUNTED = ("selected", "rewritten", "zeros")
"""What is counted in a result, of values: see `Transformed`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A transform of one model, and how.

    Attributes:
        transform: what is done.
        model: path, or `-` for standard input.
        target: path of the result, or `-`.
        initial: path of the initial checkpoint, for transforms that need one.
        include, exclude, weights, biases: which tensors; see `selection.by_role`.
        optimizer: what becomes of it.
        seed: of the random numbers.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        force: whether an existing target may be replaced.
        dry_run: do everything but write.
        make_folder: whether the target's folder may be made.
        below: the folder below which no symbolic link is followed to the target; None where it was named itself.
    """

    transform: Transform
    model: str
    target: str
    initial: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    weights: bool
    biases: bool
    optimizer: str
    seed: int
    seed_is_given: bool
    force: bool
    dry_run: bool
    make_folder: bool
    below: str | None

    def run(self, opener: Opener, progress: pipeline.Progress | None = None) -> Transformed:
        """Do it."""
        return transform(self, opener, progress)


@dataclass(frozen=True, slots=True)
class Transformed:
    """What was done to a model, or would be.

    Attributes:
        model: path.
        output: path of the result, `-` for standard output; None after a dry run.
        skipped: the output was there already, made of the same input in the same way.
        seed: of the random numbers; None where none were drawn.
        selected: how many values the operation was about.
        rewritten: how many of them it wrote.
        zeros: how many of them are zero now.
        actions: path of each tensor -> what became of it.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    seed: int | None = None
    selected: int = 0
    rewritten: int = 0
    zeros: int = 0
    actions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def transform(task: Task, opener: Opener, progress: pipeline.Progress | None = None) -> Transformed:
    """Do the task.

    Args:
        task: what, to which model, and how.
        opener: opens the model.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is damaged, or cannot take part.
        WtoolError: a file is missing, or the target exists or cannot be written.
        Usage: words that match nothing.
    """
    with ExitStack() as stack:
        inputs = _opened(task, opener, stack)
        base, target = inputs[0], goal(task, inputs)
        try:
            done = done_before(task, base, _record(task), partial(_hashed_inputs, task, inputs))
            if done is not None:
                return _skipped(task, done)
            return _transformed(task, target, inputs, _Steps(progress, base.sources[-1].size), stack)
        except WtoolError as error:
            raise error.about(task.model) from None


def _skipped(task: Task, record: Record) -> Transformed:
    """What the result that is there already says of itself."""
    told = record.result.counts if record.result is not None else {}
    selected, rewritten, zeros = (told.get(name, 0) for name in COUNTED)
    return Transformed(task.model, task.target, True, record.seed, selected=selected, rewritten=rewritten, zeros=zeros)


def _brought(task: Task, inputs: Sequence[Checkpoint]) -> list[Record]:
    """The lineage that the other checkpoint brings along, where it is nowhere else."""
    named = zip(inputs[1:], _roles(task)[1:])  # noqa: B905
    return [record for each, role in named for record in carried(each.name, role, each.lineage, inputs[0].lineage)]


def _opened(task: Task, opener: Opener, stack: ExitStack) -> list[Checkpoint]:
    """The checkpoint that is changed, then the other one, where there is one."""
    of_initial, drop = task.transform.of_initial, task.optimizer == "drop"
    model = opener.open(task.model, stack, drop_optimizer=drop and not of_initial)
    if task.initial is None:
        return [model]
    initial = stack.enter_context(open_checkpoint(task.initial, like=model, drop_optimizer=drop and of_initial))
    return [initial, model] if of_initial else [model, initial]


def _transformed(
    task: Task, target: Target, inputs: Sequence[Checkpoint], steps: _Steps, stack: ExitStack
) -> Transformed:
    plan = _plan(task, inputs, steps)
    base, record = inputs[0], _record(task)
    if task.dry_run:
        for _ in pipeline.scan(inputs, plan.edits, steps.run):
            pass
    else:
        unhashed = [each.unhashed for each in inputs]
        most = {name: plan.total("size") for name in COUNTED}
        earlier = [*base.lineage, *_brought(task, inputs)]
        draft = replace(record, inputs=_inputs(task, inputs, unhashed), result=Result(most))
        new = rewrite(base, target, [*earlier, draft], stack)
        hashes = pipeline.run(inputs, plan.edits, new, steps.run)
        new.publish([*earlier, replace(record, inputs=_inputs(task, inputs, hashes), result=Result(plan.counted()))])
    return Transformed(
        task.model,
        None if task.dry_run else task.target,
        seed=task.seed if task.transform.is_random else None,
        selected=plan.total("size"),
        rewritten=plan.total("rewritten"),
        zeros=plan.total("zeros"),
        actions={path: str(plan.counts.get(path, action)) for path, action in plan.actions.items()},
        notes=tuple(plan.notes),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    edits: list[pipeline.Edit]
    counts: dict[str, _Count]
    actions: dict[str, str]
    notes: list[str]

    def total(self, what: str) -> int:
        """Of all selected tensors."""
        return sum(getattr(each, what) for each in self.counts.values())

    def counted(self) -> dict[str, int]:
        """What the lineage tells of the result."""
        return dict(zip(COUNTED, map(self.total, ("size", "rewritten", "zeros")), strict=True))


@dataclass(slots=True)
class _Count:
    """Of the values of a tensor: how many were written, and how many are zero now."""

    size: int
    rewritten: int = 0
    zeros: int = 0

    def __str__(self) -> str:
        return f"{self.rewritten:,} of {self.size:,} rewritten; {self.zeros:,} are zero"


def _plan(task: Task, inputs: Sequence[Checkpoint], steps: _Steps) -> _Plan:
    base = inputs[0]
    found = [match(base, other) for other in inputs[1:]]
    rows = zip(base.weights, *(each.tensors for each in found), strict=True)
    columns = {row[0].path: row for row in rows}
    chosen = by_role(base.weights, task.include, task.exclude, task.weights, task.biases)
    if not chosen:
        raise Usage("nothing is selected; --weights, --biases and --include say what is")
    zeroed = _zeroed_biases(task, base, chosen)
    own = [columns[tensor.path] for tensor in chosen]
    data = _Files(inputs, columns, _sites(inputs, own, task.transform.of_initial), steps)
    prepared = task.transform.prepare(data, task.seed, _earlier(base, task.transform.name))
    changes = {**prepared.changes, **{tensor.path: _emptied for tensor in zeroed}}
    plan = _Plan([], {tensor.path: _Count(prod(tensor.shape)) for tensor in chosen}, {}, [])
    plan.notes.extend(note for each in inputs for note in each.notes)
    plan.notes.extend(each.note for each in found if each.note)
    plan.notes.extend(prepared.notes)
    empty = {tensor.path for tensor in zeroed}
    for tensor in base.weights:
        original = tensor.copy_of or tensor.path
        change = changes.get(original)
        count = plan.counts.get(tensor.path, _Count(0))
        plan.actions[tensor.path] = (
            "kept" if change is None else "set to 0" if tensor.path in empty else f"as {original}"
        )
        if change is not None:
            plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], partial(_rewrite, change, count)))
        elif tensor.path in plan.counts:
            plan.edits.append(pipeline.Edit(tensor, columns[tensor.path], partial(_look_only, count)))
    _follow(task, inputs, data, changes, plan)
    return plan


def _zeroed_biases(task: Task, base: Checkpoint, chosen: Sequence[Tensor]) -> list[Tensor]:
    """The biases beside the chosen kernels, where the operation empties them and they are not chosen themselves.

    In a layer of its author's own class, a vector only counts as a bias by its rank. It may as well be a scale, which
    zeros would silence for good, so it keeps its initial values.
    """
    if task.biases or not task.transform.empties_biases:
        return []
    layers = {tensor.layer for tensor in chosen}
    biases = by_role(base.weights, (), task.exclude, kernels=False, biases=True)
    return [tensor for tensor in biases if tensor.layer in layers and _is_surely_a_bias(tensor)]


def _is_surely_a_bias(tensor: Tensor) -> bool:
    if tensor.layer_class is None:
        return tensor.path.endswith("bias")
    return built_in(tensor.layer_class) is not None


def _emptied(blocks: Blocks, start: int) -> Change:
    return Change(None, blocks[0].dtype.type(0))


def _look_only(count: _Count, blocks: Sequence[Array], start: int, stop: int) -> None:
    """Count the zeros of a tensor in which nothing changes."""
    count.zeros += int(np.count_nonzero(blocks[0] == 0))


def _rewrite(change: Apply, count: _Count, blocks: Sequence[Array], start: int, stop: int) -> Array:
    """Make the change in the first of the blocks, in parts that stay in the cache."""
    values = blocks[0]
    for number, first, last in overlaps(start, stop):
        low, high = number * CHUNK + first, number * CHUNK + last
        part = [block[low - start : high - start] for block in blocks]
        made = change(part, low)
        put(part[0], made)
        count.rewritten += _how_many(made.where, len(part[0]))
        count.zeros += int(np.count_nonzero(part[0] == 0))
    return values


def _how_many(where: Array | None, size: int) -> int:
    if where is None:
        return size
    return int(np.count_nonzero(where)) if where.dtype == np.bool_ else len(where)


def _follow(task: Task, inputs: Sequence[Checkpoint], data: _Files, changes: Mapping[str, Apply], plan: _Plan) -> None:
    """What the operation means for the optimizer."""
    base = inputs[0]
    if task.optimizer == "drop":
        plan.notes.append("the optimizer's state is left out")
        return
    if task.optimizer == "keep" or not base.slots:
        plan.actions.update({tensor.path: "kept" for tensor in base.slots})
        return
    if task.optimizer == "reset":
        edits = {edit.target.path: edit for edit in plan.edits}
        uncounted = {
            path: pipeline.Edit(edits[path].target, edits[path].inputs, partial(_rewrite, change, _Count(0)))
            for path, change in changes.items()
        }
        slots = optimizer_rule.anew(base, uncounted)
    else:
        columns = {path: data.columns[path][0] for path in changes}
        slots = optimizer_rule.followed_by_value(
            base, columns, {path: partial(data.changed, path, change) for path, change in changes.items()}
        )
    plan.edits.extend(slots.edits)
    plan.actions.update(slots.actions)
    plan.notes.extend(slots.notes)


@dataclass(frozen=True, slots=True)
class _Files:
    """The chosen tensors of one or two open checkpoints, for a transform to look at."""

    inputs: Sequence[Checkpoint]
    columns: Mapping[str, tuple[Tensor, ...]]
    sites: Sequence[Site]
    steps: _Steps

    def walk(self, look: Look, sites: Sequence[Site]) -> Iterator[tuple[Site, int, Any]]:
        """Hand every block of `sites` to `look`, in the order of the file."""
        named = {site.path: site for site in sites}
        looks = []
        for site in sites:
            column = self.columns[site.path]
            looks.append(pipeline.Edit(column[0], column, partial(_looked, look, site)))
        for tensor, start, found in pipeline.scan(self.inputs, looks, self.steps.scan):
            yield named[tensor.path], start, found

    def read(self, site: Site, start: int, stop: int) -> Blocks:
        """The values [start, stop) of a tensor, in each of the checkpoints."""
        return self._blocks(site.path, start, stop)

    def _blocks(self, path: str, start: int, stop: int) -> Blocks:
        column = self.columns[path]
        return [each.read_range(tensor, start, stop) for each, tensor in zip(self.inputs, column, strict=True)]

    def changed(self, path: str, change: Apply, start: int, stop: int) -> Change:
        """What changes in the range [start, stop) of a tensor."""
        return change(self._blocks(path, start, stop), start)


def _looked(look: Look, site: Site, blocks: Blocks, start: int, stop: int) -> Any:
    return look(site, blocks, start)


def _sites(inputs: Sequence[Checkpoint], columns: Sequence[tuple[Tensor, ...]], of_initial: bool) -> list[Site]:
    base = inputs[0]
    kernels = [tensor for tensor in base.weights if tensor.role.endswith("kernel") and tensor.copy_of is None]
    outputs = {tensor.path for tensor in output_kernels(base, kernels)}
    told = [initializers(each) for each in inputs] if of_initial else []
    return [
        Site(
            path=column[0].path,
            shape=column[0].shape,
            dtype=column[0].dtype,
            is_output=column[0].path in outputs,
            initializer=next((each[tensor.path] for each, tensor in zip(told, column) if tensor.path in each), None),  # noqa: B905
        )
        for column in columns
    ]


class _Steps:
    """Progress of a transform, in bytes of its file: looking, if anything has to be looked at, is half of it."""

    def __init__(self, progress: pipeline.Progress | None, size: int) -> None:
        self._progress = progress
        self._size = size
        self._looked = 0.0

    def scan(self, done: int, total: int) -> None:
        """A part of a pass that only looks; further ones begin where the first ended."""
        self._looked = max(self._looked, 0.5 * done / total)
        self._report(self._looked)

    def run(self, done: int, total: int) -> None:
        """A part of the pass that writes."""
        self._report(self._looked + (1 - self._looked) * done / total)

    def _report(self, share: float) -> None:
        if self._progress is not None:
            self._progress(int(share * self._size), self._size)


def _earlier(base: Checkpoint, name: str) -> int:
    """How often this operation was done to the checkpoint before, as its lineage tells."""
    return sum(record.operation == name for record in own_records(base.lineage))


def _record(task: Task) -> Record:
    """The lineage record, but for the inputs."""
    own = {each.name: getattr(task.transform, each.name) for each in fields(task.transform)}  # type: ignore[arg-type]
    parameters = {name: value for name, value in own.items() if value is not None}
    parameters |= {"optimizer": task.optimizer, "weights": task.weights, "biases": task.biases}
    parameters |= {name: list(globs) for name, globs in (("include", task.include), ("exclude", task.exclude)) if globs}
    return Record(task.transform.name, parameters, seed=task.seed if task.transform.is_random else None)


def _inputs(task: Task, inputs: Sequence[Checkpoint], hashes: Sequence[tuple[str, ...]]) -> tuple[Input, ...]:
    """The lineage's entries of the inputs, the one that was changed first."""
    found = []
    for each, parts, role in zip(inputs, hashes, _roles(task)):  # noqa: B905
        origin = mask_origin(each.lineage) if role == "mask" else {}
        found.append(Input.at(each.name, parts, {"as": role, **origin}))
    return tuple(found)


def _roles(task: Task) -> tuple[str, str]:
    """What the inputs are to the operation."""
    return ("initial", "mask") if task.transform.of_initial else ("model", "initial")


def _hashed_inputs(task: Task, inputs: Sequence[Checkpoint]) -> tuple[Input, ...]:
    return _inputs(task, inputs, [each.finish() for each in inputs])
