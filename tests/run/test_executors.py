"""Processes that do tasks: how they start, which signals they take, and that they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from wtool.run import executors


class Silent:
    """A meter that nobody looks at."""

    is_watched = False

    def finished(self, number: int) -> None: ...

    def reached(self, number: int, part: float) -> None: ...


def interrupted(task: int, *_: Any) -> tuple[int, int]:
    """Interrupts its own process, as Ctrl-C in a terminal does to all of a command's processes."""
    os.kill(os.getpid(), signal.SIGINT)
    return task, os.getpid()


def unwound(task: int, *_: Any) -> object:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except SystemExit as end:
        return end.code
    return None


def died(task: int, exitcode: int | None) -> str:
    return f"died with {exitcode}"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_interrupt_is_left_to_the_process_that_started_them(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends them by SIGTERM, so that none of them tells of the interrupt for itself."""
    monkeypatch.setattr(executors, "_context", lambda: executors.multiprocessing.get_context(method))
    with ExitStack() as stack:
        results = list(executors.in_processes(2, [1, 2, 3], interrupted, Silent(), died, stack))
    assert [task for task, _ in results] == [1, 2, 3]
    assert os.getpid() not in {process for _, process in results}


def test_a_request_to_end_unwinds_them() -> None:
    with ExitStack() as stack:
        assert list(executors.in_processes(1, [1], unwound, Silent(), died, stack)) == [128 + signal.SIGTERM]


def told(task: int, *_: Any) -> int:
    return task


def test_they_end_with_the_stack_whatever_is_left_to_do() -> None:
    with ExitStack() as stack:
        assert next(executors.in_processes(2, [1, 2, 3], told, Silent(), died, stack)) == 1
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems fork badly")
@pytest.mark.parametrize(("threads", "method"), [(1, "fork"), (2, "spawn")])
def test_a_process_with_other_threads_is_not_forked(threads: int, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another thread holds would be held for ever in the fork."""
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    assert executors._context().get_start_method() == method
