"""One swap of one model: read its graph, change it as data, work out its arrays, publish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from wtool.checkpoint.lineage import UNHASHED, Input, Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.checkpoint.rebuild import check_structure, restructure
from wtool.checkpoint.structure import Structure
from wtool.errors import Refused, WtoolError, in_short
from wtool.graphs.change import Changed, Swap, change
from wtool.graphs.structure import structure_of
from wtool.graphs.values import Values, new_shape
from wtool.io.places import Target
from wtool.ops.swapped import Swapped
from wtool.run.target import done_before, goal
from wtool.schema import graph

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SwapTask:
    """A swap of one model, and how.

    Attributes:
        swap: to what, and which layers.
        model: path, or `-` for standard input.
        target: path of the result, or `-`.
        optimizer: what becomes of its state.
        seed: of fresh initial values.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        force: whether an existing target may be replaced, and what is not zero dropped.
        dry_run: do everything but write.
        make_folder: whether the target's folder may be made.
        below: the folder below which no symbolic link is followed to the target; None where it was named itself.
        verify: run the old and the new model with Keras.
    """

    swap: Swap
    model: str
    target: str
    optimizer: str
    seed: int
    seed_is_given: bool
    force: bool
    dry_run: bool
    make_folder: bool
    below: str | None
    verify: bool

    def run(self, opener: Opener, progress: Progress | None = None) -> Swapped:
        """Do it."""
        return swap_model(self, opener, progress)


def swap_model(task: SwapTask, opener: Opener, progress: Progress | None = None) -> Swapped:
    """Do a swap.

    Args:
        task: what, to which model, and how.
        opener: opens the model.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: a file is damaged, or its model cannot be changed so.
        WtoolError: a file is missing, or the target exists or cannot be written.
        Usage: words that match nothing.
    """
    with ExitStack() as stack:
        base = opener.open(task.model, stack, drop_optimizer=task.optimizer == "drop")
        target = goal(task, [base])
        try:
            if done_before(task, base, _record(task), partial(_inputs, base)):
                told = ("not verified: nothing was done",) if task.verify else ()
                return Swapped(task.model, task.target, skipped=True, notes=told)
            return _swapped(task, target, base, progress, stack)
        except WtoolError as error:
            raise error.about(task.model) from None


def _swapped(task: SwapTask, target: Target, base: Checkpoint, progress: Progress | None, stack: ExitStack) -> Swapped:
    if base.config is None or base.format not in ("keras", "h5"):
        raise Refused("a file with weights only does not say which layers there are; swap needs a whole model")
    config = deepcopy(base.config)
    try:
        changed = change(task.swap, base, graph.read(config), task.force)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(
            f"its configuration has something where Keras has something else ({in_short(error):.120}); if Keras loads "
            "the model, please report it"
        ) from error
    structure = structure_of(base, config, changed.values, task.swap.fill, task.seed, task.optimizer)
    if task.dry_run:
        check_structure(base, structure, stack)
    else:
        lineage = partial(_lineage, task, base, _with_new_zeros(changed.values))
        restructure(base, structure, target, lineage, (UNHASHED,), progress, stack)
    difference, told = _verified(task, base, changed.same) if task.verify else (None, ())
    return Swapped(
        task.model,
        None if task.dry_run else task.target,
        seed=task.seed if task.swap.is_random else None,
        layers=changed.layers,
        tensors=_told(base, changed, structure),
        rho=changed.rho,
        parameters=_parameters(base, changed.values, structure),
        same=changed.same,
        difference=difference,
        notes=(*base.notes, *changed.values.notes, *changed.notes, *told),
    )


def _verified(task: SwapTask, base: Checkpoint, same: bool) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """The largest difference and the largest output; or why there is none.

    Raises:
        WtoolError: the models differ, and should not.
    """
    from wtool.training.quiet import silent_import, without_advice

    with silent_import():
        from wtool.training.compare import largest_difference
    try:
        with without_advice(), open_checkpoint(task.target) as made:
            difference = largest_difference(base, made)
    except WtoolError as error:
        return None, (f"not verified: {error.message}",)
    narrow = any(tensor.dtype in ("float16", "bfloat16") for tensor in base.weights) or "mixed_" in str(base.config)
    if same and not difference[0] <= (0.05 if narrow else 1e-4) * max(1.0, difference[1]):
        raise WtoolError(
            f"{task.target} should compute the same, but differs by {difference[0]:.3g} in outputs up to "
            f"{difference[1]:.3g}: do not use it, and please report it"
        )
    return difference, ()


def _told(base: Checkpoint, changed: Changed, structure: Structure) -> dict[str, str]:
    """What becomes of the tensors."""
    found = {}
    for tensor in base.weights:
        if tensor.path in changed.values.edits:
            new = new_shape(tensor, changed.values.edits[tensor.path])
            found[tensor.path] = f"{_shown(tensor.shape)} becomes {_shown(new)}"
        elif tensor.path not in structure.paths:
            found[tensor.path] = "left out"
    for layer, variables in changed.values.added.items():
        for name, each in variables.items():
            found[f"{layer}/{name}"] = f"new, {_shown(each.shape)}"
    return found


def _parameters(base: Checkpoint, values: Values, structure: Structure) -> tuple[int, int]:
    """How many values all weights together have, before and after; one that is stored twice counts once."""
    weights = [tensor for tensor in base.weights if tensor.copy_of is None]
    kept = [new_shape(each, values.edits.get(each.path, ())) for each in weights if each.path in structure.paths]
    added = [each.shape for variables in values.added.values() for each in variables.values()]
    return sum(prod(tensor.shape) for tensor in weights), sum(map(prod, [*kept, *added]))


def _shown(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _record(task: SwapTask) -> Record:
    """The lineage record, but for the inputs."""
    parameters = {**task.swap.parameters(), "optimizer": task.optimizer}
    return Record("swap", parameters, seed=task.seed if task.swap.is_random else None)


def _inputs(base: Checkpoint) -> list[Input]:
    return [Input.at(base.name, base.finish(), {"as": "model"})]


def _lineage(task: SwapTask, base: Checkpoint, new: Sequence[str], hashes: tuple[str, ...]) -> list[Record]:
    """The record names the tensors with new zeros: these are nobody's mask, though the model was pruned before."""
    told = {"new": list(new)} if new else {}
    inputs = (Input.at(base.name, hashes, {"as": "model"}),)
    return [*base.lineage, replace(_record(task), inputs=inputs, more=told)]


def _with_new_zeros(values: Values) -> list[str]:
    """Paths of the tensors that have new zeros."""
    grown = [path for path, edits in values.edits.items() if any((edit.source < 0).any() for edit in edits)]
    return [*grown, *(f"{layer}/{name}" for layer, own in values.added.items() for name in own)]
