"""What an executor is: it does tasks, one of each model, and gives their results in the order of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from wtool.errors import WtoolError, explained
from wtool.io.addresses import without_query
from wtool.run.failed import Failed
from wtool.run.progress import Meter
from wtool.words import Progress

if TYPE_CHECKING:
    from wtool.checkpoint.opener import Opener

Result = TypeVar("Result", covariant=True)

TRIES = 3
"""How often a task is begun whose process or worker dies each time."""

BETWEEN = 0.1
"""Seconds between two reports of progress from another process."""


class Work(Protocol[Result]):
    """What is done to one model; a value that can be sent to another process."""

    @property
    def model(self) -> str:
        """Path, or `-` for standard input."""

    @property
    def size(self) -> int | None:
        """Bytes of a model in a store, where a listing told them."""

    def run(self, opener: Opener, progress: Progress | None = None) -> Result:
        """Do the work; what is wrong with the model is raised."""


Before: TypeAlias = "Callable[[Any], Any]"
"""From work that may not be done twice to the state of its model, which the work changes; to None of all other work."""


def harmless(task: Work[Any]) -> None:
    """The `Before` of work that may be done twice."""


def done(task: Work[Any], opener: Opener, progress: Progress | None) -> Any:
    """Do the work; returns its result, and a `Failed` whatever is wrong with its model."""
    try:
        return task.run(opener, progress)
    except Exception as error:
        return _failed(without_query(task.model), error)


def _failed(name: str, error: Exception) -> Failed:
    told = explained(error).about(name)
    _forget(told)
    return Failed(name, told)


def _forget(error: BaseException) -> None:
    """Empty the frames that an error came through: they hold the model's arrays, and often the error itself."""
    from traceback import clear_frames  # only here: most models do not fail

    waiting: list[BaseException | None] = [error]
    seen: list[BaseException | None] = [None]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            clear_frames(each.__traceback__)
            seen.append(each)
            waiting += [each.__cause__, each.__context__]


class Executor(Protocol):
    """Does tasks: here, in processes, or on a cluster. It starts what it needs in a `with`, and stops it at the end."""

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def results(self, tasks: Sequence[Work[Any]], meter: Meter, before: Before = harmless) -> Iterator[Any]:
        """Do tasks.

        Args:
            tasks: the work on each model.
            meter: is told how far each task is.
            before: tells which tasks may not be done twice.

        Yields:
            the result of each task, in the order of the tasks; a `Failed` of those whose process died each time.
        """


def lost(task: Work[Any], who: str, tries: int, is_harmless: bool) -> Failed:
    """Returns the result of a task whose process died.

    Args:
        task: the task.
        who: tells which process died, and how.
        tries: how often the task was begun.
        is_harmless: whether the task may be done twice.
    """
    times = "" if tries == 1 else f", {tries} times"
    state = "no half result stays" if is_harmless else "it changes the model in place, so look which model is there"
    name = without_query(task.model)
    return Failed(name, WtoolError(f"{who}{times}; {state}", name))
