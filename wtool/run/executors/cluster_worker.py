"""What runs on a worker of a cluster: batches of tasks, whose results are told one by one while the batch goes on."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

from wtool.checkpoint.opener import Opener
from wtool.io.addresses import RETRIES
from wtool.run.executors.executor import Work, done
from wtool.run.failed import Failed
from wtool.values import dataclass
from wtool.version import __version__

BETWEEN = 1.0
"""Seconds between two reports of progress: there may be a thousand workers, and one scheduler."""

BEGAN, REACHED, DONE, ENDED = "began", "reached", "done", "ended"
"""What a worker tells of a task, and of a batch (under the number of no task) how it ended."""

OVER, STOPPED, OTHER = "over", "stopped", "other"
"""How a batch ends: all is told, the command ended, or another process took the worker's address."""

Tell: TypeAlias = "Callable[..., None]"

_stopped: set[str] = set()
_turn = threading.Lock()


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker.

    Attributes:
        name: a name that no other process has, though it may get the worker's address.
        host: name of its machine.
        version: of its wtool.
        threads: how many tasks it would do at a time.
    """

    name: str
    host: str
    version: str
    threads: int


@dataclass(frozen=True, slots=True)
class Order:
    """What all batches of a command have in common.

    Attributes:
        topic: under which results are told, and by which the command is known.
        folder: the current folder of the command, to which paths are relative.
        is_watched: whether anybody wants to know how far tasks are.
        retries: how often requests to stores are tried again.
    """

    topic: str
    folder: str
    is_watched: bool
    retries: int


class Stopped(BaseException):
    """The command has ended; this unwinds a task, so that nothing of it stays."""


def identity(dask_worker: Any) -> Identity:
    """Returns who a worker is."""
    return Identity(dask_worker.id, socket.gethostname(), __version__, dask_worker.state.nthreads)


def stop(topic: str) -> None:
    """Stop the batches of a command on this worker; the task that is being done is undone."""
    _stopped.add(topic)


def do_batch(order: Order, name: str, batch: int, tasks: Sequence[tuple[int, Work[Any]]]) -> None:
    """Do tasks, and tell of each as soon as it is done, and at last how the batch ended.

    Nothing is returned: a result would be on this worker alone, and lost with it.

    Args:
        order: what all batches have in common.
        name: of the worker that the tasks are meant for.
        batch: number of the batch.
        tasks: each with its number.
    """
    from distributed import get_worker

    worker = get_worker()
    tell = partial(_tell, worker, order.topic)
    os.environ[RETRIES] = str(order.retries)
    ending = OTHER
    if worker.id == name:
        with _turn, _standing_in(order.folder):
            ending = _did_all(order, batch, tasks, tell)
    tell((ENDED, batch, -1, ending))


def _tell(worker: Any, topic: str, *messages: tuple[Any, ...]) -> None:
    """Tell a command of its tasks, and wait until the scheduler has the words: none is lost if this process dies."""
    from distributed.utils import sync

    sync(worker.loop, worker.scheduler.log_event, topic=topic, msg=messages)


def _did_all(order: Order, batch: int, tasks: Sequence[tuple[int, Work[Any]]], tell: Tell) -> str:
    from distributed.protocol.serialize import serialize_bytes

    ended: list[tuple[Any, ...]] = []
    with Opener() as opener, suppress(Stopped):
        for number, task in tasks:
            progress = _Progress(order, partial(_tell_share, tell, batch, number))
            progress.check()
            tell(*ended, (BEGAN, batch, number))
            result = done(task, opener, progress)
            ended = [(DONE, batch, number, serialize_bytes(result), _missing(result))]
        tell(*ended)
        return OVER
    return STOPPED


def _tell_share(tell: Tell, batch: int, number: int, share: float) -> None:
    tell((REACHED, batch, number, share))


class _Progress:
    """Tells how far a task is, now and then; ends the task if the command has ended."""

    def __init__(self, order: Order, tell: Any) -> None:
        self._order, self._tell = order, tell
        self._last = time.monotonic()

    def check(self) -> None:
        if self._order.topic in _stopped:
            raise Stopped

    def __call__(self, done: int, total: int) -> None:
        self.check()
        if self._order.is_watched and time.monotonic() - self._last >= BETWEEN:
            self._last = time.monotonic()
            self._tell(done / max(1, total))


def _missing(result: Any) -> str | None:
    """Returns the path of a file or folder for want of which a task failed; None where that is not the reason."""
    file = result.error.file if isinstance(result, Failed) else ""
    return file if file and not os.path.lexists(file) else None


@contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    """Make a folder the current one; where it is not on this machine, an empty one, in which no path leads anywhere."""
    before = os.getcwd()
    if before == folder:
        yield
        return
    try:
        os.chdir(folder)
    except OSError:
        nowhere = tempfile.mkdtemp()
        os.chdir(nowhere)
        with suppress(OSError):  # Windows keeps a current folder, which is as empty
            os.rmdir(nowhere)
    try:
        yield
    finally:
        os.chdir(before)
