"""Many models: one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from wtool.checkpoint.inputs import refuse_two_streams, stem_and_ending
from wtool.checkpoint.opener import open_checkpoint
from wtool.errors import Usage, WtoolError, counted
from wtool.io import tree
from wtool.io.addresses import text_of, without_query
from wtool.io.places import missing_folder, remove_empty_folders
from wtool.io.tree import one_place
from wtool.run.executors import Work as Work
from wtool.run.failed import Failed as Failed
from wtool.run.options import Batch, Common, Execution, Options, Output, Unseeded
from wtool.run.results import refuse_pipes, results_of
from wtool.run.target import goals_of
from wtool.run.task import Planner, Task
from wtool.run.transform import Transformed, Transforming
from wtool.transforms.change import Transform
from wtool.words import Models, Path

Made = TypeVar("Made")

SEEDS = 1 << 32


class SomeFailed(WtoolError):
    """Some of several models failed.

    Attributes:
        results: of all models that were tried, in order; where results are not collected, of the first that failed.
    """

    def __init__(self, results: Sequence[Any], failed: int, models: int) -> None:
        first = next(each for each in results if isinstance(each, Failed))
        super().__init__(f"{failed:,} of {counted(models, 'model')} failed; the first: {first.error}")
        self.results = tuple(results)


def tasks_of(
    planner: Planner[Made],
    words: Sequence[str],
    suffix: str,
    options: Common | Options | Unseeded,
    like: str | None = None,
    initial: str | None = None,
) -> list[Task[Made]]:
    """A task for each of the models that words mean.

    Args:
        planner: plans what is done to a model.
        words: see `words_of`.
        suffix: of the default names of results.
        options: where results go, and what may happen to what is there.
        like: a path whose extension the results have; that of each model by default.
        initial: path of a further input.

    Raises:
        Usage: words that do not go together.
    """
    where = None if options.output is None else text_of(options.output)
    ending = None if like is None else stem_and_ending(like)[1]
    found = goals_of(
        words, where, suffix, ending, options.in_place, options.force, options.dry_run, shard=options.shard
    )
    if len(found) > 1 and "-" in (initial, *(goal.path for _, goal in found)):
        raise Usage(f"{len(found)} models, but - is a single one")
    return [Task(model.path, goal, planner, model.size) for model, goal in found]


def transform_all(operation: Transform, models: Models, initial: Path | None, options: Options) -> list[Transformed]:
    """Do an operation to models.

    Args:
        operation: what is done.
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: the initial checkpoint, for operations that need one.
        options: how.

    Raises:
        SomeFailed: after all others were done, or at once with `fail_fast`; of a single model, the error itself.
        Usage: words that do not go together; nothing was done then.
    """
    words = words_of(models)
    first = None if initial is None else text_of(initial)
    planner = transforming(operation, first, options)
    check_words(words, options, first)
    if first not in (None, "-"):
        open_checkpoint(str(first)).close()  # one complaint, instead of one for each model
    like = first if operation.of_initial and first != "-" else None
    return do_all(tasks_of(planner, words, operation.name, options, like, first), options)


def transforming(operation: Transform, first: str | None, options: Options) -> Transforming:
    """Returns what plans a transform of models.

    Args:
        operation: what is done.
        first: path of the initial checkpoint, for operations that need one.
        options: how.

    Raises:
        Usage: an initial checkpoint is missing, or plays no part.
    """
    _check_initial(operation, first)
    given = options.seed
    return Transforming(
        operation,
        first if operation.reads_initial else None,
        tuple(options.include),
        tuple(options.exclude),
        weights=options.weights,
        biases=options.biases,
        optimizer=options.optimizer,
        seed=fresh_seed() if given is None else given,
        seed_is_given=given is not None,
        notes=()
        if first is None or operation.reads_initial
        else (f"{without_query(first)} plays no part in this {operation.name}",),
    )


def do_all(tasks: Sequence[Work[Made]], options: Batch) -> list[Made]:
    """Do tasks, each of one model, and report on each; gives their results, or none without `collect`.

    Raises:
        SomeFailed: after all others were done, or at once with `fail_fast`; of a single model, the error itself.
    """
    report = options.report or _ignore
    alone = len(tasks) == 1
    results: list[Made | Failed] = []
    models = failed = 0
    with _no_empty_folders(tasks, options):
        with closing(results_of(tasks, options, _before)) as done:
            for result in done:
                error = result.error if isinstance(result, Failed) else None
                models, failed = models + 1, failed + (error is not None)
                if options.collect or (error is not None and failed == 1):
                    results.append(result)
                report(result)
                if error is not None and alone:
                    raise error
                if error is not None and options.fail_fast:
                    break
        if failed:
            raise SomeFailed(results, failed, models)
    return [each for each in results if not isinstance(each, Failed)]


@contextmanager
def _no_empty_folders(tasks: Sequence[Work[Any]], options: Execution) -> Iterator[None]:
    """Remove the folders that a batch makes and leaves empty when it fails.

    The job of another part of the zoo may be about to write there: jobs with parts leave all folders.
    """
    goals = [task.goal for task in tasks if isinstance(task, Task)]
    folders = dict.fromkeys(goal.below for goal in goals if goal.makes_folder and goal.below is not None)
    own = [] if options.dry_run or options.shard is not None else [*filter(None, map(missing_folder, folders))]
    try:
        yield
    except BaseException:
        for folder in own:
            remove_empty_folders(folder)
        raise


def _ignore(result: Any) -> None:
    """Nobody wants to know."""


def words_of(models: Models) -> list[str]:
    """The words that name models."""
    return [text_of(models)] if isinstance(models, (str, os.PathLike)) else [text_of(each) for each in models]


def check_words(words: Sequence[str], options: Output, initial: str | None = None) -> None:
    """Raise Usage if standard input is named twice or on a cluster, or models in place have another place too."""
    refuse_two_streams([*words, *([] if initial is None else [initial])])
    if isinstance(options, Execution):
        refuse_pipes([*words, options.output, initial], options.cluster)
    if options.in_place and (options.output is not None or "-" in words):
        raise Usage("in place, the model itself is the output: no other output, and no standard input")


def check_verifying(tasks: Sequence[Task[Any]], options: Common | Unseeded) -> None:
    """Raise Usage unless the old and the new models are files, which Keras can load."""
    as_files = not any("-" in (task.model, task.goal.path) for task in tasks)
    if options.dry_run or options.in_place or not as_files:
        raise Usage("verifying needs the old and the new model as files: no dry run, not in place, no pipe")


def _check_initial(operation: Transform, initial: str | None) -> None:
    if operation.reads_initial and initial is None:
        raise Usage(f"this {operation.name} needs an initial checkpoint (--initial)")
    if initial == "-" and not operation.reads_initial:
        raise Usage(f"the initial checkpoint plays no part in this {operation.name}, and cannot come from a pipe")


def fresh_seed() -> int:
    """A seed, where none is given."""
    return int.from_bytes(os.urandom(8), "big") % SEEDS  # `secrets` takes 6 ms to import


def _before(task: Work[Any]) -> Any:
    """The state of a model that a task changes in place, and would change again if it were done twice; else None."""
    if not isinstance(task, Task) or task.goal.dry_run or not one_place(task.model, task.goal.path):
        return None
    try:
        return tree.state_of(task.model)
    except OSError:
        return ()
