"""Tasks done by the workers of a Dask cluster, in batches.

Each batch is meant for one worker, and no other one takes it: a batch whose worker dies comes back, and what the worker
had told of it counts. (Dask itself would give the whole batch to another worker, and results that are there already
would be told as skipped.)
"""

from __future__ import annotations

import os
import queue
import secrets
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import field
from typing import Any

from wtool.errors import ClusterWarning, WtoolError, in_short
from wtool.io.remote.retrying import retries
from wtool.run.executors import cluster_connection as connection
from wtool.run.executors import cluster_worker
from wtool.run.executors.batches import next_batch, seconds_of
from wtool.run.executors.cluster_here import PATIENCE, Here
from wtool.run.executors.cluster_worker import BEGAN, DONE, ENDED, OVER, REACHED, Identity, Order
from wtool.run.executors.executor import TRIES, Before, Work, harmless, lost
from wtool.run.failed import Failed
from wtool.run.progress import Meter
from wtool.values import dataclass

AHEAD = 2
"""Batches that a worker has at most: one that it works on, and the next."""

LOOKS, LOOKS_FOR_THE_FIRST = 1.0, 0.1
"""Seconds between two looks at which workers there are, and where there is none yet."""

RESTARTS = 120.0
"""Seconds in which a worker of this machine starts, however busy the machine is."""


class Cluster(AbstractContextManager["Cluster"]):
    """Does tasks on a cluster.

    Args:
        address: see `cluster_connection.connected`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stack = ExitStack()
        self._client: Any = None
        self._here: Here | None = None

    def __enter__(self) -> Cluster:
        with self._stack:
            self._client, self._here = connection.connected(self._address, self._stack)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connection; a cluster that was started here is stopped."""
        self._stack.close()

    def results(self, tasks: Sequence[Work[Any]], meter: Meter, before: Before = harmless) -> Iterator[Any]:
        """Do tasks; see `Executor.results`.

        Raises:
            WtoolError: the scheduler is gone, or workers have another version of wtool.
        """
        order = Order(f"wtool-{secrets.token_hex(8)}", os.getcwd(), meter.is_watched, retries())
        dispatch = _Dispatch(self._client, self._here, self._address, order, tasks, meter, before)
        try:
            for number in range(len(tasks)):
                while number not in dispatch.results:
                    dispatch.step()
                yield dispatch.results.pop(number)
        finally:
            dispatch.close()


@dataclass(slots=True)
class _Batch:
    """Tasks that a worker has: those of which it has not told the result, and what it works on.

    Attributes:
        worker: whose batch it is.
        future: of Dask.
        left: numbers of tasks -> their state before (see `executor.Before`).
        begun: number of the task that was begun last.
        ending: how it ended, if the worker has told that.
    """

    worker: str
    future: Any
    left: dict[int, Any]
    begun: int | None = None
    ending: str | None = None


@dataclass(slots=True)
class _Dispatch:
    """Gives batches to workers, and takes what they tell.

    Attributes:
        workers: address -> who it is.
        batches: number -> a batch that a worker has.
        waiting: numbers of tasks, the next one last.
        told: what comes from the threads of Dask: events, and numbers of batches that ended.
        results: number of a task -> its result, until it is taken.
    """

    client: Any
    here: Here | None
    address: str
    order: Order
    tasks: Sequence[Work[Any]]
    meter: Meter
    before: Before
    workers: dict[str, Identity] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)
    batches: dict[int, _Batch] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    tries: Counter[int] = field(default_factory=Counter)
    told: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    results: dict[int, Any] = field(default_factory=dict)
    seconds: float = 0.0
    _missing: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _hello: Any = None
    _is_begun: bool = False
    _is_anyone_free: bool = False
    _alone_since: float | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1 << 62)))
    _next_look: float = 0.0

    def __post_init__(self) -> None:
        self._wait_again(range(len(self.tasks)))
        self.client.subscribe_topic(self.order.topic, self._hear)

    def _hear(self, event: tuple[float, Sequence[Any]]) -> None:
        """Note what a worker tells; this runs in a thread of Dask."""
        for each in event[1]:
            self.told.put(each)

    def step(self) -> None:
        """Look at the workers now and then, give them batches, and take one message if there is any."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + (LOOKS if self.workers else LOOKS_FOR_THE_FIRST)
        if self._is_anyone_free:
            self._hand_out()
        with suppress(queue.Empty):
            self._heed(self.told.get(timeout=max(0.0, self._next_look - time.monotonic())))

    def _take_all(self) -> None:
        """Take all messages that are there."""
        with suppress(queue.Empty):
            while True:
                self._heed(self.told.get_nowait())

    def _heed(self, message: Any) -> None:
        if isinstance(message, int):
            self._over(message)
        else:
            self._take(*message)

    def close(self) -> None:
        """Stop all work, and leave nothing of it on the scheduler."""
        from distributed import wait

        running = [batch.future for batch in self.batches.values()]
        if self.client.status != "running":
            return
        if running:
            connection.stop_all(self.client, self.order.topic)
            try:
                wait(running, timeout=PATIENCE)
            except Exception:  # still at work, or gone
                self.client.cancel(running, force=True)
        self.client.unsubscribe_topic(self.order.topic)

    # Workers

    def _look(self) -> None:
        """See which workers are gone, and which are new.

        A worker is dead that is missing twice: its last words may come later than the first look that misses it.
        A worker that comes while the work goes on gets models from the next look on. If a model killed it at once, a
        nanny that is still starting it would not start it again.
        """
        threads = connection.threads_of(self.client, self.address)
        if self.here is not None:
            self.here.keep_up()
        gone = {each for each in self.workers if each not in threads}
        if dead := gone & self._missing:
            self._take_all()  # what they had told before, which comes by another way than this look
        for address in dead & {*self.workers}:
            self._died(address)
        self._missing = gone - dead
        new = [each for each in threads if each not in self.workers and each not in self.strange]
        ready = [each for each in new if each in self._seen] if self._is_begun and self.here is None else new
        self._seen = set(threads)
        if ready:
            self._welcome(connection.identified(self.client, ready))
        if self.workers or new:
            self._alone_since = self._hello = None
        else:
            self._wait_for_workers()

    def _wait_for_workers(self) -> None:
        """Say once that there are no workers. Some clusters start workers when there is a task.

        The task is Python's own: a worker that is given a function that it cannot import ends without a word.
        """
        if self._alone_since is None:
            self._alone_since = time.monotonic()
            if self.here is None:
                self._hello = self.client.submit(int, pure=False)
                warnings.warn(ClusterWarning(f"{self.address} has no workers; waiting for one"), stacklevel=2)
        elif self.here is not None and time.monotonic() - self._alone_since > RESTARTS:
            raise WtoolError("no worker starts on this machine; is Dask whole?", self.address)

    def _welcome(self, found: dict[str, Identity | str]) -> None:
        """Take new workers that have this version of wtool; all of the first ones have to."""
        reasons = connection.refused(found)
        is_first, self._is_begun = not self._is_begun, True
        self._is_anyone_free = True
        if reasons and is_first:
            raise WtoolError(connection.told_refused(reasons), self.address)
        if reasons:
            told = connection.told_refused(reasons)
            warnings.warn(ClusterWarning(f"{self.address}: {told}; it gets no models"), stacklevel=2)
        for address, each in found.items():
            if isinstance(each, Identity) and not connection.refused({address: each}):
                self.workers[address] = each
            else:
                self.strange.add(address)

    def _died(self, address: str) -> None:
        who = self.workers.pop(address)
        for number in [each for each, batch in self.batches.items() if batch.worker == address]:
            self._give_back(number, who)

    def _give_back(self, batch_number: int, who: Identity) -> None:
        """Have tasks wait again of which a worker that died has told no result; the one it worked on has a try less."""
        batch = self.batches.pop(batch_number)
        batch.future.release()
        self._is_anyone_free = True
        begun, again = batch.begun, list(batch.left)
        if begun in batch.left:
            self.tries[begun] += 1
            is_harmless = batch.left[begun] is None
            if not is_harmless or self.tries[begun] >= TRIES:
                text = f"the worker on {who.host} that worked on it died"
                self._done(begun, lost(self.tasks[begun], text, self.tries[begun], is_harmless))
                again.remove(begun)
        for number in again:
            before = batch.left[number]
            if before is not None and before != self.before(self.tasks[number]):
                text = f"the worker on {who.host} that had it died"
                self._done(number, lost(self.tasks[number], text, 1, False))
            else:
                self._wait_again([number])

    # Batches

    def _wait_again(self, numbers: Sequence[int]) -> None:
        self.waiting += reversed(numbers)
        self.seconds += sum(seconds_of(self.meter.sizes[each]) for each in numbers)

    def _hand_out(self) -> None:
        """Give batches to the workers that have the fewest, until each has two of them."""
        self._is_anyone_free = False
        busy = Counter(batch.worker for batch in self.batches.values())
        free = deque(sorted((each for each in self.workers if busy[each] < AHEAD), key=lambda each: busy[each]))
        while free and self.waiting:
            worker = free.popleft()
            self._submit(worker)
            busy[worker] += 1
            if busy[worker] < AHEAD:
                free.append(worker)

    def _submit(self, worker: str) -> None:
        count = next_batch(self.waiting, self.meter.sizes, self.seconds, len(self.workers))
        numbers = [self.waiting.pop() for _ in range(count)]
        self.seconds -= sum(seconds_of(self.meter.sizes[each]) for each in numbers)
        number = next(self._numbers)
        left = {each: self.before(self.tasks[each]) for each in numbers}
        future = self.client.submit(
            cluster_worker.do_batch,
            self.order,
            self.workers[worker].name,
            number,
            [(each, self.tasks[each]) for each in numbers],
            key=f"{self.order.topic}-{number}",
            workers=[worker],
            allow_other_workers=False,
            pure=False,
        )
        self.batches[number] = _Batch(worker, future, left)
        future.add_done_callback(lambda _: self.told.put(number))

    def _take(self, kind: str, batch_number: int, number: int, *more: Any) -> None:
        """Take what a worker tells of a task. What it tells of a batch that was taken from it comes too late."""
        batch = self.batches.get(batch_number)
        if batch is not None and kind == ENDED:
            (batch.ending,) = more
        if batch is None or number not in batch.left:
            return
        if kind == BEGAN:
            batch.begun = number
        elif kind == REACHED:
            self.meter.reached(number, *more)
        elif kind == DONE:
            from distributed.protocol.serialize import deserialize_bytes

            result, missing = more
            del batch.left[number]
            self._done(number, self._seen_here(deserialize_bytes(result), missing, self.workers[batch.worker]))

    def _seen_here(self, result: Any, missing: str | None, who: Identity) -> Any:
        """The result of a task; one that failed for want of a file that is here says on which machine it is not."""
        if missing is None or not os.path.lexists(missing):
            return result
        text = f"this file or folder is here, and not on {who.host}, whose worker needs it: {result.error.message}"
        return Failed(result.model, WtoolError(text, missing))

    def _done(self, number: int, result: Any) -> None:
        self.results[number] = result
        self.meter.finished(number)

    def _over(self, number: int) -> None:
        """Take note of the end of a batch: all of it is told, or Dask gave it up."""
        batch = self.batches.get(number)
        if batch is None:
            return
        error = batch.future.exception() if batch.future.status == "error" else None
        if isinstance(error, Exception) and type(error).__name__ != "KilledWorker":
            who = self.workers[batch.worker]
            raise WtoolError(f"the worker on {who.host} cannot do this: {in_short(error)}", self.address) from error
        if batch.ending != OVER:
            connection.threads_of(self.client, self.address)  # the scheduler may be gone
        if batch.ending == OVER and not batch.left:
            del self.batches[number]
            self._is_anyone_free = True
            return
        self._died(batch.worker)
