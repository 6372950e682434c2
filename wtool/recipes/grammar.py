"""From what a recipe says to a recipe: every word, value and name is checked before anything is done."""

from __future__ import annotations

import os
import re
from dataclasses import field, replace
from typing import Any

from wtool.checkpoint.inputs import models_of
from wtool.errors import WtoolError
from wtool.io.addresses import is_address, local_path
from wtool.ops.functions import given_of
from wtool.ops.merge_options import Merge
from wtool.ops.planners import planner_of
from wtool.recipes.document import Items, Node, Scalar, Table
from wtool.recipes.faults import Faults, Faulty, Place
from wtool.recipes.operations import MODELS, OPERATIONS, arguments_of, aside, groups_of, why_not, words_of
from wtool.recipes.recipe import MODEL, File, Made, Model, Recipe, Reference, Step
from wtool.recipes.values import value_of
from wtool.suggestions import meant
from wtool.transforms.merging.registry import METHODS
from wtool.values import dataclass

SEVERAL = ("average", "ema", "merge", "soup")
"""Operations that make one model of several."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TOP = ("inputs", "steps")
_BESIDE = ("of", "name", "output")


@dataclass(slots=True)
class _Written:
    """A step as it is written."""

    place: Place
    operation: Scalar
    options: Node | None = None
    beside: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    name: str = ""


def recipe_of(root: Node, path: str) -> Recipe:
    """Returns the recipe that a tree of values says.

    Args:
        root: the tree.
        path: what messages call the recipe.

    Raises:
        Faulty: something is wrong with the recipe; the error has all of it.
    """
    faults = Faults()
    reader = _Grammar(faults)
    steps = reader.read(root)
    if faults.found:
        raise Faulty(path, faults.found)
    recipe = Recipe(path, tuple(steps))
    _check_flow(recipe, faults)
    if faults.found:
        raise Faulty(path, faults.found)
    return recipe


class _Grammar:
    """Reads the parts of a recipe, and notes what is wrong with them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._made: dict[str, int] = {}

    def read(self, root: Node) -> list[Step]:
        """Returns the steps of a recipe; those that can be read, if there are faults."""
        if isinstance(root, Table):
            parts = self._parts(root)
            if "inputs" in parts:
                self._read_inputs(parts["inputs"])
            listed = parts.get("steps")
            if listed is None:
                self._faults.add(root.place, "has no steps: write a list of operations under steps")
                return []
        else:
            listed = root
        if not isinstance(listed, Items) or not listed.items:
            self._faults.add(listed.place, "stands where steps are expected: a list of operations, such as - prune")
            return []
        written = [self._written(each) for each in listed.items]
        for number, each in enumerate(written):
            if each is not None:
                self._take_name(each, number)
        return [self._step(each, number) for number, each in enumerate(written) if each is not None]

    def _parts(self, root: Table) -> dict[str, Node]:
        parts = {}
        for word, value in root.entries:
            if word.text in _TOP:
                parts[word.text] = value
            elif word.text in OPERATIONS:
                self._faults.add(word.place, f"{word.text} is a step: write - {word.text}, with a dash in front")
            else:
                self._faults.add(word.place, f"a recipe has no part {word.text!r}{meant(word.text, _TOP)}")
        return parts

    def _read_inputs(self, node: Node) -> None:
        if not isinstance(node, Table):
            self._faults.add(node.place, "stands where inputs are expected: names, each with a path")
            return
        for word, value in node.entries:
            paths = self._texts(value, "an input")
            if self._is_free(word):
                self._inputs[word.text] = tuple(local_path(each.text) for each in paths)
            for each in paths:
                self._check_file(each)

    def _is_free(self, word: Scalar) -> bool:
        """Returns whether something may get a name; notes why not."""
        name = word.text
        if not _NAME.fullmatch(name):
            self._faults.add(word.place, f"{name!r} is no name: letters, digits, _ and - make one")
        elif name == MODEL:
            self._faults.add(word.place, f"{MODEL} is the model that is put through the recipe: choose another name")
        elif name in self._inputs or name in self._made:
            self._faults.add(word.place, f"{name!r} is a name already: choose another one")
        else:
            return True
        return False

    def _check_file(self, word: Scalar) -> None:
        try:
            path = local_path(word.text)
            missing = not is_address(path) and not all(os.path.exists(each) for each in models_of(path))
        except WtoolError as error:
            self._faults.add(word.place, str(error))
        else:
            if missing:
                self._faults.add(word.place, f"there is no file {word.text!r}")

    def _texts(self, node: Node, what: str) -> list[Scalar]:
        """Returns the texts of a list, or a single one; notes what else is there."""
        nodes = node.items if isinstance(node, Items) else (node,)
        texts = [each for each in nodes if isinstance(each, Scalar) and not each.is_empty and each.text]
        if len(texts) < len(nodes) or not texts:
            self._faults.add(node.place, f"{what} is a path, or a list of paths")
        return texts

    def _written(self, node: Node) -> _Written | None:
        if isinstance(node, Scalar):
            return _Written(node.place, node) if self._is_operation(node) else None
        if not isinstance(node, Table):
            self._faults.add(node.place, "is a list in the list of steps: a step is an operation, such as - prune")
            return None
        found: _Written | None = None
        beside: dict[str, tuple[Scalar, Node]] = {}
        is_right = True
        for word, value in node.entries:
            if word.text in _BESIDE:
                beside[word.text] = (word, value)
            elif word.text in OPERATIONS and found is not None:
                told = f"a step is one operation, and {found.operation.text} is the one here: begin another step with -"
                self._faults.add(word.place, told)
            elif self._is_operation(word):
                found = _Written(node.place, word, value)
            else:
                is_right = False
        if found is None:
            if is_right:
                self._faults.add(node.place, "is a step without an operation, such as prune")
            return None
        found.beside = beside
        return found

    def _is_operation(self, word: Scalar) -> bool:
        if word.text in OPERATIONS:
            return True
        reason = (
            why_not(word.text) or f"no operation is called {word.text!r}{meant(word.text, (*OPERATIONS, *_BESIDE))}"
        )
        self._faults.add(word.place, reason)
        return False

    def _take_name(self, written: _Written, number: int) -> None:
        if "name" in written.beside:
            _, node = written.beside["name"]
            if not isinstance(node, Scalar) or node.is_empty:
                self._faults.add(node.place, "stands where the name of a step is expected")
            elif self._is_free(node):
                written.name = node.text
                self._made[node.text] = number

    def _step(self, written: _Written, number: int) -> Step:
        operation = written.operation.text
        given, others = self._arguments(operation, written, number)
        output = self._output(written)
        of = self._of(written, number)
        step = Step(number, written.place, operation, of, given or {}, others, written.name, output)
        return replace(step, planner=self._planner(step)) if given is not None else step

    def _of(self, written: _Written, number: int) -> tuple[Reference, ...]:
        operation = written.operation.text
        if "of" not in written.beside:
            return (Model(),) if number == 0 else (Made(number - 1),)
        _, node = written.beside["of"]
        found = [each for word in self._texts(node, "what a step is done to") for each in self._meant(word, number)]
        if len(found) > 1 and operation not in SEVERAL:
            told = f"{operation} is done to one model, and here are {len(found)}"
            self._faults.add(node.place, told)
        return tuple(found)

    def _meant(self, word: Scalar, number: int) -> list[Reference]:
        """Returns the models that a word of a step means: by a name, or by a path."""
        text = word.text
        if text == MODEL:
            return [Model()]
        if text in self._inputs:
            return [File(path) for path in self._inputs[text]]
        if text in self._made:
            made = self._made[text]
            if made < number:
                return [Made(made)]
            where = "this step itself" if made == number else "a step further down"
            self._faults.add(word.place, f"{text!r} is made by {where}, and has to be made before it is read")
            return []
        if text == "-":
            self._faults.add(
                word.place, f"- is no input of a step: {MODEL} is what the command reads, also from a pipe"
            )
            return []
        if is_address(text) or os.path.exists(text) or "/" in text or "." in text or "*" in text:
            self._check_file(word)
            return [File(local_path(text))]
        names = (MODEL, *self._inputs, *(name for name, made in self._made.items() if made < number))
        self._faults.add(word.place, f"no input, step or file is called {text!r}{meant(text, names)}")
        return []

    def _arguments(
        self, operation: str, written: _Written, number: int
    ) -> tuple[dict[str, Any] | None, dict[str, Reference]]:
        """Returns the arguments of an operation, None if some are wrong; and those that name models."""
        given: dict[str, Any] = {}
        others: dict[str, Reference] = {}
        before = len(self._faults.found)
        known = arguments_of(operation)
        words = words_of(known)
        options = written.options
        if isinstance(options, Scalar) and options.is_empty:
            options = None
        if options is not None and not isinstance(options, Table):
            told = f"stands where options of {operation} are expected, each with its value"
            self._faults.add(options.place, told)
            return None, {}
        for word, node in options.entries if options is not None else ():
            name = words.get(word.text.replace("-", "_"))
            if name is None:
                shown = sorted({each.word for each in known.values()})
                reason = aside(word.text) or f"{operation} has no option {word.text!r}{meant(word.text, shown)}"
                self._faults.add(word.place, reason)
            elif name in given or name in others:
                self._faults.add(word.place, f"{known[name].word} is given twice")
            elif name in MODELS.get(operation, ()):
                found = self._meant(node, number) if isinstance(node, Scalar) and not node.is_empty else []
                if len(found) == 1:
                    others[name] = found[0]
                elif len(self._faults.found) == before or found:
                    self._faults.add(node.place, f"{known[name].word} is one model")
            else:
                with self._faults.at(node.place):
                    given[name] = value_of(node, known[name])
        missing = [each.word for each in known.values() if each.is_required and each.name not in {*given, *others}]
        if missing and len(self._faults.found) == before:
            self._faults.add(written.operation.place, f"{operation} needs {' and '.join(missing)}")
        return (given if len(self._faults.found) == before else None), others

    def _output(self, written: _Written) -> str | None:
        if "output" not in written.beside:
            return None
        _, node = written.beside["output"]
        if not isinstance(node, Scalar) or node.is_empty or not node.text:
            self._faults.add(node.place, "output is a path")
        elif node.text == "-":
            self._faults.add(node.place, "standard output is the command's: give --output - to wtool run")
        else:
            return local_path(node.text)
        return None

    def _planner(self, step: Step) -> Any:
        """Returns what plans a step, with `-` in place of what is not known yet; checks its arguments together."""
        given = {**step.given, **{name: told(each) for name, each in step.others.items()}}
        try:
            if step.operation in ("average", "merge", "soup"):
                for group in groups_of(step.operation):
                    group(**given_of(group, given))
                if step.operation == "merge":
                    _check_method(step, Merge(**given))
                return None
            return planner_of(step.operation, given | output_of(step))
        except WtoolError as error:
            self._faults.add(step.place, str(error))
        return None


def _check_method(step: Step, options: Merge) -> None:
    """Raise Usage unless a method of merging takes these options, and so many models."""
    from wtool.run.by_method import ByMethod  # late: only merges need it

    models = sum(len(models_of(each.path)) if isinstance(each, File) else 1 for each in step.of)
    ByMethod(METHODS[options.method], options.of_method, models, "base" in step.others, seed=0)


def told(reference: Reference) -> str:
    """Returns a path for what a step reads, where that is known before the step is done; else `-`."""
    return reference.path if isinstance(reference, File) else "-"


def output_of(step: Step) -> dict[str, Any]:
    """Returns the argument that tells a conversion the name of its result, whose ending may say the format."""
    return {"output": step.output} if step.operation == "convert" and step.output is not None else {}


def _check_flow(recipe: Recipe, faults: Faults) -> None:
    """Note steps whose results go nowhere, and those that would read several results as they come."""
    last = len(recipe.steps) - 1
    for step in recipe.steps:
        piped = recipe.piped(step)
        if len(piped) > 1:
            several = f"reads {len(piped)} results that are in no file, as through pipes, and can read one in this way"
            faults.add(step.place, f"{step.operation} {several}: give the others an output")
        if piped and step.operation == "soup":
            faults.add(step.place, "soup reads its models several times: give the step before it an output")
        if step.number < last and step.output is None and not any(recipe.readers(step.number)):
            told = f"nothing is made of what {step.operation} makes here: let a step read it, or give it an output"
            faults.add(step.place, told)
