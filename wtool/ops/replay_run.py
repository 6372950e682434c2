"""Operations done again, one after the other, in a folder of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import field
from typing import Any

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.checkpoint.lineage import Input
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage, WtoolError, one_line
from wtool.io.addresses import is_address
from wtool.io.pipes import Pipe, joined
from wtool.ops.calls import function_of_operation, with_paths
from wtool.ops.found_inputs import copied, placed
from wtool.ops.recorded_calls import Unrepeatable
from wtool.ops.replay_steps import Step
from wtool.values import dataclass
from wtool.version import __version__
from wtool.words import Path

SHARDED = ".weights.json"
"""Ending of models whose bytes depend on their name: a map has the names of its shards."""


@dataclass(slots=True)
class Run:
    """Steps that are done again.

    Attributes:
        folder: where models between steps are; somebody else removes it.
        notes: what is worth knowing, one line each.
        count: how many steps were done.
    """

    folder: str
    notes: list[str] = field(default_factory=list)
    count: int = 0

    def made(self, steps: Sequence[Step], name: str, output: Path | None = None, force: bool = False) -> str:
        """Do steps again, and return the path of the model that the last one makes.

        Args:
            steps: what is done, one after the other.
            name: of the model, without folders.
            output: path that the model gets; by default one in the folder.
            force: whether a file at this path may be replaced.

        Raises:
            Unrepeatable: an operation fails now.
        """
        made = ""
        names = [step.record.inputs[step.call.base].name for step in steps[1:] if step.call.base is not None]
        for step, own in zip(steps, [*names, name], strict=True):
            is_last = step is steps[-1]
            made = self._done(step, made, own, output if is_last else None, force and is_last)
        return made

    def _done(self, step: Step, before: str, name: str, output: Path | None, force: bool) -> str:
        """Do a step again, and return the path of what it makes.

        Args:
            step: what is done.
            before: path of the model that the step before made; empty for the first step.
            name: of the result, without folders.
            output, force: see `made`.
        """
        record, call = step.record, step.call
        if record.wtool != __version__:
            told = "another tool" if record.wtool is None else f"wtool {record.wtool}"
            note = f"{call.operation} was done by {told}, and is done again by wtool {__version__}"
            self.notes.append(one_line(note))
        between = {index: self.made(steps, record.inputs[index].name) for index, steps in step.made.items()}
        if step.follows and call.base is not None:
            between[call.base] = before
            self._compare(before, record.inputs[call.base])
        folder = os.path.join(self.folder, str(self.count))
        os.mkdir(folder)
        self.count += 1
        target = os.path.join(folder, os.path.basename(name) if name.endswith(SHARDED) else "made")
        how = {"output": target if output is None else output, **({"force": True} if force else {})}
        try:
            done = _called(step, {**step.found, **between}, folder, how)
        except WtoolError as error:
            if output is not None and isinstance(error, Usage):  # of the name that the user gave to the result
                raise
            raise Unrepeatable(f"{call.operation} fails when it is done again: {error}") from None
        for path in between.values():  # a chain of large models would fill the disk
            shutil.rmtree(os.path.dirname(path))
        if done is None:
            raise Unrepeatable(f"{call.operation} has nothing to do when it is done again")
        return done

    def _compare(self, path: str, used: Input) -> None:
        """Take a note where the model that a step made is not the file that was used."""
        if used.hashes:
            with open_checkpoint(path) as model:
                if model.finish() != used.hashes:
                    told = "what came through a pipe" if used.name == "-" else used.name
                    self.notes.append(one_line(f"{told} was made again, and is not, to the byte, what was used"))


def _called(step: Step, files: Mapping[int, str], folder: str, how: Mapping[str, Any]) -> str | None:
    """Call the function of a step; returns the path of the result, or None where there is nothing to do.

    Args:
        step: what is done.
        files: index of each input -> path of its file.
        folder: an own one, in which files get the names that are recorded.
        how: further arguments.
    """
    call, inputs = step.call, step.record.inputs
    names = os.path.join(folder, "inputs")
    paths = {at: "-" if each.name == "-" else placed(files[at], each.name, names) for at, each in enumerate(inputs)}
    refuse_two_streams([paths[index] for index in {*call.models, *call.others.values()}])
    others = {argument: paths[index] for argument, index in call.others.items()}
    piped = next((files[index] for index, path in paths.items() if path == "-"), None)
    with _standard_input(piped, folder):
        function = function_of_operation(call.operation)
        arguments = {**with_paths(call.options, step.files), **others, **how}
        done = function([paths[at] for at in call.models], **arguments)
    (one,) = done if isinstance(done, list) else [done]
    return None if one.output is None else str(one.output)


@contextmanager
def _standard_input(path: str | None, folder: str) -> Iterator[None]:
    """Has operations read a file where they read standard input.

    Args:
        path: of the file, or its address; None where no operation reads standard input.
        folder: an own one, in which the file of an address is copied.
    """
    if path is None:
        yield
        return
    if is_address(path):
        path = copied(path, os.path.join(folder, "input"))
    with closing(Pipe()) as pipe:
        with open(path, "rb") as file:
            pipe.take(file)
        with joined(pipe, None):
            yield
