"""What is wrong with a recipe: all of it at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field

from wtool.errors import Usage, counted, one_line
from wtool.values import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a recipe.

    Attributes:
        line: in the file, from 1; 0 in a recipe that is a value of Python.
        column: in the line, from 1.
        step: number of the step in a value of Python, from 1; 0 where the place is in none.
    """

    line: int = 0
    column: int = 0
    step: int = 0

    def told(self, recipe: str) -> str:
        """Returns the place as messages name it: `thin.yaml:3:12`, or `recipe, step 2`."""
        if self.line:
            return f"{one_line(recipe)}:{self.line}:{self.column}"
        return f"{one_line(recipe)}, step {self.step}" if self.step else one_line(recipe)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong, and where."""

    place: Place
    text: str


class Faulty(Usage):
    """A recipe that cannot be followed.

    Attributes:
        lines: all that is wrong, a line each, in the order of the recipe.
    """

    def __init__(self, recipe: str, faults: Iterable[Fault]) -> None:
        ordered = sorted(faults, key=lambda each: each.place)
        self.lines = tuple(f"{each.place.told(recipe)}: {one_line(each.text)}" for each in ordered)
        more = f" ({counted(len(ordered) - 1, 'more fault')} in it)" if ordered[1:] else ""
        super().__init__(f"{ordered[0].text}{more}", ordered[0].place.told(recipe))


@dataclass(slots=True)
class Faults:
    """Collects what is wrong with a recipe while it is checked."""

    found: list[Fault] = field(default_factory=list)

    def add(self, place: Place, text: str) -> None:
        """Note something that is wrong."""
        self.found.append(Fault(place, text))

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Note misuse that is raised inside, and go on behind."""
        try:
            yield
        except Usage as error:
            self.add(place, error.message)
