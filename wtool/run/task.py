"""A task: one model, where its result goes, and what to plan for it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from wtool.checkpoint.opener import Opener
from wtool.errors import Refused, WtoolError
from wtool.io.addresses import without_query
from wtool.run.derive import Derived, derive
from wtool.run.pipeline import Progress
from wtool.run.plan import Plan
from wtool.run.result_names import named
from wtool.run.target import Goal
from wtool.values import dataclass

Made = TypeVar("Made")


class Planner(Protocol[Made]):
    """Plans an operation for any model, and tells what came of it: a value that can be sent to another process."""

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model and all else that takes part.

        Args:
            model: path, or `-`.
            opener: opens the model.
            stack: keeps open what takes part, as long as it is open itself.
        """

    def told(self, task: Task[Made], plan: Plan, derived: Derived) -> Made:
        """What the caller is told of a task that is done."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Made]):
    """What is to be done to one model.

    Attributes:
        model: path, or `-` for standard input.
        goal: where the result goes.
        planner: plans what is done.
        size: bytes of the model, where a listing told them.
    """

    model: str
    goal: Goal
    planner: Planner[Made]
    size: int | None = None

    @property
    def name(self) -> str:
        """The model as results name it: an address of the web has no query there, which may be secret."""
        return without_query(self.model)

    @property
    def output(self) -> str | None:
        """Path of the result; None where nothing is written."""
        return None if self.goal.dry_run else self.goal.path

    def run(self, opener: Opener, progress: Progress | None = None) -> Made:
        """Do the task.

        Raises:
            Refused: a file is damaged, or cannot take part.
            WtoolError: a file is missing, or the result exists or cannot be written.
            Usage: words that match nothing, or the name of the result is that of another format.
        """
        if self.goal.refused:
            raise Refused(self.goal.refused, self.name)
        with ExitStack() as stack:
            plan = self.planner.plan(self.model, opener, stack)
            try:
                goal = named(self.goal, plan.format, plan.base.name, plan.result_format is None)
                task = replace(self, goal=goal) if plan.operations else self
                return self.planner.told(task, plan, derive(plan, task.goal, progress))
            except WtoolError as error:
                raise error.about(self.name) from None
