"""A merge as an operation on checkpoints: what is merged, what is kept, and what becomes of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wtool.checkpoint.layer_files import contents_of
from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, a_few
from wtool.io.stored import Stamp
from wtool.run import optimizer_rule, pipeline, statistics
from wtool.run.action import Action, Kind
from wtool.run.changes import Changes, Edited
from wtool.run.matching import Match, match
from wtool.run.operand_data import MergedTensor, OperandData
from wtool.run.pipeline import Edit
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.selection import MASKS, arithmetic, selected
from wtool.run.transform_data import FileData, sites_of
from wtool.transforms.averaging import CACHE_BLOCK
from wtool.transforms.change import Data, Site
from wtool.transforms.merging.method import Prepared
from wtool.values import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATES = ("seed_generator_state", "pruning_step")
"""Roles of variables that tell how far a run is, and nothing of what was learned."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a merge calls what it does.

    Attributes:
        merged: kind of what becomes of a tensor, `averaged`.
        result: what a tensor is then, `average`.
        keeper: the checkpoint that gives the result its format, configuration and optimizer, `the newest`.
        others: the other checkpoints, `older checkpoints`.
        nonfinite: what to do about NaN in a tensor.
        alone: a note on a merge of a single checkpoint; none, if empty.
    """

    merged: Kind
    result: str
    keeper: str
    others: str
    nonfinite: str
    alone: str = ""

    @property
    def kept(self) -> Action:
        """What becomes of a tensor that the result has from one checkpoint."""
        return Action("kept", f"kept from {self.keeper}")

    def kept_but_different(self, paths: Iterable[str]) -> list[str]:
        """A note on tensors that had to be kept although the checkpoints disagree."""
        named = list(paths)
        return [f"{self.keeper}'s {a_few(named)} kept; {self.others} have other values"] if named else []


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How tensors are merged, once all was looked at that must be.

    Attributes:
        prepared: what merges the blocks of each tensor.
        shares: from a statistic that is averaged to the coefficient of each operand, shape (operands,).
        told: from a tensor to the numbers that it is merged with, in words.
    """

    prepared: Prepared
    shares: Callable[[Site], NDArray[np.float64]]
    told: Callable[[Site], str] = lambda site: ""


@dataclass(frozen=True, eq=False)
class Merging:
    """A merge of checkpoints, and how.

    Attributes:
        prepare: looks at the tensors that are merged, as far as it must.
        words: what the merge calls what it does.
        bn: what becomes of the statistics of batch normalisation; see `statistics.decided`.
        must_agree: whole numbers have to be the same in all checkpoints; otherwise those of one are kept.
        include, exclude: merge only tensors with paths like these, and none like those.
        optimizer: what becomes of it.
        allow_nonfinite: merge NaN and infinities instead of refusing them.
        has_base: the first operand is the base of the others.
        recalibrates: the statistics of batch normalisation are taken anew from data afterwards.
        step: values that are merged at a time.
        differing: paths of tensors that are kept although the checkpoints disagree; known after the run only.
    """

    prepare: Callable[[Data], Recipe]
    words: Words
    bn: str = "average"
    must_agree: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    optimizer: str = "follow"
    allow_nonfinite: bool = False
    has_base: bool = False
    recalibrates: bool = False
    step: int = CACHE_BLOCK
    differing: dict[str, None] = field(default_factory=dict)

    def merged(self, base: Checkpoint) -> list[Tensor]:
        """Returns the weights of a model that get merged values; statistics that one checkpoint gives are none."""
        is_newest = self.bn not in ("average", "pool")
        return [each for each in parts_of(self, base).merged if not (is_newest and statistics.is_normalising(each))]

    def plan(self, operands: Sequence[Operand], keeper: int, record: Record, takes_any_seed: bool = False) -> Plan:
        """What will be done to open checkpoints.

        Args:
            operands: the checkpoints in the order of the method: its base, if there is one, and the models.
            keeper: position of the one that gives the result its format, configuration and optimizer.
            record: what the lineage will tell of the merge, but for its inputs.
            takes_any_seed: see `Operation`.
        """
        work_out = partial(_changes, self, tuple(each.checkpoint for each in operands), keeper)
        operation = Operation(record, tuple(operands), work_out, takes_any_seed)
        return Plan(operands[keeper].checkpoint, (operation,))


def _changes(work: Merging, checkpoints: Sequence[Checkpoint], keeper: int, edited: Edited, passes: Passes) -> Changes:
    base = edited.base
    others = [*checkpoints[:keeper], *checkpoints[keeper + 1 :]]
    found = [match(base, each) for each in others]
    columns = {row[0].path: row for row in zip(base.weights, *(each.tensors for each in found), strict=True)}
    parts = parts_of(work, base)
    sites = sites_of((base, *others), [columns[each.path] for each in parts.merged], of_initial=False, of_axes=True)
    order = [*range(1, keeper + 1), 0, *range(keeper + 1, len(checkpoints))]
    data = OperandData(FileData(edited, others, columns, sites, passes), checkpoints, order, sites)
    if work.must_agree:
        _refuse_other_files(base, others)
        _refuse_disagreement(work, data, parts.equal)
    decided, notes = _decided(work, data, parts.merged)
    edits = {path: edit for path, (edit, _) in decided.items() if edit is not None}
    watching = [Edit(each, columns[each.path], partial(_watch, work, each.path)) for each in parts.watched if others]
    slots = _slots(work, base, edits, is_all=len(parts.merged) == len(arithmetic(base.weights)))
    matches = [*found[:keeper], Match(base.weights), *found[keeper:]]
    kept = dict.fromkeys((each.path for each in base.weights), work.words.kept)
    return Changes(
        edits=(*edits.values(), *watching, *slots.edits),
        actions=kept | {path: action for path, (_, action) in decided.items()} | slots.actions,
        notes=(*_notes(work, checkpoints, matches), *notes, *slots.notes),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The weights of a model: those that are merged, those that must be equal, and those whose differences are told."""

    merged: Sequence[Tensor]
    equal: Sequence[Tensor]
    watched: Sequence[Tensor]


def parts_of(work: Merging, base: Checkpoint) -> Parts:
    """Returns which weights of a model a merge is about.

    Raises:
        Refused: no weight is a number to calculate with.
        Usage: nothing is selected.
    """
    numbers = arithmetic(base.weights)
    calculable = {tensor.path for tensor in numbers}
    if not work.must_agree:
        watched = [tensor for tensor in base.weights if tensor.path not in calculable]
        return Parts(selected(numbers, work.include, work.exclude), (), watched)
    if not numbers:
        raise Refused("no tensor holds numbers that could be merged", base.name)
    wanted = selected(base.weights, work.include, work.exclude)
    merged = [tensor for tensor in wanted if tensor.path in calculable]
    if not merged:
        raise Usage("nothing is selected; --include and --exclude say what is")
    others = [tensor for tensor in wanted if tensor.path not in calculable]
    equal = [tensor for tensor in others if not _is_state(tensor)]
    return Parts(merged, equal, [tensor for tensor in others if _is_state(tensor)])


def _is_state(tensor: Tensor) -> bool:
    return tensor.role in STATES or MASKS.fullmatch(tensor.role) is not None


def _decided(
    work: Merging, data: OperandData, chosen: Sequence[Tensor]
) -> tuple[dict[str, tuple[Edit | None, Action]], list[str]]:
    """Path of each chosen tensor -> its edit (None where it is kept) and what becomes of it; and notes.

    A tensor that is a copy of another one changes like that.
    """
    sites = {site.path: site for site in data.sites}
    followed = [tensor for tensor in chosen if statistics.is_followed(tensor)]
    own = [tensor for tensor in chosen if not statistics.is_followed(tensor)]
    origins = {tensor.path: tensor.copy_of if tensor.copy_of in sites else tensor.path for tensor in own}
    of_method = [sites[path] for path in dict.fromkeys(origins.values())]
    recipe = work.prepare(replace(data, sites=of_method))
    prepared = recipe.prepared
    found: dict[str, tuple[Edit | None, Action]] = {}
    nonfinite = None if work.allow_nonfinite else work.words.nonfinite
    for tensor in own:
        origin = origins[tensor.path]
        made = MergedTensor(
            data, sites[tensor.path], tensor, prepared.combines[origin], work.step, work.words.result, nonfinite
        )
        action = Action(work.words.merged, f"{work.words.merged}{recipe.told(sites[origin])}")
        found[tensor.path] = made.edit(origin in prepared.whole), action
    of_statistics = statistics.decided(work.bn, followed, sites, recipe.shares, data.read)
    for tensor in followed:
        combine, kind = of_statistics[tensor.path]
        if combine is None:
            found[tensor.path] = None, work.words.kept
            continue
        made = MergedTensor(data, sites[tensor.path], tensor, combine, CACHE_BLOCK, "average", nonfinite)
        found[tensor.path] = made.edit(is_whole=False), Action(kind, kind)
    is_worth_a_note = len(data.checkpoints) > 1 and not work.recalibrates
    told = statistics.notes(work.bn, chosen, work.words.keeper) if is_worth_a_note else []
    return found, [*prepared.notes, *told]


def _slots(work: Merging, base: Checkpoint, merged: Mapping[str, Edit], is_all: bool) -> optimizer_rule.Restart:
    """What the merge means for the optimizer."""
    if work.optimizer in ("follow", "reset") and base.slots:
        is_anew = work.optimizer == "reset" or is_all
        return (optimizer_rule.anew if is_anew else optimizer_rule.followed)(base, merged)
    if work.optimizer == "drop":
        return optimizer_rule.Restart((), {}, ("the optimizer's state is left out",))
    if work.optimizer == "keep":
        return optimizer_rule.Restart((), {tensor.path: work.words.kept for tensor in base.slots}, ())
    return optimizer_rule.Restart((), {}, ())


def _notes(work: Merging, checkpoints: Sequence[Checkpoint], matches: Sequence[Match]) -> list[str]:
    told: dict[str, list[str]] = {}
    seen: set[Stamp] = set()
    base = checkpoints[0].sources[0].identity if work.has_base else None
    for checkpoint, found in zip(checkpoints, matches, strict=True):
        again = ["the same file twice, which counts twice"] if checkpoint.sources[0].identity in seen else []
        if again and checkpoint.sources[0].identity == base:
            again = ["a model and the base too: nothing distinguishes the two"]
        seen.add(checkpoint.sources[0].identity)
        for note in (*checkpoint.notes, *([found.note] if found.note else []), *again):
            told.setdefault(note, []).append(checkpoint.name)
    alone = [work.words.alone] if len(checkpoints) == 1 and work.words.alone else []
    return [
        *(f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {note}" for note, names in told.items()),
        *alone,
    ]


def _refuse_disagreement(work: Merging, data: OperandData, tensors: Sequence[Tensor]) -> None:
    """Look at tensors that have no mean, such as lookup tables.

    Raises:
        Refused: not all checkpoints have the same values.
    """
    files = data.files
    looks = [files.edited.look(Edit(each, files.columns[each.path], _unequal)) for each in tensors if files.others]
    found: dict[str, set[int]] = {}
    for tensor, _, unequal in pipeline.scan(files.edited.checkpoints(files.others), looks, files.passes.look):
        if unequal:
            found.setdefault(tensor.path, set()).update(unequal)
    if found:
        names = [files.others[at].name for at in sorted(set().union(*found.values()))]
        have = f"{a_few(names)} {'has' if len(names) == 1 else 'have'}"
        raise Refused(
            f"{a_few(list(found))} cannot be merged, and {have} other values; --exclude keeps {work.words.keeper}'s",
            files.edited.base.name,
        )


def _refuse_other_files(base: Checkpoint, others: Sequence[Checkpoint]) -> None:
    """Raise Refused where layers of the checkpoints keep other files, such as vocabularies, beside their weights."""
    own = contents_of(base)
    for other in others:
        theirs = contents_of(other)
        if own and theirs and own != theirs:
            raise Refused(f"its vocabularies, or other files of layers, are not those of {base.name}", other.name)


def _unequal(blocks: Sequence[Array], start: int, stop: int) -> list[int]:
    """Positions of the blocks behind the first one that differ from it."""
    first = blocks[0].view(np.uint8)
    return [at for at, block in enumerate(blocks[1:]) if not np.array_equal(block.view(np.uint8), first)]


def _watch(work: Merging, path: str, blocks: Sequence[Array], start: int, stop: int) -> None:
    """Look whether the checkpoints have other values than those that are kept."""
    if _unequal(blocks, start, stop):
        work.differing[path] = None
