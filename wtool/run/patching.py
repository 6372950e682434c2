"""Applying a patch file: the tensors of the other checkpoint are made again, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.layer_files import FOLDER
from wtool.checkpoint.layouts.hdf5_file import training_config
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener
from wtool.checkpoint.patch_file import Differences, Patch, open_patch
from wtool.checkpoint.patch_text import Architecture, Values
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.run.action import ADDED, KEPT, PATCHED, REMOVED, Action
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.patched import Patched
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.run.tensor_hashes import TensorHash, hash_of_all, hashes_of, is_last
from wtool.transforms.xor_coding import as_bits
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.composition import Composition
    from wtool.checkpoint.structure import Fresh

NAME = "patch"


@dataclass(frozen=True, slots=True)
class Patching:
    """A patch file that is applied to models.

    Attributes:
        patch: path of the patch file.
        reverse: whether the first model of the patch is made of the second.
    """

    patch: str
    reverse: bool = False

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model and the patch.

        Raises:
            Refused: the patch is none, or is damaged.
        """
        base = opener.open(model, stack)
        patch = open_patch(self.patch, stack)
        parameters = {"patch": patch.source.finish(), **({"reverse": True} if self.reverse else {})}
        patch = patch.reversed() if self.reverse else patch
        operation = Operation(Record(NAME, parameters), (Operand(base, {"as": "model"}),), partial(_changes, patch))
        return Plan(base, (operation,), patch.told.after.lineage)

    def told(self, task: Task[Patched], plan: Plan, derived: Derived) -> Patched:
        """What was done to a model."""
        if derived.there is not None:
            return Patched(task.name, task.output, skipped=True)
        changes = derived.change
        taken = tuple(path for path, action in changes.actions.items() if action != KEPT)
        return Patched(task.name, task.output, taken=taken, actions=dict(changes.actions), notes=changes.notes)


def _changes(patch: Patch, edited: Edited, passes: Passes) -> Changes:
    """What a patch makes of a checkpoint.

    Raises:
        Refused: the patch is for another checkpoint.
    """
    base, told = edited.base, patch.told
    named, more = _checked(base, patch, passes)
    edits = [_Patched(patch, path, new).edit(named[path]) for path, (_, new) in told.changed.items()]
    actions = {tensor.path: PATCHED if path in told.changed else KEPT for path, tensor in named.items()}
    notes = (*base.notes, *more)
    if told.before.training != told.after.training:
        return _compiled(base, patch, edits, Changes(actions=actions, notes=notes))
    if told.after.architecture is None:
        return Changes(tuple(edits), actions=actions, notes=notes)
    actions |= dict.fromkeys(told.before.tensors, REMOVED) | dict.fromkeys(told.after.tensors, ADDED)
    return _composed(base, patch, told.after.architecture, edits, actions)


def _checked(base: Checkpoint, patch: Patch, passes: Passes) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Returns the tensors of a checkpoint by their paths in the patch, and notes on the checkpoint.

    The tensors have the paths of the patch, or the names that the other checkpoint has for them: the same model in
    another format may have either.

    Raises:
        Refused: the tensors of the checkpoint are not those that the patch is for.
    """
    told = patch.told
    back = {other: path for path, other in told.names.items()}
    ways = ({}, back) if not patch.is_reversed else (back, {})
    named = [_named(base, names) for names in (ways if told.names else ways[:1])]
    faults = [_misfit(patch, each) for each in named]
    if all(faults):
        raise Refused(f"{_other(patch)}: {faults[0]}", base.name)
    if told.after.architecture is not None and base.format != "keras":
        raise Refused(
            "the patch carries another architecture, which only a .keras model can take on: wtool convert makes one",
            base.name,
        )
    hashes = hashes_of(base, base.tensors, passes.look)
    found = [(each, _same_values(patch, each, hashes)) for each, fault in zip(named, faults, strict=True) if not fault]
    tensors, outcome = next((each for each in found if not isinstance(each[1], str)), found[0])
    if isinstance(outcome, str):
        raise Refused(f"{_other(patch)}: {outcome}", base.name)
    return tensors, outcome


def _named(base: Checkpoint, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Returns path in a patch -> tensor of a checkpoint, whose path may be another name of the tensor."""
    found = {names.get(tensor.path, tensor.path): tensor for tensor in base.tensors}
    return found if len(found) == len(base.tensors) else {}


def _other(patch: Patch) -> str:
    return f"the patch {patch.source.name} is for {patch.told.before.name}, and this is another model"


def _wanted(patch: Patch) -> dict[str, Values]:
    """Returns the tensors that a checkpoint must have, and that do not stay as they are."""
    return {**{path: old for path, (old, _) in patch.told.changed.items()}, **patch.told.before.tensors}


def _misfit(patch: Patch, named: Mapping[str, Tensor]) -> str:
    """Returns why tensors are not those that a patch is for, by paths, shapes and number types; empty if they are."""
    wanted = _wanted(patch)
    if missing := [path for path in wanted if path not in named]:
        return f"it has no {a_few(missing)}"
    if shaped := [path for path, each in wanted.items() if not _fits(named[path], each)]:
        return f"{a_few(shaped)} has another shape or number type"
    return ""


LEFT_OUT: Sequence[tuple[str, Callable[[Tensor], bool]]] = (
    ("the patch tells nothing of the optimizer, whose state stays as it was", lambda tensor: tensor.slot is not None),
    (
        "the patch tells nothing of the states of metrics, which stay as they were",
        lambda tensor: tensor.role == "metric",
    ),
)
"""What a patch between files of different kinds may tell nothing of: a note, and whether a tensor is of this kind."""


def _same_values(patch: Patch, named: Mapping[str, Tensor], hashes: Mapping[str, str]) -> str | tuple[str, ...]:
    """Returns why tensors do not have the values that a patch is for; notes if they have.

    Args:
        patch: the patch.
        named: path in the patch -> tensor.
        hashes: path in the file -> content hash of each tensor.
    """
    wanted, own = _wanted(patch), {path: hashes[tensor.path] for path, tensor in named.items()}
    if changed := [path for path, each in wanted.items() if own[path] != each.hash]:
        hint = "" if any(own[path] != _hash_after(patch, path) for path in changed) else _way_back(patch)
        return f"{a_few(changed)} {'has' if len(changed) == 1 else 'have'} other values{hint}"
    rest = [replace(tensor, path=path) for path, tensor in named.items() if path not in wanted]
    told = [note for note, is_left_out in LEFT_OUT if any(map(is_left_out, rest))]
    for count in range(len(told) + 1):
        for notes in combinations(told, count):
            left_out = [is_left_out for note, is_left_out in LEFT_OUT if note in notes]
            kept = [each for each in rest if not any(is_left_out(each) for is_left_out in left_out)]
            if hash_of_all(kept, own) == patch.told.unchanged:
                return notes
    return "of the tensors that the patch does not change, some are not the same"


def _hash_after(patch: Patch, path: str) -> str | None:
    return patch.told.changed[path][1] if path in patch.told.changed else None


def _way_back(patch: Patch) -> str:
    told = "without --reverse" if patch.is_reversed else "with --reverse"
    return f"; they are those that the patch makes: apply it {told} to go back"


def _fits(tensor: Tensor, wanted: Values) -> bool:
    return (tensor.shape, tensor.dtype) == (wanted.shape, wanted.dtype)


class _Patched:
    """The new values of a tensor; they are hashed on the way, and must be those that the patch promises."""

    def __init__(self, patch: Patch, path: str, expected: str) -> None:
        self._differences: Differences = patch.differences(path)
        self._hash = TensorHash()
        self._path, self._expected, self._patch = path, expected, patch

    def edit(self, tensor: Tensor) -> Edit:
        """Returns the edit that gives the values."""
        return Edit(tensor, (tensor,), partial(self._apply, tensor))

    def _apply(self, tensor: Tensor, blocks: Sequence[Array], start: int, stop: int) -> Array:
        new = blocks[0]
        self._differences.apply(as_bits(new), start)
        self._hash.take(new, start)
        if is_last(tensor, stop):
            _refuse_unexpected(self._patch, self._path, self._hash.text(), self._expected)
        return new


def _refuse_unexpected(patch: Patch, path: str, found: str, expected: str) -> None:
    if found != expected:
        raise Refused(f"damaged: what it makes of {path} is not what it promises", patch.source.name)


def _compiled(base: Checkpoint, patch: Patch, edits: Sequence[Edit], changes: Changes) -> Changes:
    """What a patch makes of the model of an `.h5` that was compiled otherwise; another format keeps its settings.

    Raises:
        Refused: the model was compiled otherwise than the one that the patch is for.
    """
    from wtool.checkpoint.relabelling import Relabelled
    from wtool.run.rebuilding import fresh_of

    told = patch.told
    if base.format != "h5":
        note = "the patch tells how the model of an .h5 was compiled, which stays as it is in other formats"
        return replace(changes, edits=tuple(edits), notes=(*changes.notes, note))
    if training_config(base) != told.before.training:
        raise Refused(f"{_other(patch)}: it was compiled otherwise", base.name)
    new = {edit.target.path: fresh_of(base, edit) for edit in edits}
    return replace(changes, relabelled=Relabelled(base.config, told.after.training, changed=new))


def _composed(
    base: Checkpoint, patch: Patch, own: Architecture, edits: Sequence[Edit], actions: dict[str, Action]
) -> Changes:
    """What a patch makes of a checkpoint that gets another architecture."""
    composition = composition_of(base, own, _sources(base, patch, edits), patch.source.name)
    note = "the architecture and its settings come from the patch; `wtool check` tells what loading the model would run"
    return Changes(composition=composition, actions=actions, notes=(*base.notes, note))


def composition_of(
    base: Checkpoint, own: Architecture, sources: Mapping[str, Tensor | Fresh], name: str
) -> Composition:
    """Returns the model that has the architecture of a patch.

    Args:
        base: the checkpoint of whose tensors the model is composed.
        own: the architecture.
        sources: path of each tensor -> what fills it.
        name: what messages call the patch.

    Raises:
        Refused: a tensor of the architecture is missing.
    """
    from wtool.checkpoint.composition import Composition

    paths = (*own.variables, *(path for kept in own.slots.values() for _, path in kept))
    if missing := [path for path in paths if path not in sources]:
        raise Refused(f"damaged: it tells no values of {a_few(missing)}", name)
    return Composition(
        "keras",
        own.config,
        own.keras_version,
        {path: sources[path] for path in own.variables},
        {group: [(slot, sources[path]) for slot, path in kept] for group, kept in own.slots.items()},
        _training(own),
        assets={each: each for each in _files(base)},
        can_drop_slots=False,
    )


def _training(own: Architecture) -> dict[str, Any] | None:
    """Returns of the optimizer what a configuration that lost it does not tell."""
    name = own.optimizer
    return None if name is None else {"optimizer_config": {"class_name": name, "config": {"name": name}}}


def _files(base: Checkpoint) -> list[str]:
    names = (*(member.name for member in base.members), *base.texts)
    return [name for name in names if name.startswith(FOLDER)]


def _sources(base: Checkpoint, patch: Patch, edits: Sequence[Edit]) -> dict[str, Tensor | Fresh]:
    """Returns path -> what fills each tensor of the other checkpoint."""
    from wtool.run.rebuilding import fresh_of

    told = patch.told
    found: dict[str, Tensor | Fresh] = {
        each.path: each for each in base.tensors if each.path not in told.before.tensors
    }
    found |= {edit.target.path: fresh_of(base, edit) for edit in edits}
    found |= {path: _new(patch, path, values) for path, values in told.after.tensors.items()}
    return found


def _new(patch: Patch, path: str, values: Values) -> Fresh:
    """Returns the values of a tensor that the base does not have."""
    from wtool.checkpoint.structure import Fresh

    count, taken = prod(values.shape), TensorHash()

    def block(start: int, stop: int) -> Array:
        new = patch.new_values(path, start, stop)
        taken.take(new, start)
        if stop == count:
            _refuse_unexpected(patch, path, taken.text(), values.hash)
        return new

    return Fresh(values.shape, values.dtype, lambda: block(0, count).reshape(values.shape), block)
