"""Applying a patch file: the tensors of the other checkpoint are made again, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.layer_files import FOLDER
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.opener import Opener
from wtool.checkpoint.patch_file import Differences, Patch, open_patch
from wtool.checkpoint.patch_text import Architecture, Values
from wtool.dtypes import Array
from wtool.errors import Refused, a_few
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.patched import Patched
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.task import Task
from wtool.run.tensor_hashes import TensorHash, hash_of_all, hashes_of, is_last
from wtool.transforms.xor_coding import as_bits

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
            return Patched(task.model, task.output, skipped=True)
        changes = derived.change
        taken = tuple(path for path, action in changes.actions.items() if action != KEPT)
        return Patched(task.model, task.output, taken=taken, actions=dict(changes.actions), notes=changes.notes)


KEPT = "kept"


def _changes(patch: Patch, edited: Edited, passes: Passes) -> Changes:
    """What a patch makes of a checkpoint.

    Raises:
        Refused: the patch is for another checkpoint.
    """
    base, told = edited.base, patch.told
    notes = (*base.notes, *_checked(base, patch, passes))
    named = {tensor.path: tensor for tensor in base.tensors}
    edits = [_Patched(patch, path, new).edit(named[path]) for path, (_, new) in told.changed.items()]
    actions = {path: "patched" if path in told.changed else KEPT for path in named}
    if told.after.architecture is None:
        return Changes(tuple(edits), actions=actions, notes=notes)
    actions |= dict.fromkeys(told.before.tensors, "left out") | dict.fromkeys(told.after.tensors, "new")
    return _composed(base, patch, told.after.architecture, edits, actions)


def _checked(base: Checkpoint, patch: Patch, passes: Passes) -> tuple[str, ...]:
    """Returns notes on a checkpoint that the patch is for.

    Raises:
        Refused: the tensors of the checkpoint are not those that the patch is for.
    """
    told, name = patch.told, patch.source.name
    named = {tensor.path: tensor for tensor in base.tensors}
    wanted = {**{path: old for path, (old, _) in told.changed.items()}, **told.before.tensors}
    other = f"the patch {name} is for {told.before.name}, and this is another model"
    if missing := [path for path in wanted if path not in named]:
        raise Refused(f"{other}: it has no {a_few(missing)}", base.name)
    if shaped := [path for path, each in wanted.items() if not _fits(named[path], each)]:
        raise Refused(f"{other}: {a_few(shaped)} has another shape or number type", base.name)
    if patch.told.after.architecture is not None and base.format != "keras":
        raise Refused(
            "the patch carries another architecture, which only a .keras model can take on: wtool convert makes one",
            base.name,
        )
    hashes = hashes_of(base, base.tensors, passes.look)
    if changed := [path for path, each in wanted.items() if hashes[path] != each.hash]:
        hint = "" if any(hashes[path] != _hash_after(patch, path) for path in changed) else _way_back(patch)
        raise Refused(
            f"{other}: {a_few(changed)} {'has' if len(changed) == 1 else 'have'} other values{hint}", base.name
        )
    rest = [tensor for tensor in base.tensors if tensor.path not in wanted]
    if hash_of_all(rest, hashes) == told.unchanged:
        return ()
    if hash_of_all([each for each in rest if each.slot is None], hashes) == told.unchanged:
        return ("the patch tells nothing of the optimizer, whose state stays as it was",)
    raise Refused(f"{other}: of the tensors that the patch does not change, some are not the same", base.name)


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


def _composed(
    base: Checkpoint, patch: Patch, own: Architecture, edits: Sequence[Edit], actions: dict[str, str]
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
        "unzipped" if base.parts else "keras",
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
