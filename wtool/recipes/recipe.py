"""A recipe as a value: steps, each an operation with its arguments, and what the steps read and write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, TypeAlias

from wtool.recipes.faults import Place
from wtool.run.task import Planner
from wtool.values import dataclass

MODEL = "model"
"""The word for the model that is put through a recipe."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that is put through the recipe."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, or another word for models that a command takes.

    Attributes:
        path: of the file.
    """

    path: str


@dataclass(frozen=True, slots=True)
class Made:
    """What another step makes.

    Attributes:
        step: number of the step, from 0.
    """

    step: int


Reference: TypeAlias = Model | File | Made
"""What a step reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step of a recipe.

    Attributes:
        number: its place among the steps, from 0.
        place: where it stands in the recipe.
        operation: what is done; the name of a public function of wtool.
        of: the models that it is done to.
        given: arguments of the function, but for those that name models.
        others: arguments that name models -> the models.
        name: under which other steps read the result; empty where it has none.
        output: where the result goes, as for `--output`; None where it is handed on.
        planner: plans the operation, where it is of a single model; arguments that are not known yet are `-` in it.
    """

    number: int
    place: Place
    operation: str
    of: tuple[Reference, ...]
    given: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Reference] = field(default_factory=dict)
    name: str = ""
    output: str | None = None
    planner: Planner[Any] | None = None

    @property
    def reads(self) -> tuple[Reference, ...]:
        """All models that take part."""
        return (*self.of, *self.others.values())

    def told(self) -> str:
        """Returns the operation with its options, in a line."""
        words = ", ".join(f"{name.replace('_', '-').rstrip('-')}: {_told(value)}" for name, value in self.given.items())
        return f"{self.operation} ({words})" if words else self.operation


def _told(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, (list, tuple)) else str(value)


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """A recipe that was checked.

    Attributes:
        path: of its file, or what messages call it.
        steps: in their order; each reads what steps before it make.
    """

    path: str
    steps: tuple[Step, ...]

    @property
    def takes_models(self) -> bool:
        """Whether models are put through the recipe, and not only files that it names itself."""
        return any(isinstance(each, Model) for step in self.steps for each in step.reads)

    def readers(self, number: int) -> Iterator[Step]:
        """Yields the steps that read the result of a step, once for each time they do."""
        for step in self.steps:
            yield from (step for each in step.reads if each == Made(number))

    def piped(self, step: Step) -> list[Made]:
        """Returns the results that a step reads as they come, which are in no file that a user named."""
        return [each for each in step.reads if isinstance(each, Made) and self.steps[each.step].output is None]

    def at(self, step: Step) -> str:
        """Returns where a step stands, for messages: `thin.yaml:3`."""
        line = step.place.line
        return f"{self.path}:{line}" if line else f"{self.path}, step {step.number + 1}"
