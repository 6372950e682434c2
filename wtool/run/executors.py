"""Tasks done one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from wtool.checkpoint.opener import Opener
from wtool.run.pipeline import Progress
from wtool.run.progress import Meter
from wtool.signals import unwind_on_sigterm

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

PATIENCE = 0.5  # seconds that all processes have to stop by themselves
BETWEEN = 0.1  # seconds between two reports of progress

Do: TypeAlias = "Callable[[Any, Opener, Progress | None], Any]"
"""From a task, what opens its model, and what it tells its progress to, to its result. It raises nothing."""


def in_turn(tasks: Sequence[Any], do: Do, meter: Meter) -> Iterator[Any]:
    """Do tasks here, one after the other; gives their results."""
    with Opener() as opener:
        for number, task in enumerate(tasks):
            yield do(task, opener, meter.of(number))
            meter.finished(number)


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    number: int | None = None  # of the task that it is working on


def in_processes(
    count: int, tasks: Sequence[Any], do: Do, meter: Meter, died: Callable[[Any, int | None], Any], stack: ExitStack
) -> Iterator[Any]:
    """Do tasks in processes that share them; gives their results in the order of the tasks.

    Args:
        count: of the processes.
        tasks: what can be sent through a pipe.
        do: a function of a module, which a process does with each task that it gets.
        meter: is told how far each task is.
        died: from a task whose process died, and its exit code, to its result.
        stack: stops the processes when it closes.
    """
    context = _context()
    workers: list[_Worker] = []
    stack.callback(_stop, workers)
    waiting = list(reversed(range(len(tasks))))
    results: dict[int, Any] = {}
    for number in range(len(tasks)):
        while number not in results:
            workers[:] = [worker for worker in workers if worker.number is not None or worker.process.is_alive()]
            while len(workers) < min(count, len(waiting) + sum(worker.number is not None for worker in workers)):
                workers.append(_started(context, workers, do))
            for worker in workers:
                if worker.number is None and waiting:
                    _send(worker, waiting, tasks, meter.is_watched)
            busy = [worker.pipe for worker in workers if worker.number is not None]
            for ready in wait(busy) if busy else ():
                worker = next(each for each in workers if each.pipe is ready)
                _receive(worker, tasks, results, meter, died)
        yield results.pop(number)


def _send(worker: _Worker, waiting: list[int], tasks: Sequence[Any], watched: bool) -> None:
    """Give a worker the next task; it waits on if the worker has died meanwhile."""
    try:
        worker.pipe.send((tasks[waiting[-1]], watched))
    except OSError:
        worker.process.join()
    else:
        worker.number = waiting.pop()


def _receive(
    worker: _Worker,
    tasks: Sequence[Any],
    results: dict[int, Any],
    meter: Meter,
    died: Callable[[Any, int | None], Any],
) -> None:
    assert worker.number is not None
    number = worker.number
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        message = died(tasks[number], worker.process.exitcode)
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


def _started(context: BaseContext, others: Sequence[_Worker], do: Do) -> _Worker:
    here, there = context.Pipe()
    ends = [here, *(worker.pipe for worker in others)]
    process = context.Process(target=_work, args=(there, ends, do), daemon=True)  # type: ignore[attr-defined]
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


def _work(pipe: Connection, others: Sequence[Connection], do: Do) -> None:
    """What a worker does: tasks, until nobody sends any (or nobody is there any more)."""
    for end in others:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides, and stops it with SIGTERM
    unwind_on_sigterm()
    with Opener() as opener, suppress(EOFError, BrokenPipeError):
        while True:
            task, watched = pipe.recv()
            pipe.send(do(task, opener, _sender(pipe) if watched else None))


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
