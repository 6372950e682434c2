"""Plans: what will be done to a checkpoint, as values that can be put one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.lineage import Input, Record, Result, carried, unsealed
from wtool.checkpoint.model import Checkpoint
from wtool.run.changes import Changes, Edited
from wtool.run.piped import widened
from wtool.run.pipeline import Edit
from wtool.run.progress import Passes
from wtool.values import dataclass

if TYPE_CHECKING:
    from wtool.checkpoint.casting import Casts
    from wtool.checkpoint.composition import Composition
    from wtool.checkpoint.relabelling import Relabelled
    from wtool.checkpoint.structure import Structure


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A checkpoint that takes part in an operation, open as long as that goes on.

    Attributes:
        checkpoint: the checkpoint.
        told: what the record of the operation says of it besides its name and its hash.
        role: what it is to the operation; its own records come along under this word where they are nowhere else.
    """

    checkpoint: Checkpoint
    told: Mapping[str, Any]
    role: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a plan.

    Attributes:
        record: what the lineage will tell of it, but for its inputs and what is counted in the result.
        operands: the checkpoints whose names and hashes the record will tell, in its order.
        work_out: looks at the base, as the operations before leave it, as far as needed; gives the changes.
        takes_any_seed: nobody asked for this seed: a result with any other is as good.
    """

    record: Record
    operands: tuple[Operand, ...]
    work_out: Callable[[Edited, Passes], Changes]
    takes_any_seed: bool = False

    def others(self, base: Checkpoint) -> list[Checkpoint]:
        """The checkpoints that take part besides the base, in the order in which edits read them."""
        return [each.checkpoint for each in self.operands if each.checkpoint is not base]


@dataclass(frozen=True, slots=True, eq=False)
class WorkedOut:
    """What a plan comes to.

    Attributes:
        changes: of each operation.
        edits: of all operations together.
    """

    changes: tuple[Changes, ...]
    edits: tuple[Edit, ...]

    @property
    def structure(self) -> Structure | None:
        """What the checkpoint becomes; None where its layers stay."""
        return self.changes[-1].structure

    @property
    def relabelled(self) -> Relabelled | None:
        """What a single HDF5 file is to say otherwise; None where its labels stay."""
        return self.changes[-1].relabelled

    @property
    def composition(self) -> Composition | None:
        """The model that is composed anew; None where the checkpoint keeps its format."""
        return self.changes[-1].composition

    @property
    def compression(self) -> str | None:
        """Of the arrays in the result; None for that of the base."""
        return self.changes[-1].compression

    @property
    def casts(self) -> Casts:
        """Arrays that get another number type."""
        return self.changes[-1].casts


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What will be done to a checkpoint.

    Attributes:
        base: the checkpoint, open.
        operations: what is done, one after the other, in one pass over the file; none where there is nothing to do, and
            then nothing is written.
        earlier: the records before those of the operations; None stands for those of the base.
        is_determined: whether the records tell all that the result depends on. If they do, a result that is there
            already with these records need not be made again.
        result_format: of the result, as in `Checkpoint.format`; None stands for that of the base.
        is_piped: whether the base came through a pipe as wtool made it, and never was a file; see `run.piped`.
    """

    base: Checkpoint
    operations: tuple[Operation, ...]
    earlier: tuple[Record, ...] | None = None
    is_determined: bool = True
    result_format: str | None = None
    is_piped: bool = False

    @property
    def format(self) -> str:
        """The format of the result."""
        return self.result_format or self.base.format

    def then(self, other: Plan) -> Plan:
        """This plan and, in the same pass, another one for the same checkpoint, which finds what this one leaves.

        Raises:
            ValueError: the other plan has another base.
        """
        if other.base is not self.base:
            raise ValueError("plans are put one behind the other for one checkpoint, and these are for two")
        is_determined = self.is_determined and other.is_determined
        return replace(self, operations=(*self.operations, *other.operations), is_determined=is_determined)

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All checkpoints that take part, in the order in which edits read them: the base is the first."""
        return (self.base, *(each for operation in self.operations for each in operation.others(self.base)))

    @property
    def lineage(self) -> tuple[Record, ...]:
        """The records before those of the operations, with those that inputs from a pipe bring along."""
        if self.earlier is not None:
            return self.earlier
        own = self.base.lineage
        if self.is_piped:
            own = (*own[:-1], unsealed(own[-1]))
        operands = [operand for operation in self.operations for operand in operation.operands]
        others = [each for each in operands if each.checkpoint is not self.base]
        brought = [carried(each.checkpoint.name, each.role, each.checkpoint.lineage, own) for each in others]
        return (*own, *(record for records in brought for record in records))

    def work_out(self, passes: Passes) -> WorkedOut:
        """Look at the tensors as far as needed, and say what becomes of them.

        Raises:
            ValueError: an operation comes behind one that changes the structure, or is one and comes behind edits.
        """
        edited = Edited(self.base, self.base.lineage)
        if len(self.operations) == 1:
            only = self.operations[0].work_out(edited, passes)
            return WorkedOut((only,), only.edits)
        found: list[Changes] = []
        edits: dict[str, Edit] = {}
        for operation in self.operations:
            changes = operation.work_out(edited, passes)
            found.append(changes)
            if changes.structure is not None or changes.relabelled is not None:
                raise ValueError("a new structure is made in a pass of its own")
            edits = edited.behind(changes.edits, edits)
            parameters = {**operation.record.parameters, **changes.parameters}
            told = replace(operation.record, parameters=parameters, more={**operation.record.more, **changes.more})
            edited = edited.then(changes, told, operation.others(self.base))
        return WorkedOut(tuple(found), tuple(edits.values()))

    def inputs(self, hashes: Sequence[tuple[str, ...]]) -> list[tuple[Input, ...]]:
        """What the record of each operation says of its inputs.

        The second operation of a plan reads what the first one made, which never was a file: the base is called `-` in
        its record, as if it came through a pipe, and has no hash.

        Args:
            hashes: content hashes of the files of each checkpoint, in the order of `checkpoints`.
        """
        named = list(zip(self.checkpoints, hashes, strict=True))
        found = []
        for number, operation in enumerate(self.operations):
            entries = []
            for operand in operation.operands:
                own = next(each for checkpoint, each in named if checkpoint is operand.checkpoint)
                never_was_a_file = operand.checkpoint is self.base and (self.is_piped or number > 0)
                name, told = ("-", ()) if never_was_a_file else (operand.checkpoint.name, own)
                entries.append(Input.at(name, told, operand.told))
            found.append((*operation.record.inputs, *entries))
        return found

    def records(
        self, changes: Sequence[Changes], hashes: Sequence[tuple[str, ...]], is_done: bool = True
    ) -> list[Record]:
        """The lineage of the result, but for its hash.

        Args:
            changes: of each operation.
            hashes: see `inputs`.
            is_done: False before the edits are done: the numbers in these records are as long as they can become.
        """
        made = []
        for operation, each, inputs in zip(self.operations, changes, self.inputs(hashes), strict=True):
            counts = each.counted() if is_done else each.at_most()
            result = Result(counts) if counts else None
            parameters = {**operation.record.parameters, **each.parameters}
            more = {**operation.record.more, **each.more}
            made.append(replace(operation.record, parameters=parameters, inputs=inputs, result=result, more=more))
        return [*(self.lineage if is_done or not self.is_piped else widened(self.lineage)), *made]
