"""A recipe done to a model: pass after pass, what is handed on in unnamed files, and results whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import field, replace
from functools import partial
from typing import Any

import wtool
from wtool.checkpoint.model import Checkpoint
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Refused, Usage, WtoolError, explained
from wtool.io.descriptor import descriptor_of, source_of
from wtool.io.drafts import new_draft
from wtool.io.pipes import Pipe, joined
from wtool.io.places import Target, make_folders
from wtool.io.source import Source, copy
from wtool.ops.planners import planner_of
from wtool.recipes.flow import Pass, needed, tree
from wtool.recipes.grammar import output_of
from wtool.recipes.recipe import File, Made, Model, Recipe, Reference, Step
from wtool.run.changes import Changes, Edited
from wtool.run.derive import Derived
from wtool.run.pipeline import Progress
from wtool.run.plan import Plan
from wtool.run.progress import Passes
from wtool.run.result_names import named
from wtool.run.target import Goal, make_ready
from wtool.run.task import Planner, Task
from wtool.values import dataclass

SHARE = 1 << 20
"""What the progress of a recipe counts for each pass."""


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """What a recipe made, or found made.

    Attributes:
        model: path of the model, or of the recipe where it takes none.
        output: path of the result of the last step, `-` for standard output; None where nothing is written.
        skipped: all outputs were there already, made of the same inputs in the same way.
        outputs: paths of all results that were written.
        plan: the tree of what would be done, a line each, in a dry run.
        notes: what is worth knowing, one line each.
    """

    model: str
    output: str | None
    skipped: bool = False
    outputs: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Following:
    """The work of doing a recipe to one model.

    Attributes:
        model: path, `-` for standard input, or the recipe's where it takes no models.
        recipe: the recipe.
        goals: number of each step whose result is kept -> where it goes.
        made: number of each step whose result is there -> its path.
        dry_run: tell what would be done, and do nothing.
        size: bytes of the model, where a listing told them.
    """

    model: str
    recipe: Recipe
    goals: Mapping[int, Goal]
    made: Mapping[int, str] = field(default_factory=dict)
    dry_run: bool = False
    size: int | None = None

    def run(self, opener: Opener, progress: Progress | None = None) -> RecipeRun:
        """Do the recipe.

        Raises:
            WtoolError: a step failed; the message names it. What steps before it have written stays.
        """
        for goal in self.goals.values():
            if goal.refused:
                raise Refused(goal.refused, self.model)
        if self.dry_run:
            paths = {number: goal.path for number, goal in self.goals.items()} | dict(self.made)
            return RecipeRun(self.model, None, plan=tuple(tree(self.recipe, self.model, paths)))
        with ExitStack() as stack:
            state = _State(self, opener, stack)
            passes = needed(self.recipe, [*self.goals], self.made)
            if len(passes) > 1 and state.is_done():
                return state.done()
            for number, each in enumerate(passes):
                share = None if progress is None else partial(_shared, progress, number, len(passes))
                state.do(each, share)
            return state.done()


def _shared(progress: Progress, number: int, count: int, done: int, total: int) -> None:
    progress(number * SHARE + SHARE * done // max(1, total), count * SHARE)


@dataclass(slots=True, eq=False)
class _State:
    """What is at hand while a recipe is done."""

    work: Following
    opener: Opener
    stack: ExitStack
    pipes: dict[int | None, Pipe] = field(default_factory=dict)  # None: of the model
    files: dict[int, str] = field(default_factory=dict)
    skipped: list[bool] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files.update(self.work.made)
        if self.work.model == "-":
            self.pipes[None] = self._pipe()
            self.pipes[None].fd = descriptor_of("-")

    def is_done(self) -> bool:
        """Returns whether all results are there already, from this model by this recipe."""
        from wtool.recipes.there import is_there  # late: it knows the records of all operations

        steps, goals = self.work.recipe.steps, self.work.goals

        def path_of(one: Reference) -> str | None:
            if isinstance(one, Made) and one.step not in self.files:
                goal = goals.get(one.step)
                return None if goal is None else goal.path
            return self._path(one)

        has_all = all(
            not goal.force and is_there(self.work.recipe, steps[number], goal.path, path_of)
            for number, goal in goals.items()
        )
        if has_all:
            self.files.update({number: goal.path for number, goal in goals.items()})
            self.skipped += [True] * len(goals)
        return has_all

    def do(self, each: Pass, progress: Progress | None) -> None:
        """Do a pass."""
        number = each.last.number
        goal, write = self.work.goals.get(number), self._pipe()
        read = next((self.pipes[at] for at in map(_pipe_of, each.reads) if at in self.pipes), None)
        with joined(read, None if goal is not None else write):
            if each.first.planner is None:
                made = self._several(each.first, goal or Goal("-"), progress)
            else:
                made = self._single(each, goal or Goal("-"), progress)
        if made is None and goal is None:
            self._pass_on(each.first.of[0], number)
        elif made is None and goal is not None:
            made = self._hand_over(each.first, goal, read)
        elif goal is None:
            self.pipes[number] = write
        if made is not None and goal is not None:
            path, is_skipped = made
            self.files[number] = path
            self.skipped.append(is_skipped)
            self.written += [] if is_skipped else [path]

    def _pipe(self) -> Pipe:
        pipe = Pipe()
        self.stack.callback(pipe.close)
        return pipe

    def _pass_on(self, one: Reference, number: int) -> None:
        """Let what a step that has nothing to do reads be its result."""
        at = _pipe_of(one)
        if at in self.pipes:
            self.pipes[number] = self.pipes[at]
        else:
            self.files[number] = self._path(one)

    def _hand_over(self, step: Step, goal: Goal, read: Pipe | None) -> tuple[str, bool] | None:
        """Write what came in as it is, where the last step has nothing to do; nothing, if that is a file already."""
        if read is None:
            return None
        try:
            with joined(read, None), open_checkpoint("-") as came:
                goal = named(goal, came.format, keeps_format=False)
                if not goal.force and goal.path != "-" and has_bytes(goal.path, came.sources[0]):
                    return goal.path, True
                make_ready(goal)
                with new_draft(goal.target(), in_order=True) as draft:
                    copy(came.sources[0], 0, came.sources[0].size, draft.file.write)
                    draft.publish()
        except Exception as error:
            raise self.failed(step, error) from error
        return goal.path, False

    def _several(self, step: Step, goal: Goal, progress: Progress | None) -> tuple[str, bool] | None:
        """Make one model of several, by the public function; returns its path, and whether it was there already."""
        given = {**step.given, **{name: self._path(each) for name, each in step.others.items()}}
        how: dict[str, Any] = {"output": goal.path, "force": goal.force}
        if step.operation != "soup":
            how["progress"] = progress
        if goal.makes_folder:
            make_folders(Target(goal.path, below=goal.below))
        try:
            made = getattr(wtool, step.operation)([self._path(each) for each in step.of], **given, **how)
        except Exception as error:
            raise self.failed(step, error) from error
        done = made[0] if isinstance(made, list) else made
        self.notes += [f"{self.work.recipe.at(step)}: {note}" for note in done.notes]
        return done.output, done.skipped

    def _single(self, each: Pass, goal: Goal, progress: Progress | None) -> tuple[str, bool] | None:
        """Make one model of one, in as many steps as the pass has; returns None where there is nothing to do."""
        chain = _Chain(self, each.steps)
        model = self._path(each.first.of[0])
        if each.first.operation == "convert":
            goal = replace(goal, is_folder=bool(each.first.given.get("unzipped")))
        try:
            output, derived = Task(model, goal, chain).run(self.opener, progress)
        except _StepFailed as error:
            raise error.error from error.__cause__
        except Exception as error:
            raise self.failed(each.first, error) from error
        self.notes += [f"{self.work.recipe.at(each.last)}: {note}" for note in derived.notes]
        return None if chain.is_idle else (output, derived.there is not None)

    def _path(self, one: Reference) -> str:
        """Returns the path of what a step reads; `-` for what another one hands on."""
        if isinstance(one, File):
            return one.path
        return self.files.get(one.step, "-") if isinstance(one, Made) else self.work.model

    def planner(self, step: Step) -> Planner[Any]:
        """Returns what plans a step, now that all that it reads is known."""
        assert step.planner is not None
        if all(isinstance(each, File) for each in step.others.values()):
            return step.planner
        others = {name: self._path(each) for name, each in step.others.items()}
        made = planner_of(step.operation, {**step.given, **others, **output_of(step)})
        assert made is not None
        return made

    def failed(self, step: Step, error: Exception) -> WtoolError:
        """Returns the error of a step, which names the step and the model."""
        known = explained(error)
        model = self.work.model
        about = "" if known.file in ("", "-", model) else f"{known.file}: "
        text = f"{self.work.recipe.at(step)}: {step.operation}: {about}{known.message}"
        kind = next((each for each in (Usage, Refused) if isinstance(known, each)), WtoolError)
        return kind(text, model)

    def done(self) -> RecipeRun:
        """Returns what came of the recipe."""
        last = self.work.recipe.steps[-1].number
        return RecipeRun(
            self.work.model,
            self.files.get(last),
            bool(self.skipped) and all(self.skipped),
            tuple(self.written),
            (),
            tuple(dict.fromkeys(self.notes)),
        )


def _pipe_of(one: Reference) -> int | None:
    """Returns under which number a reference may have a pipe: that of a step, or None for the model."""
    return one.step if isinstance(one, Made) else None if isinstance(one, Model) else -1


def has_bytes(path: str, source: Source) -> bool:
    """Returns whether a path is that of a file with the bytes of an open one."""
    try:
        with closing(source_of(path)) as there:
            return there.size == source.size and there.finish() == source.finish()
    except WtoolError:
        return False


class _StepFailed(Exception):
    """Carries the error of a step through what is around it."""

    def __init__(self, error: WtoolError) -> None:
        super().__init__(str(error))
        self.error = error


class _Reopened(Opener):
    """Gives the checkpoint that is open already, to operations behind others in the same pass."""

    def __init__(self, base: Checkpoint) -> None:
        super().__init__()
        self._base = base

    def open(self, path: str, stack: ExitStack, drop_optimizer: bool = False, foreign: bool = False) -> Checkpoint:
        """Returns the checkpoint."""
        return self._base


class _Chain:
    """Plans several steps in one pass."""

    def __init__(self, state: _State, steps: Sequence[Step]) -> None:
        self._state = state
        self._steps = steps
        self.planners = [state.planner(step) for step in steps]
        self.is_idle = False

    def plan(self, model: str, opener: Opener, stack: ExitStack) -> Plan:
        """Open a model and all else that takes part."""
        whole: Plan | None = None
        for step, planner in zip(self._steps, self.planners, strict=True):
            try:
                if whole is None:
                    whole = self._named(step, planner.plan(model, opener, stack))
                else:
                    whole = whole.then(self._named(step, planner.plan("-", _Reopened(whole.base), stack)))
            except Exception as error:
                raise _StepFailed(self._state.failed(step, error)) from error
        assert whole is not None
        self.is_idle = not whole.operations
        return whole

    def told(self, task: Task[tuple[str, Derived]], plan: Plan, derived: Derived) -> tuple[str, Derived]:
        """The path of the result, and what came of the plan."""
        return task.goal.path, derived

    def _named(self, step: Step, plan: Plan) -> Plan:
        """Returns a plan whose errors name the step."""
        operations = tuple(
            replace(each, work_out=partial(self._work_out, step, each.work_out)) for each in plan.operations
        )
        return replace(plan, operations=operations)

    def _work_out(self, step: Step, work_out: Any, edited: Edited, passes: Passes) -> Changes:
        try:
            changes: Changes = work_out(edited, passes)
        except Exception as error:
            raise _StepFailed(self._state.failed(step, error)) from error
        return changes
