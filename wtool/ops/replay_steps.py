"""What has to be done to make a model again: the steps behind the latest files that are there, with their inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from wtool.checkpoint.lineage import Input, Record
from wtool.errors import a_few
from wtool.ops.calls import Call
from wtool.ops.found_inputs import FoundInputs
from wtool.ops.history import brought_are_steps, grouped
from wtool.ops.recorded_calls import Unrepeatable, call_of
from wtool.values import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """An operation that is done again.

    Attributes:
        record: what was recorded of it.
        call: the call that does it again.
        found: index of an input in the record -> path of the file that was found for it.
        made: index of an input -> the steps that make it, where it came through a pipe and no file of it is there.
        files: content hash of a file that an option names -> path of the file that was found.
    """

    record: Record
    call: Call
    found: dict[int, str]
    made: dict[int, tuple[Step, ...]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def follows(self) -> bool:
        """Whether an input is what the step before made."""
        return self.call.base is not None and self.call.base not in self.found and self.call.base not in self.made


def all_steps(steps: Sequence[Step]) -> Iterator[Step]:
    """Yields steps in the order in which they are done, with those that make what came through pipes."""
    for step in steps:
        for made in step.made.values():
            yield from all_steps(made)
        yield step


def steps_to(records: Sequence[Record], inputs: FoundInputs) -> tuple[Step, ...]:
    """Returns the steps that make a model again, in their order; the first one needs files alone.

    Args:
        records: the lineage of the model.
        inputs: the files that may be inputs.

    Raises:
        Unrepeatable: there are no records, an operation is not done again, or inputs are nowhere; all of the missing
            inputs are told at once.
    """
    missing: list[str] = []
    steps = _steps(records, [record.is_own for record in records], inputs, missing, 0)
    if missing:
        raise Unrepeatable(f"no file of these contents is among the inputs: {a_few([*dict.fromkeys(missing)])}")
    return steps


def _steps(
    records: Sequence[Record], is_step: Sequence[bool], inputs: FoundInputs, missing: list[str], depth: int
) -> tuple[Step, ...]:
    pairs, rest = grouped(records, is_step)
    if rest or not pairs:
        raise Unrepeatable("its lineage does not tell how it was made" if rest else "it has no lineage of wtool")
    steps: list[Step] = []
    for at in reversed(range(len(pairs))):
        try:
            step = _step(*pairs[at], inputs, missing, depth)
        except Unrepeatable as error:
            if not steps:
                raise
            wanted = steps[-1].record.inputs[steps[-1].call.base or 0]
            raise Unrepeatable(f"no file among the inputs is {_told(wanted)}, and {error.message}") from None
        steps.append(step)
        if not step.follows:
            return tuple(reversed(steps))
    missing.append(_told(step.record.inputs[step.call.base or 0]))  # nothing is recorded before
    return tuple(reversed(steps))


def _step(record: Record, brought: Sequence[Record], inputs: FoundInputs, missing: list[str], depth: int) -> Step:
    call = call_of(record)
    found, made = dict[int, str](), dict[int, tuple[Step, ...]]()
    for index, each in enumerate(record.inputs):
        path = inputs.find(each.hashes, each.name)
        if path is not None:
            found[index] = path
        elif index == call.base:
            continue  # the step before makes it
        elif each.name == "-" and brought:
            made[index] = _steps(brought, brought_are_steps(brought, depth + 1), inputs, missing, depth + 1)
        else:
            missing.append(_told(each))
    files = {each: inputs.find((each,), "") for each in call.files}
    missing += [f"a file of {call.operation} ({each})" for each, path in files.items() if path is None]
    return Step(record, call, found, made, {each: path for each, path in files.items() if path is not None})


def _told(each: Input) -> str:
    return f"{each.name} ({each.hashes[0]})" if each.hashes else f"{each.name} (without a content hash)"
