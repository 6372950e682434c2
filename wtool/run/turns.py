"""Threads that do batches by turns: each does all of a batch, so that its data stays in the cache of one core.

The work on a batch is a row of stages. Most stages take the batches in their order: while one thread is at the second
stage of a batch, another one is at the first stage of the next. No thread waits for the end of a batch of another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

from wtool.run.thread_pool import Threads
from wtool.run.threads import Pending


class Stage(NamedTuple):
    """A part of the work on a batch.

    Attributes:
        do: gets the number of the thread and that of the batch.
        in_order: whether it takes the batches in their order; else any number of threads may be at it.
    """

    do: Callable[[int, int], Any]
    in_order: bool = True


class Turns:
    """Does batches.

    Args:
        pool: has a thread for each of `threads`.
        threads: how many batches are worked on at the same time.
        batches: how many there are.
        stages: of the work on each. The last one gives the result; after an error or an interrupt, no thread is at the
            last stage any more.
    """

    def __init__(self, pool: Threads, threads: int, batches: int, stages: Sequence[Stage]) -> None:
        self._pool, self._count, self._batches, self._stages = pool, threads, batches, stages
        self._turns = [[threading.Semaphore(0 if number else 1) for number in range(threads)] for _ in stages]
        self._taken = [threading.Semaphore(1) for _ in range(threads)]
        self._results = [SimpleQueue[Any]() for _ in range(threads)]
        self._end = batches  # nothing is done to this batch and to those behind it
        self._ending = threading.Lock()

    def results(self) -> Iterator[Any]:
        """Yields the results in the order of the batches; each is done with when the next one is asked for.

        Raises:
            BaseException: what a stage raised, at the batch whose stage it was.
        """
        running: list[Pending[None]] = []
        try:
            for thread in range(self._count):
                running.append(self._pool.submit(self._work, thread))
            for batch in range(self._batches):
                found = self._results[batch % self._count].get()
                if isinstance(found, _Raised):
                    raise found.error
                yield found
                self._taken[batch % self._count].release()
        except BaseException as error:
            self._stop()
            if isinstance(error, Exception):  # an interrupt, and a reader who leaves, wait for no long computation
                for each in running:
                    each.result()
            raise

    def _stop(self) -> None:
        with self._ending:  # the last stage of a batch, which may write, is over then
            self._end = 0
        for semaphore in (*self._taken, *(each for row in self._turns for each in row)):
            semaphore.release(self._batches)

    def _work(self, thread: int) -> None:
        for batch in range(thread, self._batches, self._count):
            self._taken[thread].acquire()
            found: Any = None
            for stage, turns in zip(self._stages, self._turns, strict=True):
                if stage.in_order:
                    turns[thread].acquire()
                try:
                    found = self._done(stage, thread, batch, found)
                except BaseException as error:
                    found = _Raised(error)
                    with self._ending:
                        self._end = min(self._end, batch)
                finally:
                    if stage.in_order:
                        turns[(thread + 1) % self._count].release()
            if self._end == 0 and batch:
                return
            self._results[thread].put(found)

    def _done(self, stage: Stage, thread: int, batch: int, found: Any) -> Any:
        if batch >= self._end:
            return found
        if stage is not self._stages[-1]:
            return stage.do(thread, batch)
        with self._ending:
            return stage.do(thread, batch) if batch < self._end else found


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
