"""Which steps of a recipe are done in one pass over a file, and the tree that tells."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from wtool.recipes.recipe import File, Made, Model, Recipe, Reference, Step
from wtool.run.transform import Transforming
from wtool.transforms.registry import REGISTRY, transform
from wtool.values import dataclass

WHOLE = ("randomize", "reshuffle")
"""Transforms that hold a whole tensor, which others would ask for block by block."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Steps that are done in one pass, each to what the one before makes.

    Attributes:
        steps: in their order; one or more.
    """

    steps: tuple[Step, ...]

    @property
    def first(self) -> Step:
        """The step that reads the models of the pass."""
        return self.steps[0]

    @property
    def last(self) -> Step:
        """The step that makes the result of the pass."""
        return self.steps[-1]

    @property
    def reads(self) -> tuple[Reference, ...]:
        """All models that the pass reads."""
        return (*self.first.of, *(one for step in self.steps for one in step.others.values()))


def needed(recipe: Recipe, kept: Collection[int], made: Collection[int]) -> list[Pass]:
    """Returns the passes that lead to the results that are kept, in their order.

    Args:
        recipe: the recipe.
        kept: numbers of the steps whose results are kept.
        made: numbers of the steps whose results are there already.
    """
    found: list[Pass] = []
    wanted = {*kept} - {*made}
    for each in reversed(passes_of(recipe)):
        if each.last.number in wanted:
            found.append(each)
            wanted |= {one.step for one in each.reads if isinstance(one, Made)} - {*made}
    return found[::-1]


def passes_of(recipe: Recipe) -> list[Pass]:
    """Returns the passes in which a recipe is done, in their order."""
    found: dict[int, list[Step]] = {}
    for step in recipe.steps:
        base = step.of[0] if len(step.of) == 1 else None
        before = found.get(base.step) if isinstance(base, Made) else None
        if before is not None and _goes_on(recipe, before[-1], step):
            del found[before[-1].number]
            found[step.number] = [*before, step]
        else:
            found[step.number] = [step]
    return [Pass(tuple(steps)) for _, steps in sorted(found.items())]


def _goes_on(recipe: Recipe, before: Step, step: Step) -> bool:
    """Returns whether a step is done in the pass of the step that it reads."""
    is_alone = before.output is None and len(list(recipe.readers(before.number))) == 1
    return is_alone and _is_by_value(before) and before.operation not in WHOLE and _is_behind(step)


def _is_by_value(step: Step) -> bool:
    """Returns whether a step gives single values new ones, and leaves all else of the file as it is."""
    is_patch_of_values = step.operation == "patch" and not step.given.keys() & {"patch", "rename"}
    return step.operation in REGISTRY or is_patch_of_values


def _is_behind(step: Step) -> bool:
    """Returns whether a step can be done to values that another one makes in the same pass.

    A patch cannot: where it takes tensors from elsewhere, nobody would ask what the steps before make of them, and
    nothing would be counted for their records. A ranking had better not: it looks at all values several times, and
    would have the steps before make them each time, which costs more than a file between.
    """
    if step.operation not in REGISTRY or step.given.get("optimizer") == "drop" or _ranks(step):
        return False
    return not transform(step.operation).of_initial


def _ranks(step: Step) -> bool:
    return isinstance(step.planner, Transforming) and step.planner.transform.ranks


def why_alone(recipe: Recipe, step: Step) -> str:
    """Returns why a step that reads another one's result is not done in the same pass; empty where it reads none."""
    base = step.of[0] if len(step.of) == 1 else None
    if not isinstance(base, Made):
        return ""
    before = recipe.steps[base.step]
    if before.output is not None:
        return "reads the file that another step writes"
    if len(list(recipe.readers(before.number))) > 1:
        return f"what {before.operation} makes is read more than once"
    for each in (before, step):
        if not _is_by_value(each):
            return f"{each.operation} makes a file of its own"
    if before.operation in WHOLE:
        return f"{before.operation} holds whole tensors"
    if step.operation == "patch":
        return "patch takes values from elsewhere"
    if _ranks(step):
        return f"{step.operation} ranks all values first"
    return f"{step.operation} is done to another model, or to the file without its optimizer"


def tree(recipe: Recipe, model: str, outputs: Mapping[int, str]) -> Iterator[str]:
    """Yields the lines of a tree: what is read, done in one pass, and written; the last pass at the top.

    Args:
        recipe: the recipe.
        model: name of the model that is put through it.
        outputs: number of each step whose result is kept -> its path.
    """
    passes = passes_of(recipe)
    made_by = {step.number: each for each in passes for step in each.steps}
    top = [each for each in passes if not any(recipe.readers(each.last.number))]
    shown: set[int] = set()

    def lines(each: Pass, before: str, branch: str) -> Iterator[str]:
        target = outputs.get(each.last.number)
        what = f"pass {passes.index(each) + 1}"
        if each.last.number in shown:
            yield f"{before}{branch}{what}, as above"
            return
        shown.add(each.last.number)
        yield f"{before}{branch}{target or 'a temporary file'}  ({what})"
        inner = before + {"": "", "├── ": "│   ", "└── ": "    "}[branch]
        reads: list[tuple[Reference, str]] = [(one, "") for one in each.first.of]
        for step in reversed(each.steps):
            reason = why_alone(recipe, step) if step is each.first else ""
            yield f"{inner}│ {step.told()}{f'  [{reason}]' if reason else ''}"
            reads += [(one, f"{name.replace('_', '-')} of {step.operation}: ") for name, one in step.others.items()]
        for number, (one, role) in enumerate(reads):
            end = "└── " if number == len(reads) - 1 else "├── "
            if isinstance(one, Made):
                yield from lines(made_by[one.step], inner, end)
            else:
                yield f"{inner}{end}{role}{model if isinstance(one, Model) else _path(one)}"

    for each in reversed(top):
        yield from lines(each, "", "")


def _path(one: Reference) -> str:
    assert isinstance(one, File)
    return one.path
