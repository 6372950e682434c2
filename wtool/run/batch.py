"""Many models: one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from wtool.checkpoint.inputs import Job as Place
from wtool.checkpoint.inputs import jobs
from wtool.checkpoint.opener import Opener, open_checkpoint
from wtool.errors import Usage, WtoolError, explained
from wtool.run.options import Common, Options, check_options
from wtool.run.pipeline import Progress
from wtool.run.transform import Task, Transformed
from wtool.signals import unwind_on_sigterm
from wtool.transforms.change import Transform
from wtool.words import Models, Path

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

Done = TypeVar("Done")
Made = TypeVar("Made", covariant=True)

PATIENCE = 0.5  # seconds that all processes have to stop by themselves
BETWEEN = 0.1  # seconds between two reports of progress
SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Failed:
    """A model that could not be transformed, and why."""

    model: str
    error: WtoolError


class Job(Protocol[Made]):
    """A task of one model."""

    @property
    def model(self) -> str:
        """Path, or `-`."""

    def run(self, opener: Opener, progress: Progress | None = None) -> Made:
        """Do it."""


class SomeFailed(WtoolError):
    """Some of several models failed.

    Attributes:
        results: of all models that were tried, in order.
    """

    def __init__(self, results: Sequence[Any]) -> None:
        failed = [each for each in results if isinstance(each, Failed)]
        super().__init__(f"{len(failed)} of {len(results)} models failed; the first: {failed[0].error}")
        self.results = tuple(results)


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
    return do_all(_tasks(operation, models, initial, options), options)


def do_all(tasks: Sequence[Job[Done]], options: Common) -> list[Done]:
    """Do tasks, each of one model, and report on each.

    Raises:
        SomeFailed: after all others were done, or at once with `fail_fast`; of a single model, the error itself.
    """
    report = options.get("report") or _ignore
    meter = _Meter(options.get("progress"), [_size(task.model) for task in tasks])
    alone = len(tasks) == 1
    workers = min(options.get("jobs", 1), len(tasks))
    results: list[Done | Failed] = []
    with ExitStack() as stack:
        done = _several(tasks, workers, meter, stack) if workers > 1 else _in_turn(tasks, meter)
        for result in done:
            results.append(result)
            report(result)
            if isinstance(result, Failed) and alone:
                raise result.error
            if isinstance(result, Failed) and options.get("fail_fast"):
                break
    if any(isinstance(each, Failed) for each in results):
        raise SomeFailed(results)
    return [each for each in results if not isinstance(each, Failed)]


def _ignore(result: Any) -> None:
    """Nobody wants to know."""


def _tasks(operation: Transform, models: Models, initial: Path | None, options: Options) -> list[Task]:
    words = words_of(models)
    first = None if initial is None else os.fspath(initial)
    check_options(operation, words, first, options)
    if first not in (None, "-"):
        open_checkpoint(str(first)).close()  # one complaint, instead of one for each model
    like = first if operation.of_initial and first != "-" else None
    found, folder = targets_of(words, operation.name, options, like, first)
    given = options.get("seed")
    seed = fresh_seed() if given is None else given
    mode = options.get("optimizer") or ("keep" if operation.of_initial else "follow")
    return [
        Task(
            transform=operation,
            model=job.model,
            target=job.target,
            initial=first,
            include=tuple(options.get("include", ())),
            exclude=tuple(options.get("exclude", ())),
            weights=options.get("weights", True),
            biases=options.get("biases", False),
            optimizer=mode,
            seed=seed,
            seed_is_given=given is not None,
            force=options.get("force", False) or options.get("in_place", False),
            dry_run=options.get("dry_run", False),
            make_folder=folder,
            below=job.below,
        )
        for job in found
    ]


def words_of(models: Models) -> list[str]:
    """The words that name models."""
    return [os.fspath(models)] if isinstance(models, (str, os.PathLike)) else [os.fspath(each) for each in models]


def targets_of(
    words: Sequence[str], suffix: str, options: Common, like: str | None = None, initial: str | None = None
) -> tuple[list[Place], bool]:
    """The models that the words mean, each with its target; and whether the targets' folders may be made.

    Raises:
        Usage: words that do not go together.
    """
    output = options.get("output")
    where = None if output is None else os.fspath(output)
    found, folder = jobs(words, where, suffix, like, options.get("in_place", False))
    if len(found) > 1 and "-" in (initial, *(job.target for job in found)):
        raise Usage(f"{len(found)} models, but - is a single one")
    return found, folder


def fresh_seed() -> int:
    """A seed, where none is given."""
    return secrets.randbelow(SEEDS)


def _size(path: str) -> int:
    try:
        return max(1, os.stat(path).st_size) if path != "-" else 1
    except OSError:
        return 1  # opening it says why


def _done(task: Job[Done], opener: Opener, progress: Progress | None) -> Done | Failed:
    """The task's result; whatever is wrong with its model is one."""
    try:
        return task.run(opener, progress)
    except Exception as error:
        return Failed(task.model, explained(error).about(task.model))


def _in_turn(tasks: Sequence[Job[Done]], meter: _Meter) -> Iterator[Done | Failed]:
    with Opener() as opener:
        for number, task in enumerate(tasks):
            yield _done(task, opener, meter.of(number))
            meter.finished(number)


class _Meter:
    """Progress over all models, in bytes of their files."""

    def __init__(self, progress: Progress | None, sizes: Sequence[int]) -> None:
        self._progress = progress
        self._sizes = sizes
        self._done = [0.0] * len(sizes)

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know."""
        return self._progress is not None

    def of(self, number: int) -> Progress | None:
        """The progress of one model."""
        if not self.is_watched:
            return None
        return lambda done, total: self.reached(number, done / max(1, total))

    def reached(self, number: int, share: float) -> None:
        """A model has come so far, 0 to 1."""
        if self._progress is not None:
            self._done[number] = share * self._sizes[number]
            self._progress(int(sum(self._done)), sum(self._sizes))

    def finished(self, number: int) -> None:
        """A model is done, or has failed."""
        self.reached(number, 1.0)


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    number: int | None = None  # of the task that it is working on


def _several(tasks: Sequence[Job[Done]], count: int, meter: _Meter, stack: ExitStack) -> Iterator[Done | Failed]:
    """Results in the order of the tasks, which several processes share."""
    context = _context()
    workers: list[_Worker] = []
    stack.callback(_stop, workers)
    waiting = list(reversed(range(len(tasks))))
    results: dict[int, Done | Failed] = {}
    for number in range(len(tasks)):
        while number not in results:
            workers[:] = [worker for worker in workers if worker.number is not None or worker.process.is_alive()]
            while len(workers) < min(count, len(waiting) + sum(worker.number is not None for worker in workers)):
                workers.append(_started(context, workers))
            for worker in workers:
                if worker.number is None and waiting:
                    _send(worker, waiting, tasks, meter.is_watched)
            busy = [worker.pipe for worker in workers if worker.number is not None]
            for ready in wait(busy) if busy else ():
                worker = next(each for each in workers if each.pipe is ready)
                _receive(worker, tasks, results, meter)
        yield results.pop(number)


def _send(worker: _Worker, waiting: list[int], tasks: Sequence[Job[Any]], watched: bool) -> None:
    """Give a worker the next task; it waits on if the worker has died meanwhile."""
    try:
        worker.pipe.send((tasks[waiting[-1]], watched))
    except OSError:
        worker.process.join()
    else:
        worker.number = waiting.pop()


def _receive(worker: _Worker, tasks: Sequence[Job[Any]], results: dict[int, Any], meter: _Meter) -> None:
    assert worker.number is not None
    number = worker.number
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        text = f"the process that worked on it died (exit code {worker.process.exitcode}); no half result stays"
        message = Failed(tasks[number].model, WtoolError(text, tasks[number].model))
    if isinstance(message, float):
        meter.reached(number, message)
        return
    results[number], worker.number = message, None
    meter.finished(number)


def _context() -> BaseContext:
    """Forking is fast; processes are started anew where other threads run in this one, or the system forks badly."""
    if sys.platform == "linux" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _started(context: BaseContext, others: Sequence[_Worker]) -> _Worker:
    here, there = context.Pipe()
    ends = [here, *(worker.pipe for worker in others)]
    process = context.Process(target=_work, args=(there, ends), daemon=True)  # type: ignore[attr-defined]
    with _no_main():
        process.start()
    there.close()
    return _Worker(process, here)


@contextmanager
def _no_main() -> Iterator[None]:
    """Keep a process that is not forked from running the user's script again: it needs nothing of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(pipe: Connection, others: Sequence[Connection]) -> None:
    """What a worker does: tasks, until nobody sends any (or nobody is there any more)."""
    for end in others:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides, and stops it with SIGTERM
    unwind_on_sigterm()
    with Opener() as opener, suppress(EOFError, BrokenPipeError):
        while True:
            task, watched = pipe.recv()
            pipe.send(_done(task, opener, _sender(pipe) if watched else None))


def _sender(pipe: Connection) -> Progress:
    last = time.monotonic()

    def send(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= BETWEEN:
            last = time.monotonic()
            pipe.send(done / max(1, total))

    return send


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        if worker.number is not None:
            worker.process.terminate()
    end = time.monotonic() + PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, end - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
