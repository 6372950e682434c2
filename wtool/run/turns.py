"""Threads that do batches by turns: each does all of a batch, whose data so stay in the cache of one core.

The work on a batch is a row of stages. Each stage takes the batches in their order: while one thread is at the second
stage of a batch, another one is at the first stage of the next. No thread waits for the end of a batch of another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from wtool.run.thread_pool import Threads
from wtool.run.threads import Pending

Stage = Callable[[int, int], Any]
"""Does a part of the work on a batch: gets the number of the thread and that of the batch."""


class Turns:
    """Does batches.

    Args:
        pool: has a thread for each of `threads`.
        threads: how many batches are worked on at the same time.
        batches: how many there are.
        stages: of the work on each, and for each stage whether it takes the batches in their order; else any number of
            threads may be at it. The last one gives the result.
    """

    def __init__(self, pool: Threads, threads: int, batches: int, stages: Sequence[tuple[Stage, bool]]) -> None:
        self._count, self._batches, self._stages = threads, batches, stages
        self._turns = [[threading.Lock() for _ in range(threads)] for _ in stages]
        for locks in self._turns:
            for lock in locks[1:]:
                lock.acquire()
        self._taken = [threading.Semaphore(1) for _ in range(threads)]
        self._results = [SimpleQueue[Any]() for _ in range(threads)]
        self._is_over = False
        self._running: list[Pending[None]] = [pool.submit(self._work, number) for number in range(threads)]

    def results(self) -> Iterator[Any]:
        """Yields the results in the order of the batches; each is taken for done with when the next one is asked for.

        Raises:
            BaseException: what a stage raised, at the batch whose stage it was.
        """
        try:
            for batch in range(self._batches):
                found = self._results[batch % self._count].get()
                if isinstance(found, _Raised):
                    raise found.error
                yield found
                self._taken[batch % self._count].release()
        except BaseException as error:
            self._stop(
                waits=isinstance(error, Exception)
            )  # an interrupt, of whoever takes the results, waits for nobody
            raise

    def _stop(self, waits: bool) -> None:
        """Have all threads go through the batches that are left, doing nothing: each still waits for its turns."""
        self._is_over = True
        for semaphore in self._taken:
            semaphore.release(self._batches)
        for each in self._running if waits else ():
            each.result()

    def _work(self, thread: int) -> None:
        for batch in range(thread, self._batches, self._count):
            self._taken[thread].acquire()
            found: Any = None
            for number, (stage, in_order) in enumerate(self._stages):
                locks = self._turns[number]
                if in_order:
                    locks[thread].acquire()
                try:
                    if not self._is_over and not isinstance(found, _Raised):
                        found = stage(thread, batch)
                except BaseException as error:
                    found = _Raised(error)
                finally:
                    if in_order:
                        locks[(thread + 1) % self._count].release()
            self._results[thread].put(found)


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
