"""Tasks done several at a time, in processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import field
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wtool.checkpoint.opener import Opener
from wtool.run.executors.executor import BETWEEN, TRIES, Before, Work, done, harmless, lost
from wtool.run.pipeline import Progress
from wtool.run.progress import Meter
from wtool.signals import unwind_on_signals
from wtool.values import dataclass

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

PATIENCE = 0.5  # seconds that all processes have to stop by themselves


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    number: int | None = None  # of the task that it is working on


class Processes(AbstractContextManager["Processes"]):
    """Does tasks in processes, which get one at a time through a pipe.

    Args:
        count: of the processes.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []

    def __exit__(self, *error: object) -> None:
        """Stop the processes, whatever they are doing."""
        _stop(self._workers)

    def results(self, tasks: Sequence[Work[Any]], meter: Meter, before: Before = harmless) -> Iterator[Any]:
        """Do tasks; see `Executor.results`."""
        context, workers = _context(), self._workers
        batch = _Batch(tasks, meter, before, list(reversed(range(len(tasks)))))
        for number in range(len(tasks)):
            while number not in batch.results:
                workers[:] = [each for each in workers if each.number is not None or each.process.is_alive()]
                wanted = len(batch.waiting) + sum(each.number is not None for each in workers)
                while len(workers) < min(self._count, wanted):
                    workers.append(_started(context, workers))
                for worker in workers:
                    if worker.number is None and batch.waiting:
                        batch.send(worker)
                busy = [worker.pipe for worker in workers if worker.number is not None]
                for ready in wait(busy) if busy else ():
                    batch.receive(next(each for each in workers if each.pipe is ready))
            yield batch.results.pop(number)


@dataclass(slots=True)
class _Batch:
    """Tasks, the numbers of those that wait (the next one last), and the results that nobody has taken yet."""

    tasks: Sequence[Work[Any]]
    meter: Meter
    before: Before
    waiting: list[int]
    results: dict[int, Any] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)

    def send(self, worker: _Worker) -> None:
        """Give a worker the next task; the task waits on if the worker has died meanwhile."""
        try:
            worker.pipe.send((self.tasks[self.waiting[-1]], self.meter.is_watched))
        except OSError:
            worker.process.join()
        else:
            worker.number = self.waiting.pop()
            self.tries[worker.number] += 1

    def receive(self, worker: _Worker) -> None:
        """Take the result of a worker's task, or how far the task is; the task of a dead worker waits again."""
        assert worker.number is not None
        number = worker.number
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            task, tries = self.tasks[number], self.tries[number]
            is_harmless = self.before(task) is None
            if is_harmless and tries < TRIES:
                self.waiting.append(number)
                worker.number = None
                return
            who = f"the process that worked on it died (exit code {worker.process.exitcode})"
            message = lost(task, who, tries, is_harmless)
        if isinstance(message, float):
            self.meter.reached(number, message)
            return
        self.results[number], worker.number = message, None
        self.meter.finished(number)


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
    unwind_on_signals()
    with Opener() as opener, suppress(EOFError, BrokenPipeError):
        while True:
            task, watched = pipe.recv()
            pipe.send(done(task, opener, _sender(pipe) if watched else None))


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
            worker.process.join(PATIENCE)
