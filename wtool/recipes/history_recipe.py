"""The recipe that made a model, as its lineage tells it: a text for `wtool run`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import field
from typing import Any

from wtool.checkpoint.lineage import Input, Record
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import one_line
from wtool.io.addresses import name_of, text_of, trimmed, without_query
from wtool.ops.calls import HASH, Call, with_paths
from wtool.ops.found_inputs import is_file_name
from wtool.ops.history import brought_are_steps, grouped
from wtool.ops.recorded_calls import Unrepeatable, call_of
from wtool.option import checked
from wtool.recipes.recipe import MODEL
from wtool.values import dataclass
from wtool.words import Path

FILES = {"architecture": "architecture.json", "map": "names.json", "patch": "changes.wpatch", "set": "array.npy"}
"""Option -> name for a file whose content hash alone is recorded."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_OTHER = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


@dataclass(slots=True)
class _Written:
    """A step of a recipe.

    Attributes:
        call: the call that it does.
        of: names of the models that the call is done to.
        others: argument -> name of the model.
        output: name of the file that the result was; empty where it went through a pipe, and of the last step.
        name: by which later steps call the result; empty where none does.
    """

    call: Call
    of: list[str]
    others: dict[str, str]
    output: str = ""
    name: str = ""


@dataclass(slots=True)
class _Recipe:
    """A recipe while it is written.

    Attributes:
        steps: in their order.
        inputs: name of each file in the recipe -> what its record says of it.
        notes: lines for people, in front.
        files: content hash of each other file -> name for it.
        paths: name of each input in the recipe -> its path.
        taken: paths of the inputs, and of the models between the steps.
    """

    steps: list[_Written] = field(default_factory=list)
    inputs: dict[str, Input] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def add(self, records: Sequence[Record], is_step: Sequence[bool], depth: int) -> _Written:
        """Add the steps of records, and return the last one; begin behind the last that is not done again."""
        pairs, rest = grouped(records, is_step)
        if rest or not pairs:
            raise Unrepeatable("its lineage does not tell how it was made" if rest else "it has no lineage of wtool")
        calls = [call_of(pairs[-1][0])]
        for record, _ in reversed(pairs[:-1]):
            if calls[0].base is None:
                break
            try:
                calls.insert(0, call_of(record))
            except Unrepeatable as error:
                self.notes.append(f"The first file was made before: {error.message}.")
                break
        before: _Written | None = None
        for call, (record, brought) in zip(calls, pairs[-len(calls) :], strict=True):
            before = self._step(call, record, brought, before, depth)
        assert before is not None
        return before

    def _step(
        self, call: Call, record: Record, brought: Sequence[Record], before: _Written | None, depth: int
    ) -> _Written:
        names: dict[int, str] = {}
        for index in (*call.models, *call.others.values()):
            each = record.inputs[index]
            if index == call.base and before is not None:
                before.output = before.output or self._output(each.name)
                names[index] = self._named(before)
            elif each.name == "-" and brought:
                names[index] = self._named(self.add(brought, brought_are_steps(brought, depth + 1), depth + 1))
            else:
                names[index] = self._input(each)
        others = {argument: names[index] for argument, index in call.others.items()}
        for option, value in call.chosen.items():
            for content in Call(call.operation, {option: value}, ()).files:
                self.files.setdefault(content, self._free(FILES.get(option, "file"), self.files.values()))
        step = _Written(call, [names[index] for index in call.models], others)
        self.steps.append(step)
        return step

    def _named(self, step: _Written) -> str:
        step.name = step.name or self._label(step.output or step.call.operation)
        return step.name

    def _input(self, each: Input) -> str:
        if each.name == "-":
            told = [known for known in self.inputs.values() if known.name == "-"]
            if any(known.hashes != each.hashes for known in told):
                raise Unrepeatable("two of its inputs came through pipes, and nothing else is recorded of them")
            self.inputs[MODEL] = each
            return MODEL
        for name, known in self.inputs.items():
            if (known.name, known.hashes) == (each.name, each.hashes):
                return name
        name = self._label(each.name)
        self.inputs[name] = each
        self.paths[name] = self._path(each.name)
        return name

    def _output(self, name: str) -> str:
        """Returns the path of a model between the steps; nothing for one that went through a pipe.

        Raises:
            Unrepeatable: the recorded name, which strangers choose, is none of a file in the folder.
        """
        if name == "-":
            return ""
        if not is_file_name(name):
            raise Unrepeatable(f"{name!r:.80} is no name of a file")
        return self._path(name)

    def _path(self, name: str) -> str:
        """Returns the recorded name; where another file has it already, in a folder, which records do not tell."""
        path, number = name, 1
        while path in self.taken:
            number += 1
            path = f"{number}/{name}"
        self.taken.add(path)
        if number > 1:
            self.notes.append(f"Several files are called {name}: make the folder {number} for another one.")
        return path

    def _label(self, file: str) -> str:
        """Returns a name that a recipe takes, made of that of a file."""
        stem = re.sub(r"[^A-Za-z0-9_-]", "-", name_of(file).partition(".")[0])[:40]
        known = [MODEL, *self.inputs, *(step.name for step in self.steps)]
        return self._free(stem if re.match(r"[A-Za-z_]", stem) else f"m{stem}", known)

    @staticmethod
    def _free(name: str, known: Collection[str]) -> str:
        stem, dot, ending = name.partition(".")
        found, number = name, 1
        while found in known:
            number += 1
            found = f"{stem}-{number}{dot}{ending}"
        return found

    def lines(self) -> Iterator[str]:
        """Yields the lines of the recipe."""
        yield from (f"# {one_line(note)}" for note in self.notes)
        yield from (f"# {name} is {content}" for content, name in self.files.items())
        named = {name: each for name, each in self.inputs.items() if name != MODEL}
        if named:
            yield "inputs:"
        for name, each in named.items():
            known = [content for content in each.hashes if HASH.fullmatch(content)]
            yield f"  {name}: {_scalar(self.paths[name])}{f'  # {known[0]}' if known else ''}"
        yield "steps:"
        for number, step in enumerate(self.steps):
            yield from self._lines(step, self.steps[number - 1].name if number else MODEL)

    def _lines(self, step: _Written, before: str) -> Iterator[str]:
        chosen = {**with_paths(step.call.chosen, self.files), **step.others}
        told = ", ".join(f"{name.rstrip('_').replace('_', '-')}: {_value(value)}" for name, value in chosen.items())
        yield f"  - {step.call.operation}: {{{told}}}" if told else f"  - {step.call.operation}:"
        if step.of != [before]:
            yield f"    of: {_value(step.of if len(step.of) > 1 else step.of[0])}"
        if step.output:
            yield f"    output: {_scalar(step.output)}"
        if self._is_called(step):
            yield f"    name: {step.name}"

    def _is_called(self, step: _Written) -> bool:
        """Returns whether another step calls a step by its name, which the next one need not do."""
        behind = self.steps[self.steps.index(step) + 1 :]
        called = [(each, name) for each in behind for name in (*each.of, *each.others.values()) if name == step.name]
        return bool(step.name) and called != [(each, step.name) for each in behind[:1] if each.of == [step.name]]


def history_recipe(model: Path) -> str:
    """Returns the recipe that made a model, by its lineage: a text in YAML, for `wtool run`.

    Files have the names that are recorded, in the folder in which the recipe is run; comments tell their content
    hashes. Where the model was trained on the way, the recipe begins with the file that the training made.

    Args:
        model: a file, the folder of an unzipped model, or `-` for standard input.

    Raises:
        WtoolError: the lineage does not tell how the model was made, or the last operation is none that a recipe has.
    """
    path = text_of(checked("model", Path, model))
    recipe = _Recipe()
    with open_checkpoint(path) as checkpoint:
        records = checkpoint.lineage
    try:
        recipe.add(records, [record.is_own for record in records], 0)
    except Unrepeatable as error:
        raise error.about(without_query(path)) from None
    head = f"# How {one_line(name_of(trimmed(path)))} was made, by its lineage."
    return "\n".join([head, *recipe.lines(), ""])


def _value(value: Any) -> str:
    return f"[{', '.join(map(_scalar, value))}]" if isinstance(value, (list, tuple)) else _scalar(value)


def _scalar(value: Any) -> str:
    """Returns a value as YAML has it; texts that may mean something else are quoted."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _OTHER:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    signs = (each if each.isprintable() and each not in '"\\' else f"\\U{ord(each):08x}" for each in text)
    return f'"{"".join(signs)}"'
