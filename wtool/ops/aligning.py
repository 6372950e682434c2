"""An alignment as an operation on checkpoints: read the graph, match the weights, put the channels in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
from blake3 import blake3

from wtool.checkpoint.lineage import Record
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.checkpoint.unfilled import Filled
from wtool.dtypes import Array
from wtool.errors import Refused, Usage, a_few
from wtool.graphs.axis_blocks import changed_array
from wtool.graphs.grouping import grouping_of
from wtool.graphs.groups import Group
from wtool.graphs.reordering import channels_of, slot_edits, weight_edits, with_copies
from wtool.graphs.values import Filling
from wtool.ops.align_options import Align, Aligned, Reordered
from wtool.ops.verification import verified
from wtool.ops.whole_model import graph_of_keras
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.matching import match
from wtool.run.plan import Operand, Operation, Plan
from wtool.run.progress import Passes
from wtool.run.rebuilding import edits_of
from wtool.run.statistics import is_followed, is_normalising
from wtool.run.task import Task
from wtool.schema import graph
from wtool.suggestions import meant_paths
from wtool.transforms.permuting import sources_of
from wtool.transforms.weight_matching import Matched, weight_matching
from wtool.values import dataclass

NAME = "align"
"""What lineages call the operation."""

RECALIBRATE = (
    "batch normalisation: run `wtool recalibrate` on an average with the aligned model, whose activations vary less "
    "than those of the models"
)


@dataclass(frozen=True, slots=True)
class Aligning:
    """How models are aligned.

    Attributes:
        options: to what, and how long to search.
        reference: path of the model whose order of channels counts.
        seed: of the order in which groups are visited.
        seed_is_given: the user wants this seed; otherwise a result with any other is as good.
        optimizer: what becomes of its state; one of `choices.OPTIMIZER_CONVERSIONS`.
    """

    options: Align
    reference: str
    seed: int
    seed_is_given: bool
    optimizer: str

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model and the reference."""
        base = opener.open(model, stack, drop_optimizer=self.optimizer == "drop")
        reference = stack.enter_context(open_checkpoint(self.reference, like=base))
        record = Record(NAME, {**self.options.parameters(), "optimizer": self.optimizer}, seed=self.seed)
        operands = (Operand(base, {"as": "model"}), Operand(reference, {"as": "reference"}, "reference"))
        operation = Operation(record, operands, partial(self._changes, reference), not self.seed_is_given)
        return Plan(base, (operation,))

    def told(self, task: Task[Aligned], plan: Plan, derived: Derived) -> Aligned:
        """What was done to a model; the result is verified now, if that was asked for."""
        if derived.there is not None:
            notes = ("not verified: nothing was done",) if self.options.verify else ()
            return Aligned(task.name, task.output, True, derived.there.seed, notes=notes)
        changes = derived.change
        assert isinstance(changes, Alignment)
        difference, told = verified(task.goal.path, plan.base, True) if self.options.verify else (None, ())
        return Aligned(
            task.name,
            task.output,
            seed=self.seed,
            similarity=(changes.matched.before, changes.matched.after),
            groups=changes.groups,
            difference=difference,
            notes=(*changes.notes, *told),
        )

    def _changes(self, reference: Checkpoint, edited: Edited, passes: Passes) -> Changes:
        base = edited.base
        pairs = match(base, reference)
        groups = self._groups(base)
        named = {tensor.path: tensor for tensor in base.weights}
        locked = _locked(groups, self.options.lock)
        own = {tensor.path: (theirs, tensor) for tensor, theirs in zip(base.weights, pairs.tensors, strict=True)}
        learned = channels_of(groups, lambda path: None if is_followed(named[path]) else path, locked)

        def read(path: str) -> tuple[Array, Array]:
            theirs, ours = own[path]
            return reference.read(theirs), base.read(ours)

        matched = weight_matching(learned, read, self.seed, self.options.restarts, self.options.iterations, passes.look)
        sources = sources_of(channels_of(groups, lambda path: path, locked), matched.permutations)
        edits = with_copies(base, weight_edits(sources))
        slots = slot_edits(base, edits)
        tensors = [(tensor, {**edits, **slots}.get(tensor.path)) for tensor in base.tensors]
        arrays = [Filled(each, changed_array(base, each, own, Filling("zero"))) for each, own in tensors if own]
        return Alignment(
            edits=tuple(edits_of(arrays)),
            notes=(*base.notes, *([pairs.note] if pairs.note else []), *_advice(base)),
            more={"permutations": _hash(groups, matched.permutations)} if sources else {},
            matched=matched,
            groups={each.name: _reordered(each, own) for each, own in zip(groups, matched.permutations, strict=True)},
        )

    def _groups(self, base: Checkpoint) -> tuple[Group, ...]:
        """The groups of channels of a model of which some may change places.

        Raises:
            Refused: the model does not tell its layers, or nothing may change places.
        """
        if base.config is None:
            raise Refused("a file with weights only does not say which layers there are; align needs a whole model")
        with graph_of_keras():
            groups = grouping_of(base, graph.read(deepcopy(base.config)), reorder=True).groups
        found = tuple(each for each in groups if (~each.bound).sum() > 1)
        if not found:
            why = [reason for group in groups for reason in group.why]
            told = f": {a_few(list(dict.fromkeys(why)))}" if why else ""
            raise Refused(f"it has no hidden channels that may change places{told}")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment(Changes):
    """What an alignment makes of a checkpoint: how well it matches, and what becomes of each group of channels."""

    matched: Matched
    groups: dict[str, Reordered]


def _locked(groups: Sequence[Group], globs: Sequence[str]) -> set[str]:
    """The layers whose channels stay where they are.

    Raises:
        Usage: a pattern matches no layer that makes channels.
    """
    paths = [path for group in groups for path in group.layers]
    for glob in globs:
        if not any(fnmatchcase(path, glob) for path in paths):
            told = meant_paths(glob, paths, "wtool inspect")
            raise Usage(f"no layer with channels that may change places has a path like {glob!r}{told}")
    return {path for path in paths if any(fnmatchcase(path, glob) for glob in globs)}


def _advice(base: Checkpoint) -> list[str]:
    return [RECALIBRATE] if any(map(is_normalising, base.weights)) else []


def _hash(groups: Sequence[Group], permutations: Sequence[Array]) -> str:
    """The hash of the new order of all channels."""
    told = [[group.name, order.tolist()] for group, order in zip(groups, permutations, strict=True)]
    return f"blake3:{blake3(json.dumps(told).encode()).hexdigest()}"


def _reordered(group: Group, permutation: Array) -> Reordered:
    moved = int((permutation != np.arange(group.size)).sum())
    order = tuple(permutation.tolist()) if moved else ()
    return Reordered(group.layers, group.size, int(group.bound.sum()), moved, order)
